//! The supervisor and its workers as real processes.
//!
//! Forking needs a process with one thread, which the test harness is not. So this test brings its own `main`: without
//! arguments it is the driver, which starts itself once more for each scenario; with one it is the supervisor of that
//! scenario. What the processes say goes to the pipe that is their standard output; it ends when the
//! last of them has ended, so that each scenario also shows that nobody is left behind.
#![allow(unsafe_code, clippy::unwrap_used, reason = "a test, of forks among others")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use funicorn_net::{
    Control, Lifecycle, Listener, Order, Signals, SuperviseError, Supervisor, SupervisorConfig, WorkerContext,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};

/// A scenario's name, what its supervisor does, and what the driver does with it.
type Scenario = (&'static str, fn() -> i32, fn(Running));

const SCENARIOS: &[Scenario] = &[
    ("term_is_graceful", obedient, term_is_graceful),
    ("int_is_now", obedient, int_is_now),
    ("a_killed_worker_is_replaced", obedient, a_killed_worker_is_replaced),
    ("a_worker_obeys_signals_of_its_own", obedient, a_worker_obeys_signals_of_its_own),
    ("a_signal_may_come_after_the_order", tidying, a_signal_may_come_after_the_order),
    ("orphans_stop", obedient, orphans_stop),
    ("what_means_nothing_here_is_said_and_ignored", obedient, what_means_nothing_here_is_said_and_ignored),
    ("usr1_reopens_everywhere", obedient, usr1_reopens_everywhere),
    ("a_worker_that_gets_usr1_itself_reopens", obedient, a_worker_that_gets_usr1_itself_reopens),
    ("what_is_the_supervisors_has_its_default_in_workers", inheriting, defaults_in_workers),
    ("a_second_signal_kills", deaf, a_second_signal_kills),
    ("who_is_late_is_killed", deaf_and_late, who_is_late_is_killed),
    ("a_fatal_code_stops_everything", hopeless, a_fatal_code_stops_everything),
    ("a_later_failure_is_retried", failing_later, a_later_failure_is_retried),
    ("a_panic_ends_one_worker", panicking, a_panic_ends_one_worker),
    ("threads_forbid_forks", threaded, threads_forbid_forks),
    ("a_socket_file_is_the_supervisors", with_listener, a_socket_file_is_the_supervisors),
    ("an_application_may_fork", forking, an_application_may_fork),
];

fn main() -> ExitCode {
    match std::env::args().nth(1) {
        Some(name) if !name.starts_with('-') => {
            let (_, supervise, _) = SCENARIOS.iter().find(|scenario| scenario.0 == name).expect("a scenario");
            ExitCode::from(u8::try_from(supervise()).expect("a code"))
        }
        _ => {
            for (name, _, drive) in SCENARIOS {
                eprintln!("scenario {name}");
                drive(Running::start(name));
            }
            ExitCode::SUCCESS
        }
    }
}

// ---- the driver's side

/// A supervisor as the driver sees it.
struct Running {
    child: Child,
    words: BufReader<ChildStdout>,
}

impl Running {
    fn start(name: &str) -> Self {
        let this = std::env::current_exe().unwrap();
        let mut child = Command::new(this).arg(name).stdout(Stdio::piped()).spawn().unwrap();
        let words = BufReader::new(child.stdout.take().unwrap());
        Self { child, words }
    }

    /// Waits for a line that begins with `beginning` and returns its rest.
    fn hear(&mut self, beginning: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.words.read_line(&mut line).unwrap() > 0, "the end instead of {beginning:?}");
            if let Some(rest) = line.trim_end().strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    fn hear_pid(&mut self) -> Pid {
        Pid::from_raw(self.hear("serving ").parse().unwrap()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until all processes have ended; returns the supervisor's exit code and what was still said.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        let rest = self.words.by_ref().lines().map(Result::unwrap).collect();
        (self.child.wait().unwrap().code(), rest)
    }
}

fn term_is_graceful(mut running: Running) {
    let pids = [running.hear_pid(), running.hear_pid()];
    running.signal(Signal::TERM);
    let (code, rest) = running.end();
    assert_eq!(code, Some(0));
    for pid in pids {
        assert!(rest.contains(&format!("{pid} StopGracefully")), "{rest:?}");
    }
}

fn int_is_now(mut running: Running) {
    let pid = running.hear_pid();
    running.hear_pid();
    running.signal(Signal::INT);
    running.hear(&format!("{pid} StopNow"));
    assert_eq!(running.end().0, Some(0));
}

fn a_killed_worker_is_replaced(mut running: Running) {
    let first = running.hear_pid();
    running.hear_pid();
    kill_process(first, Signal::KILL).unwrap();
    let words = running.hear(&format!("ERROR worker {first} was killed by SIGKILL (out of memory?)"));
    assert!(words.contains("starting another one"), "{words}");
    running.hear_pid();
    running.signal(Signal::TERM);
    assert_eq!(running.end().0, Some(0));
}

fn a_worker_obeys_signals_of_its_own(mut running: Running) {
    let pid = running.hear_pid();
    running.hear_pid();
    kill_process(pid, Signal::TERM).unwrap();
    running.hear(&format!("{pid} StopGracefully"));
    running.hear(&format!("WARN worker {pid} ended with exit code 0"));
    running.hear_pid();
    running.signal(Signal::QUIT);
    assert_eq!(running.end().0, Some(0));
}

fn a_signal_may_come_after_the_order(mut running: Running) {
    running.hear_pid();
    running.signal(Signal::TERM);
    running.hear("tidied");
    assert_eq!(running.end().0, Some(0));
}

fn orphans_stop(mut running: Running) {
    let pids = [running.hear_pid(), running.hear_pid()];
    running.signal(Signal::KILL);
    running.child.wait().unwrap();
    let (_, rest) = running.end();
    for pid in pids {
        assert!(rest.contains(&format!("{pid} StopGracefully")), "{rest:?}");
    }
}

fn what_means_nothing_here_is_said_and_ignored(mut running: Running) {
    let pids = [running.hear_pid(), running.hear_pid()];
    for (signal, name) in [
        (Signal::HUP, "HUP"),
        (Signal::USR2, "USR2"),
        (Signal::WINCH, "WINCH"),
        (Signal::TTIN, "TTIN"),
        (Signal::TTOU, "TTOU"),
        (Signal::HUP, "HUP"),
    ] {
        running.signal(signal);
        running.hear(&format!("WARN {name} is ignored: "));
    }
    running.signal(Signal::TERM);
    let (code, rest) = running.end();
    assert_eq!(code, Some(0));
    for pid in pids {
        assert!(rest.contains(&format!("{pid} StopGracefully")), "{rest:?}");
    }
    assert!(!rest.iter().any(|line| line.contains("is ignored")), "one line for each: {rest:?}");
}

fn usr1_reopens_everywhere(mut running: Running) {
    let pids = [running.hear_pid(), running.hear_pid()];
    running.signal(Signal::USR1);
    running.hear("the supervisor reopens");
    let mut reopened = [running.hear("reopened by "), running.hear("reopened by ")];
    reopened.sort();
    let mut expected = pids.map(|pid| pid.to_string());
    expected.sort();
    assert_eq!(reopened, expected);
    running.signal(Signal::TERM);
    assert_eq!(running.end().0, Some(0));
}

fn a_worker_that_gets_usr1_itself_reopens(mut running: Running) {
    let pid = running.hear_pid();
    running.hear_pid();
    kill_process(pid, Signal::USR1).unwrap();
    assert_eq!(running.hear("reopened by "), pid.to_string());
    running.signal(Signal::TERM);
    assert_eq!(running.end().0, Some(0));
}

fn defaults_in_workers(mut running: Running) {
    assert_eq!(running.hear("actions: "), "a handler, ignored, default, default, default, default");
    running.signal(Signal::TERM);
    assert_eq!(running.end().0, Some(0));
}

fn a_second_signal_kills(mut running: Running) {
    running.hear_pid();
    running.hear_pid();
    running.signal(Signal::TERM);
    running.hear("stopping");
    running.signal(Signal::INT);
    assert_eq!(running.end().0, Some(128 + 2));
}

fn who_is_late_is_killed(mut running: Running) {
    running.hear_pid();
    let pid = running.hear_pid();
    running.signal(Signal::TERM);
    running.hear("stopping");
    running.hear(&format!("ERROR worker {pid} has not stopped in time"));
    assert_eq!(running.end().0, Some(0));
}

fn a_fatal_code_stops_everything(running: Running) {
    assert_eq!(running.end().0, Some(3));
}

fn a_later_failure_is_retried(mut running: Running) {
    for _ in 0..3 {
        running.hear("INFO worker");
        running.hear("ERROR worker");
    }
    running.signal(Signal::TERM);
    assert_eq!(running.end().0, Some(0));
}

fn a_panic_ends_one_worker(mut running: Running) {
    running.hear_pid();
    let words = running.hear("ERROR worker");
    assert!(words.contains("exit code 1"), "{words}");
    running.hear_pid();
    running.signal(Signal::TERM);
    assert_eq!(running.end().0, Some(0));
}

fn threads_forbid_forks(running: Running) {
    assert_eq!(running.end(), (Some(0), vec!["refused".to_owned()]));
}

fn a_socket_file_is_the_supervisors(mut running: Running) {
    let path = running.hear("path ");
    let pid = running.hear_pid();
    kill_process(pid, Signal::TERM).unwrap();
    running.hear_pid();
    assert!(std::fs::exists(&path).unwrap());
    running.signal(Signal::TERM);
    assert_eq!(running.end().0, Some(0));
    assert!(!std::fs::exists(&path).unwrap());
}

fn an_application_may_fork(mut running: Running) {
    assert_eq!(running.hear("forked: "), "closed, kept, default");
    assert_eq!(running.hear("ended with "), "0");
    running.hear_pid();
    running.signal(Signal::TERM);
    assert_eq!(running.end().0, Some(0));
}

// ---- the supervisor's side

/// Writes a line at once, whole, so that the lines of several processes do not mix.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        say(&format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

struct Say;

impl Lifecycle for Say {
    fn stopping(&mut self) {
        say("stopping");
    }

    fn reopen(&mut self) {
        say("the supervisor reopens");
    }
}

/// Longer than any test takes: nobody is killed for being late because other programs keep the machine busy.
const PATIENT: Duration = Duration::from_secs(600);

fn supervise(workers: usize, worker: &mut dyn FnMut(WorkerContext) -> i32) -> i32 {
    supervise_for(PATIENT, workers, worker)
}

fn supervise_for(
    graceful_timeout: Duration,
    workers: usize,
    worker: &mut dyn FnMut(WorkerContext) -> i32,
) -> i32 {
    log::set_logger(&Log).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let mut config = SupervisorConfig::default();
    config.workers = workers;
    config.graceful_timeout = graceful_timeout;
    config.fatal_codes = vec![3];
    let signals = Signals::install(true).unwrap();
    Supervisor::new(config, signals, Box::new(Say)).run(worker).unwrap()
}

fn serve(context: WorkerContext) -> Order {
    context.ready.ready();
    say(&format!("serving {}", std::process::id()));
    wait_for_order(&context.control)
}

fn wait_for_order(control: &Control) -> Order {
    loop {
        let sources = control.sources();
        let mut fds: Vec<_> = sources.iter().map(|source| PollFd::new(source, PollFlags::IN)).collect();
        // EINTR is fine: the signal is what we wait for.
        let _ = poll(&mut fds, None);
        let order = control.take();
        if control.take_reopen() {
            say(&format!("reopened by {}", std::process::id()));
        }
        if let Some(order) = order {
            return order;
        }
    }
}

fn obedient() -> i32 {
    supervise(2, &mut |context| {
        let order = serve(context);
        say(&format!("{} {order:?}", std::process::id()));
        0
    })
}

/// A worker that says what the signals do in it. HUP is ignored from the start, as under nohup(1).
fn inheriting() -> i32 {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    supervise(1, &mut |context| {
        let signals =
            [libc::SIGUSR1, libc::SIGHUP, libc::SIGUSR2, libc::SIGTTIN, libc::SIGTTOU, libc::SIGCHLD];
        say(&format!("actions: {}", signals.map(action).join(", ")));
        serve(context);
        0
    })
}

/// What a signal does now.
fn action(signal: i32) -> &'static str {
    // SAFETY: without a new action, sigaction only writes what `current` points to.
    let handler = unsafe {
        let mut current: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut current);
        current.sa_sigaction
    };
    match handler {
        libc::SIG_DFL => "default",
        libc::SIG_IGN => "ignored",
        _ => "a handler",
    }
}

