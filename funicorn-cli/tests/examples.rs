//! The example program does what it says. (`cargo test` builds it beside the tests.)
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

const APPLICATION: &str = "
import signal
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [repr(signal.getsignal(signal.SIGTERM)).encode()]
";

#[test]
fn embedded_serves_in_its_own_process_until_another_thread_stops_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("hello.py"), APPLICATION).unwrap();
    let built = std::env::current_exe().unwrap();
    let program = built.parent().and_then(Path::parent).unwrap().join("examples/embedded");
    let mut command = Command::new(program);
    command.arg("hello:app").current_dir(&directory).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut address = String::new();
    lines.read_line(&mut address).unwrap();

    let mut stream = TcpStream::connect(address.trim_end()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\n<Handlers.SIG_DFL: 0>"), "no signal handler is installed: {answer}");

    let tasks = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    assert_eq!(tasks, "", "no process is forked");
    drop(child.stdin.take());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "stopped\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
