//! Who starts the workers, replaces the dead and ends last? The supervisor (gunicorn: arbiter).

mod back_off;
mod birth;
mod ending;
mod fork;
mod worker_process;

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};

use crate::signals::{Arrived, Signals};
use crate::{Control, Lifecycle, Order, ReadyNotice};
use back_off::BackOff;
pub use ending::Ending;
use worker_process::WorkerProcess;

/// What a worker may take beyond its graceful timeout, to finalize its interpreter, before it is killed.
const LEEWAY: Duration = Duration::from_secs(2);

/// What workers may take to stop without waiting for requests.
const NOW_TIMEOUT: Duration = Duration::from_secs(5);

/// What workers may take to stop when the application cannot be served at all and the operator waits for the prompt.
const FATAL_TIMEOUT: Duration = Duration::from_millis(500);

/// What a supervisor needs to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SupervisorConfig {
    /// How many workers to keep: 1, as gunicorn has it.
    pub workers: usize,
    /// How long workers may take to finish their requests: 30 s, as gunicorn has it.
    pub graceful_timeout: Duration,
    /// Exit codes of a worker that say that another one would fail alike. None.
    pub fatal_codes: Vec<i32>,
}

impl Default for SupervisorConfig {
    fn default() -> Self {
        Self { workers: 1, graceful_timeout: Duration::from_secs(30), fatal_codes: Vec::new() }
    }
}

/// Why a supervisor could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// A fork copies only the thread that calls it, and the locks of all.
    #[error("this process has {0} threads; workers can only be forked from a process with one")]
    Threads(usize),
    /// The system failed.
    #[error("cannot watch the workers: {0}")]
    System(#[from] io::Error),
}

/// What a worker is given at its birth.
#[derive(Debug)]
#[non_exhaustive]
pub struct WorkerContext {
    /// Its place, from 0 to the number of workers.
    pub index: usize,
    /// What tells it to stop.
    pub control: Control,
    /// By this it says that it serves.
    pub ready: ReadyNotice,
}

/// Keeps a number of workers alive.
///
/// It has one thread, never reads a client's socket and knows no Python. It forks the workers, each with a *lifeline*, a
/// socket over which it gives orders and the worker says that it is ready. When the supervisor dies, however
/// it dies, the lifelines end and the workers stop. It sleeps in one poll(2) on its signals and its ends of the lifelines.
///
/// | what happens | what it does |
/// | --- | --- |
/// | a worker dies | another takes its place: at once, or after a pause if it lived shortly |
/// | a worker fails before one in its place was ever ready, with one of the [fatal codes](SupervisorConfig::fatal_codes) | everything stops, with this code |
/// | TERM | orders a graceful stop, waits the graceful timeout and two seconds, kills who is left; exit code 0 |
/// | INT, QUIT | the same, but workers do not wait for their requests and have five seconds; so have workers that are still loading |
/// | a second signal | kills the workers at once; exit code 128 and the signal's number |
/// | USR1 | has log files opened anew, here and in every worker |
/// | HUP, USR2, WINCH, TTIN, TTOU | nothing but a line in the log, which says what to do instead |
///
/// ```no_run
/// use funicorn_net::{BACKLOG, Listener, Signals, Supervisor, SupervisorConfig};
///
/// let listeners = Listener::bind(&"127.0.0.1:8000".parse()?, BACKLOG)?;
/// let mut config = SupervisorConfig::default();
/// config.workers = 4;
/// let supervisor = Supervisor::new(config, Signals::install(true)?, Box::new(()));
/// let code = supervisor.run(&mut |context| {
///     // In the worker's process: make a `Worker` with `listeners` and `context.control`, say that it is ready, run it.
///     println!("worker {} listens at {}", context.index, listeners[0].local());
///     context.ready.ready();
///     0
/// })?;
/// std::process::exit(code);
/// # #[expect(unreachable_code, reason = "for the type of the example")]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Supervisor {
    config: SupervisorConfig,
    lifecycle: Box<dyn Lifecycle>,
    /// `None` in a worker, to which they were handed over.
    signals: Option<Signals>,
    places: Vec<Place>,
    stop: Option<Stop>,
    /// Signals so far that asked to stop.
    stop_signals: u32,
}