/// A worker to which each stop signal comes between the order of its supervisor and its end.
fn tidying() -> i32 {
    supervise(1, &mut |context| {
        serve(context);
        for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
            // To itself, so that it has been delivered when the call returns.
            kill_process(rustix::process::getpid(), signal).unwrap();
        }
        say("tidied");
        0
    })
}

/// Workers that do nothing of what they are told.
fn deaf() -> i32 {
    supervise(2, &mut serve_on)
}

fn deaf_and_late() -> i32 {
    supervise_for(Duration::ZERO, 2, &mut serve_on)
}

fn serve_on(context: WorkerContext) -> i32 {
    let control = context.control;
    context.ready.ready();
    say(&format!("serving {}", std::process::id()));
    loop {
        let order = wait_for_order(&control);
        say(&format!("deaf to {order:?}"));
    }
}

/// One worker fails before it is ready, the other never gets ready at all.
fn hopeless() -> i32 {
    supervise(2, &mut |context| {
        if context.index == 0 {
            return 3;
        }
        loop {
            wait_for_order(&context.control);
        }
    })
}

fn failing_later() -> i32 {
    supervise(1, &mut |context| {
        context.ready.ready();
        3
    })
}

fn panicking() -> i32 {
    supervise(1, &mut |context| {
        context.ready.ready();
        say(&format!("serving {}", std::process::id()));
        std::panic::set_hook(Box::new(|_| {}));
        panic!("an expected panic");
    })
}

