//! The example programs do what they say. (`cargo test` builds them beside the tests.)
#![allow(clippy::unwrap_used, reason = "a test, in its helpers too")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs an example with `input` on its standard input.
fn run(example: &str, input: &[u8]) -> Output {
    let built = std::env::current_exe().unwrap();
    let program = built.parent().and_then(Path::parent).unwrap().join("examples").join(example);
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn session_answers_two_pipelined_requests() {
    let output = run("session", b"");
    let head = "HTTP/1.1 200 OK\r\nServer: example\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    let expected =
        format!("{head}Content-Length: 5\r\n\r\nHELLO{head}Connection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(text(&output), expected, "{output:?}");
}

#[test]
fn parse_prints_a_request() {
    let request = b"PUT /a%20b?c=d HTTP/1.1\r\nHost: e\r\nX-Trace: 1\r\nContent-Length: 3\r\n\r\n\x00hi";
    let output = run("parse", request);
    assert_eq!(
        text(&output),
        "method PUT\npath /a%20b\nquery c=d\nversion HTTP/1.1\nheader Host: e\nheader X-Trace: 1\n\
         header Content-Length: 3\n\\x00hi\n"
    );
    assert!(output.status.success());
}

#[test]
fn parse_refuses_what_could_be_smuggled() {
    let both =
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let output = run("parse", both);
    assert_eq!(text(&output), "400 Bad Request: the Transfer-Encoding header is not allowed here\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn parse_says_when_something_is_missing() {
    let output = run("parse", b"GET / HTTP/1.1\r\nHost: a\r\n");
    assert_eq!(text(&output), "the request is not complete\n");
    assert_eq!(output.status.code(), Some(1));
}