/// One of the `workers` places, with its worker or waiting for one.
#[derive(Debug)]
struct Place {
    worker: Option<WorkerProcess>,
    /// When the next worker is due, if there is none.
    due: Instant,
    back_off: BackOff,
    was_ready: bool,
}

/// Set when everything is about to end.
#[derive(Debug)]
struct Stop {
    code: i32,
    /// When those who are left are killed; `None` once they have been.
    deadline: Option<Instant>,
}

impl Supervisor {
    /// A supervisor that listens to `signals` (installed with children) and tells `lifecycle` what happens.
    #[must_use]
    pub fn new(config: SupervisorConfig, signals: Signals, lifecycle: Box<dyn Lifecycle>) -> Self {
        let due = Instant::now();
        let place = |_| Place { worker: None, due, back_off: BackOff::default(), was_ready: false };
        let places = (0..config.workers).map(place).collect();
        Self { config, lifecycle, signals: Some(signals), places, stop: None, stop_signals: 0 }
    }

    /// Starts the workers and keeps them until a signal says stop; returns the exit code of the whole.
    ///
    /// `worker` runs in each worker process, on its only thread; what it returns is the exit code of that process.
    ///
    /// # Errors
    /// When this process has more than one thread, or the system fails; no worker is left behind then.
    pub fn run(mut self, worker: &mut dyn FnMut(WorkerContext) -> i32) -> Result<i32, SuperviseError> {
        if let Some(count @ 2..) = fork::thread_count() {
            return Err(SuperviseError::Threads(count));
        }
        loop {
            if self.stop.is_none() {
                self.start_due(worker);
            } else if let Some(code) = self.finished() {
                return Ok(code);
            }
            self.sleep()?;
            let arrived = self.signals.as_ref().map(Signals::take).unwrap_or_default();
            self.hear();
            self.bury();
            self.obey(arrived);
            self.enforce_deadline();
        }
    }

    /// Sleeps until there is a signal, a word from a worker, a worker due or a deadline.
    fn sleep(&self) -> Result<(), SuperviseError> {
        let lifelines = self.workers().filter_map(WorkerProcess::lifeline);
        let sources: Vec<_> = self.signals.as_ref().map(AsFd::as_fd).into_iter().chain(lifelines).collect();
        let mut sources: Vec<_> = sources.iter().map(|source| PollFd::new(source, PollFlags::IN)).collect();
        let timeout = self.next_moment().map(|moment| moment.saturating_duration_since(Instant::now()));
        // A duration that poll(2) cannot take is as good as for ever.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut sources, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    fn next_moment(&self) -> Option<Instant> {
        match &self.stop {
            Some(stop) => stop.deadline,
            None => self.places.iter().filter(|place| place.worker.is_none()).map(|place| place.due).min(),
        }
    }

    fn workers(&self) -> impl Iterator<Item = &WorkerProcess> {
        self.places.iter().filter_map(|place| place.worker.as_ref())
    }

    /// Listens to what the workers say.
    fn hear(&mut self) {
        for index in 0..self.places.len() {
            self.hear_one(index);
        }
    }

    fn hear_one(&mut self, index: usize) {
        let place = &mut self.places[index];
        if let Some(worker) = place.worker.as_mut().filter(|worker| !worker.is_ready)
            && worker.hear()
        {
            place.was_ready = true;
            log::info!("worker {} is ready", worker.id());
            self.lifecycle.ready(worker.id());
        }
    }

