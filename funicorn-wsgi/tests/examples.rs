//! The example programs do what they say. (`cargo test` builds them beside the tests.)
#![allow(clippy::unwrap_used, reason = "a test, in its helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const HELLO: &str = "
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello from ', environ['PATH_INFO'].encode()]
";

const FLASK: &str = "
from flask import Flask, request
app = Flask(__name__)

@app.get('/hola/<name>')
def hola(name):
    return {'hola': name, 'mood': request.args['mood']}
";

/// Streams what it is asked for, and says what its thread remembers and when its iterable was closed.
const STREAMING: &str = "
import threading
memory = threading.local()
events = []

def app(environ, start_response):
    memory.calls = getattr(memory, 'calls', 0) + 1
    start_response('200 OK', [])
    path = environ['PATH_INFO']
    if path == '/echo':
        return iter(lambda: environ['wsgi.input'].readline(), b'')
    if path == '/endless':
        return Endless()
    if path == '/broken':
        return broken()
    text = f\"{memory.calls} {environ['SCRIPT_NAME']} {environ['QUERY_STRING']} {events}\"
    return [text.encode()]

def broken():
    yield b'first'
    raise RuntimeError('broken on purpose')

class Endless:
    def __iter__(self):
        while True:
            yield b'x' * 65536

    def close(self):
        events.append('closed')
";

fn program(example: &str) -> PathBuf {
    let built = std::env::current_exe().unwrap();
    built.parent().and_then(Path::parent).unwrap().join("examples").join(example)
}

/// A directory with `app.py`, that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str, source: &str) -> Self {
        let path = std::env::temp_dir().join(format!("funicorn-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("app.py"), source).unwrap();
        Self(path)
    }

    fn command(&self, example: &str) -> Command {
        let mut command = Command::new(program(example));
        command.current_dir(&self.0).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn without_server_prints_the_answer() {
    let directory = Directory::new("once", HELLO);
    let output = directory.command("without_server").args(["app:app", "/there"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "200\nContent-Type: text/plain\r\n\nhello from /there", "{output:?}");
}

/// `FUNICORN_TEST_PYTHON` names a python that has Flask, as `scripts/test` does; without it there may be none.
#[test]
fn without_server_calls_a_flask_application() {
    let Some(python) = std::env::var_os("FUNICORN_TEST_PYTHON") else {
        eprintln!("skipped: FUNICORN_TEST_PYTHON does not name a python with Flask; `make check` sets it");
        return;
    };
    let directory = Directory::new("flask", FLASK);
    let mut command = directory.command("without_server");
    let output =
        command.env("FUNICORN_PYTHON", python).args(["app", "/hola/mundo?mood=good"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("200\nContent-Type: application/json\r\n"), "{output:?}");
    assert!(text.ends_with("\n{\"hola\":\"mundo\",\"mood\":\"good\"}\n"), "{text}");
}

#[test]
fn in_memory_serves_two_pipelined_requests() {
    let directory = Directory::new("memory", HELLO);
    let mut child = directory.command("in_memory").arg("app").spawn().unwrap();
    let requests = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    child.stdin.take().unwrap().write_all(requests).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let bodies: Vec<_> = text.split("\r\n\r\n").collect();
    assert_eq!(bodies.len(), 3, "{text}");
    assert!(bodies[0].contains("\r\nServer: memory\r\n"), "{text}");
    assert!(bodies[1].starts_with("hello from /1HTTP/1.1 200 OK\r\n"), "{text}");
    assert_eq!(bodies[2], "hello from /2");
}

/// The axum example, which is gone when the test is over.
struct Axum {
    child: Child,
    address: String,
    _directory: Directory,
}

impl Axum {
    fn start(test: &str) -> Self {
        let directory = Directory::new(test, STREAMING);
        let mut child = directory.command("beside_axum").args(["app", "127.0.0.1:0"]).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { child, address: address.trim_end().to_owned(), _directory: directory }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    /// Sends a request on a new connection and reads to its end.
    fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    }

    /// Ends its standard input, upon which it ends cleanly.
    fn stop(mut self) {
        drop(self.child.stdin.take());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Axum {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn axum_routes_and_a_mounted_application_stand_side_by_side() {
    let axum = Axum::start("mounted");
    assert!(axum.get("/").ends_with("\r\n\r\na route in Rust"));
    let answer = axum.get("/legacy/a?b");
    assert!(answer.ends_with("\r\n\r\n1 /legacy b []"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\ncontent-length: 14\r\n"), "{answer}");
    assert!(axum.get("/legacy").ends_with("2 /legacy  []"), "the thread remembers its calls");
    axum.stop();
}

#[test]
fn axum_streams_both_ways() {
    let axum = Axum::start("streams");
    let mut stream = axum.connect();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    stream.write_all(b"POST /legacy/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    // The next line goes out only when the last has come back, so that nothing on the way can wait for the end.
    for line in ["one\n", "two\n"] {
        stream.write_all(format!("4\r\n{line}\r\n").as_bytes()).unwrap();
        let mut read = String::new();
        while read != line {
            read.clear();
            assert!(answers.read_line(&mut read).unwrap() > 0, "the end instead of {line:?}");
        }
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut rest = String::new();
    answers.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    axum.stop();
}

#[test]
fn a_client_that_goes_away_reaches_close() {
    let axum = Axum::start("gone");
    let mut stream = axum.connect();
    stream.write_all(b"GET /legacy/endless HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 100_000]).unwrap();
    drop(stream);
    // There is one thread, so that the next request is answered when the endless one has been closed.
    let answer = axum.get("/legacy");
    assert!(answer.ends_with("2 /legacy  ['closed']"), "{answer}");
    axum.stop();
}

#[test]
fn a_body_that_breaks_off_does_not_look_whole() {
    let axum = Axum::start("broken");
    let mut stream = axum.connect();
    stream.write_all(b"GET /legacy/broken HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // The end may come as a reset.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert!(!answer.contains("\r\n0\r\n"), "{answer}");
    axum.stop();
}