fn threaded() -> i32 {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    let signals = Signals::install(true).unwrap();
    let supervisor = Supervisor::new(SupervisorConfig::default(), signals, Box::new(()));
    match supervisor.run(&mut |_| 0) {
        Err(SuperviseError::Threads(2)) => say("refused"),
        other => say(&format!("{other:?}")),
    }
    drop(release);
    let _ = thread.join();
    0
}

fn with_listener() -> i32 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    say(&format!("path {}", path.display()));
    let address = format!("unix:{}", path.display()).parse().unwrap();
    let mut listeners = Listener::bind(&address, 16).unwrap();
    let code = supervise(1, &mut |context| {
        let listeners = std::mem::take(&mut listeners);
        serve(context);
        drop(listeners);
        0
    });
    drop(listeners);
    code
}

/// Forks as `os.fork` does, in the middle of a request.
fn forking() -> i32 {
    supervise(1, &mut |context| {
        let (watched, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let (kept, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), 16).unwrap().remove(0);
        funicorn_net::fork_guard::watch(watched.as_fd());
        // SAFETY: this process has one thread.
        match unsafe { libc::fork() } {
            0 => in_the_application_s_child([watched.as_fd(), listener.as_fd()], kept.as_fd()),
            pid => {
                let child = Pid::from_raw(pid);
                let (_, status) =
                    rustix::process::waitpid(child, rustix::process::WaitOptions::empty()).unwrap().unwrap();
                say(&format!("ended with {}", status.exit_status().unwrap_or(-1)));
            }
        }
        serve(context);
        0
    })
}

fn in_the_application_s_child(watched: [BorrowedFd<'_>; 2], kept: BorrowedFd<'_>) -> ! {
    let is_open = |fd| rustix::io::fcntl_getfd(fd).is_ok();
    let fds = match (watched.map(is_open), is_open(kept)) {
        ([false, false], true) => "closed, kept",
        _ => "wrong descriptors",
    };
    say(&format!("forked: {fds}, {}", action(libc::SIGTERM)));
    funicorn_net::fork_guard::exit_if_forked();
    std::process::exit(9);
}
