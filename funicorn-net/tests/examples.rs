//! The example programs do what they say. (`cargo test` builds them beside the tests.)
#![allow(clippy::unwrap_used, reason = "a test, in its helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn program(example: &str) -> PathBuf {
    let built = std::env::current_exe().unwrap();
    built.parent().and_then(Path::parent).unwrap().join("examples").join(example)
}

/// An example that listens at a free port, and is gone when the test is over.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(example: &str) -> Self {
        let mut command = Command::new(program(example));
        let mut child = command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { child, address: address.trim_end().to_owned() }
    }

    /// Sends `bytes`, ends the sending side, and reads to the end.
    fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends TERM and returns the exit code.
    fn stop(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves no process behind; one that has been waited for cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn hello_serves_a_rust_function() {
    let hello = Running::start("hello");
    let answer = hello.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nHello, World!"), "{answer}");
    assert_eq!(hello.stop(), Some(0));
}

#[test]
fn no_python_is_linked() {
    let output = Command::new("ldd").arg(program("hello")).output().unwrap();
    let libraries = String::from_utf8(output.stdout).unwrap();
    assert!(libraries.contains("libc.so"), "ldd names the libraries: {libraries}");
    assert!(!libraries.contains("python"), "{libraries}");
}

#[test]
fn echo_speaks_another_protocol_under_the_supervisor() {
    let echo = Running::start("echo");
    assert_eq!(echo.exchange(b"hola"), "hola");
    assert_eq!(echo.exchange(b"\r\n\r\n"), "\r\n\r\n");
    assert_eq!(echo.stop(), Some(0));
}