    /// Waits for the workers that have ended: each by its process id, for other children of this process are none of
    /// our business. Unless we are process 1 of a container, to which orphans of all kinds are given.
    fn bury(&mut self) {
        for index in 0..self.places.len() {
            if let Some(ending) = self.places[index].worker.as_ref().and_then(WorkerProcess::ending) {
                self.hear_one(index);
                self.replace(index, ending);
            }
        }
        if std::process::id() == 1 {
            let ours: Vec<_> = self.workers().map(|worker| worker.pid).collect();
            while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                if let Some(index) = ours.iter().position(|&our| our == pid) {
                    self.replace(index, Ending::of(status));
                }
            }
        }
    }

    /// Notes that the worker at `index` has ended, and when the next one is due.
    fn replace(&mut self, index: usize, ending: Ending) {
        let place = &mut self.places[index];
        let Some(worker) = place.worker.take() else { return };
        let pid = worker.id();
        self.lifecycle.child_exited(pid, ending);
        if self.stop.is_some() {
            return log::debug!("worker {pid} {ending}");
        }
        if let Ending::Exited(code) = ending
            && !place.was_ready
            && self.config.fatal_codes.contains(&code)
        {
            log::error!("worker {pid} {ending} before it could serve: stopping");
            return self.begin_stop(Order::StopNow, code, FATAL_TIMEOUT);
        }
        let pause = place.back_off.after(worker.started.elapsed());
        place.due = Instant::now() + pause;
        // Somebody has told it to stop, and not us.
        let level = if ending == Ending::Exited(0) { log::Level::Warn } else { log::Level::Error };
        log::log!(level, "worker {pid} {ending}; starting another one in {} s", pause.as_secs_f32());
    }

    /// Does what the signals ask for.
    fn obey(&mut self, arrived: Arrived) {
        for (name, instead) in arrived.ignored() {
            log::warn!("{name} is ignored: {instead}");
        }
        if arrived.reopen {
            self.reopen();
        }
        let before = self.stop_signals;
        self.stop_signals += arrived.stops();
        match arrived.order_after(before) {
            None => {}
            Some(Order::EndAtOnce) => {
                log::warn!("a second signal: killing the workers");
                self.stop = Some(Stop { code: 128 + arrived.number(), deadline: None });
                self.workers().for_each(WorkerProcess::kill);
            }
            // It is stopping already, since the application cannot be served.
            Some(_) if self.stop.is_some() => {}
            Some(order) => {
                log::info!("stopping");
                let graceful = self.config.graceful_timeout.saturating_add(LEEWAY);
                // Workers that are still loading have no requests to finish, and hear nothing until they are ready.
                let waits = order == Order::StopGracefully && self.workers().any(|worker| worker.is_ready);
                let timeout = if waits { graceful } else { graceful.min(NOW_TIMEOUT) };
                self.begin_stop(order, 0, timeout);
            }
        }
    }

    fn reopen(&mut self) {
        log::info!("opening log files anew");
        self.lifecycle.reopen();
        self.places.iter_mut().filter_map(|place| place.worker.as_mut()).for_each(WorkerProcess::reopen);
    }

    fn begin_stop(&mut self, order: Order, code: i32, timeout: Duration) {
        self.stop = Some(Stop { code, deadline: Instant::now().checked_add(timeout) });
        for worker in self.places.iter_mut().filter_map(|place| place.worker.as_mut()) {
            worker.order(order);
        }
        self.lifecycle.stopping();
    }

    /// Kills who has not stopped in time.
    fn enforce_deadline(&mut self) {
        let Some(stop) = &mut self.stop else { return };
        if stop.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            stop.deadline = None;
            for worker in self.workers() {
                log::error!("worker {} has not stopped in time: killing it", worker.id());
                worker.kill();
            }
        }
    }

    /// The exit code, when the last worker has ended after a stop.
    fn finished(&self) -> Option<i32> {
        let stop = self.stop.as_ref()?;
        self.workers().next().is_none().then_some(stop.code)
    }
}

impl Drop for Supervisor {
    /// After an error of our own no worker is left behind.
    fn drop(&mut self) {
        self.workers().for_each(WorkerProcess::kill);
    }
}
