//! The command from outside: what it says, its exit code, and that nobody is left behind.
//!
//! Every process that it starts holds the pipe that is its standard error, so the end of that pipe is the end of them all.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_funicorn"));
    command
        .args(args)
        .current_dir(dir)
        .env("VIRTUAL_ENV", "")
        .env_remove("PYTHONPATH")
        .env_remove("FORWARDED_ALLOW_IPS")
        .stdin(Stdio::null());
    command
}

fn ends(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command(dir, args).output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        std::fs::write(dir.join(name), text).unwrap();
    }
}

#[test]
fn an_application_that_cannot_be_loaded_ends_it_with_code_3() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[
            ("raises.py", "def broken():\n    raise ValueError('at import')\nbroken()\n"),
            ("ends.py", "import sys\nsys.exit('not today')\n"),
            ("values.py", "number = 5\nasync def asgi(scope, receive, send): pass\n"),
            ("inner.py", "import no_such_dependency\n"),
            (
                "busy.py",
                "import threading\nthreading.Thread(target=threading.Event().wait).start()\nraise ValueError('busy')\n",
            ),
        ],
    );
    for (application, words) in [
        ("missing", "\"missing\""),
        ("raises", "ValueError: at import"),
        ("ends", "SystemExit: not today"),
        ("values", "\"values\""),
        ("values:number", "cannot be called"),
        ("values:number.no", "\"no\""),
        ("values:asgi", "ASGI"),
        ("inner", "no_such_dependency"),
        ("busy", "ValueError: busy"),
    ] {
        let (code, output) = ends(dir.path(), &["--bind", "127.0.0.1:0", "--workers", "2", application]);
        assert_eq!(code, Some(3), "{application}: {output}");
        assert!(output.contains(words), "{application}: {output}");
    }
}

#[test]
fn an_address_that_cannot_be_bound_ends_it_with_code_4() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    write(dir.path(), &[("file", "precious")]);
    for (address, words) in [
        (taken.as_str(), "in use"),
        ("unix:no/such/dir", "No such file"),
        ("unix:file", "not a socket"),
        ("fd://99", "inherited"),
    ] {
        let (code, output) = ends(dir.path(), &["--bind", address, "app"]);
        assert_eq!(code, Some(4), "{address}: {output}");
        assert!(output.contains(words), "{address}: {output}");
    }
}

#[test]
fn a_python_that_does_not_exist_ends_it_with_code_5() {
    let dir = tempfile::tempdir().unwrap();
    let (code, output) = ends(dir.path(), &["--bind", "127.0.0.1:0", "--python", "/no/such/python", "app"]);
    assert_eq!(code, Some(5), "{output}");
    assert!(output.contains("/no/such/python"), "{output}");
}

#[test]
fn what_a_flag_names_must_be_usable() {
    let dir = tempfile::tempdir().unwrap();
    for flag in ["--chdir", "--spool-dir", "--access-logfile"] {
        let (code, output) = ends(dir.path(), &["--bind", "127.0.0.1:0", flag, "/no/such/dir/x", "app"]);
        assert_eq!(code, Some(2), "{flag}: {output}");
        assert!(output.contains("/no/such/dir/x"), "{flag}: {output}");
    }
}

/// A server that runs.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    addr: SocketAddr,
}

impl Running {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let mut child = command(dir, &[&["--bind", "127.0.0.1:0"], args].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut running = Self { child, log, addr: "127.0.0.1:0".parse().unwrap() };
        running.addr = running.hear("http://").trim().parse().unwrap();
        running.hear("is ready");
        running
    }

    /// What follows `words` in the next line of the log that has them.
    fn hear(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "the end instead of {words:?}");
            if let Some((_, rest)) = line.split_once(words) {
                return rest.to_owned();
            }
        }
    }

    fn ask(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: \"\r\n\r\n").unwrap();
        stream
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> Option<i32> {
        self.log.read_to_string(&mut String::new()).unwrap();
        self.child.wait().unwrap().code()
    }
}

/// Answers once a line has been written to the FIFO `go`, and says before that it waits.
const WAITS: &str = "
import atexit, sys
atexit.register(lambda: print('goodbye', file=sys.stderr, flush=True))

def application(environ, start_response):
    print('waiting', file=sys.stderr, flush=True)
    with open('go') as go:
        body = go.read().encode()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [body]
";

fn dir_that_waits() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("waits.py", WAITS)]);
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("go"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    dir
}

#[test]
fn term_finishes_the_request_in_flight() {
    let dir = dir_that_waits();
    let mut running = Running::start(dir.path(), &["--access-logfile", "access.log", "waits"]);
    let mut client = running.ask();
    running.hear("waiting");
    running.signal(Signal::TERM);
    running.hear("stopping: requests in flight");
    std::fs::write(dir.path().join("go"), "finished").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("finished"), "{answer}");
    running.hear("goodbye");
    assert_eq!(running.end(), Some(0));
    let line = std::fs::read_to_string(dir.path().join("access.log")).unwrap();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.ends_with("] \"GET / HTTP/1.1\" 200 8 \"-\" \"\\\"\"\n"), "{line}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let dir = dir_that_waits();
    let mut running = Running::start(dir.path(), &["waits"]);
    let _client = running.ask();
    running.hear("waiting");
    running.signal(Signal::TERM);
    running.hear("stopping: requests in flight");
    running.signal(Signal::TERM);
    assert_eq!(running.end(), Some(128 + 15));
}

#[test]
fn an_orphan_finishes_its_request_too() {
    let dir = dir_that_waits();
    let mut running = Running::start(dir.path(), &["waits"]);
    let mut client = running.ask();
    running.hear("waiting");
    running.signal(Signal::KILL);
    running.hear("the supervisor has gone");
    std::fs::write(dir.path().join("go"), "finished").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("finished"), "{answer}");
    running.hear("goodbye");
    assert_eq!(running.end(), None);
}
