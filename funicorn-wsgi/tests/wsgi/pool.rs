//! The pool of attached threads: who waits on them, and who does not.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use funicorn_http::{Body, Request, SendError};
use funicorn_wsgi::{PoolConfig, ResponsePart, ThreadPool};
use pyo3::prelude::*;

use crate::common::{app, connection, get};

/// How long a wait may last before the test fails; no test waits so long.
const LONG: Duration = Duration::from_secs(20);

fn pool(source: &str, waiting: usize) -> ThreadPool {
    let mut config = PoolConfig::default();
    config.waiting = waiting;
    ThreadPool::start(Arc::new(app(source).service), &config).unwrap()
}

fn request(target: &str, body: Body) -> Request {
    Request::new(get(target).build(), body, Arc::new(connection("127.0.0.1:80")))
}

/// Submits `request`, and gives the parts of its response.
fn submit(pool: &ThreadPool, request: Request) -> Option<Receiver<ResponsePart>> {
    let (parts, received) = channel();
    let response = pool.writer(&request.head, move |part| parts.send(part).map_err(|_| SendError::Gone));
    pool.submit(request, response).is_ok().then_some(received)
}

/// The blocks of a response that came to its end.
fn body(received: &Receiver<ResponsePart>) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        match received.recv_timeout(LONG).unwrap() {
            ResponsePart::Block(block) => body.extend_from_slice(&block),
            ResponsePart::End => return body,
            ResponsePart::Head(_) => {}
            part => panic!("{part:?}"),
        }
    }
}

/// A body that arrives when it is told to; `Err` for one that has waited too long.
struct Arriving(Receiver<&'static [u8]>);

impl Read for Arriving {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.0.recv_timeout(LONG).map_err(std::io::Error::other)?;
        buf[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

const ECHO: &str = "
    def app(environ, start_response):
        start_response('200 OK', [])
        return [environ['wsgi.input'].read()]
    ";

#[test]
fn the_interpreter_is_let_go_while_a_body_arrives() {
    let pool = pool(ECHO, 1);
    let of_known_length: fn(Box<Arriving>) -> Body = |reader| Body::from_reader(reader, 4);
    for body_of in [of_known_length, |reader| Body::from_stream(reader)] {
        let (arrivals, arriving) = channel();
        let received = submit(&pool, request("/", body_of(Box::new(Arriving(arriving))))).unwrap();
        // Only an attached thread sends: were the reader attached, nobody could.
        for bytes in [&b"ho"[..], b"la"] {
            Python::attach(|_| arrivals.send(bytes)).unwrap();
        }
        // The end, which nobody asks for when the length is known.
        let _ = arrivals.send(b"");
        assert_eq!(body(&received), b"hola");
    }
}

#[test]
fn the_interpreter_is_let_go_while_a_client_is_slow() {
    let pool =
        pool("def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hola']", 1);
    let request = request("/", Body::empty());
    let (permits, permitted) = channel();
    let (parts, received) = channel();
    let response = pool.writer(&request.head, move |part| {
        permitted.recv_timeout(LONG).map_err(|_| SendError::Gone)?;
        parts.send(part).map_err(|_| SendError::Gone)
    });
    pool.submit(request, response).unwrap();
    for _ in 0..3 {
        Python::attach(|_| permits.send(())).unwrap();
    }
    assert_eq!(body(&received), b"hola");
}

#[test]
fn who_finds_the_pool_busy_gets_the_request_back() {
    let pool = pool(ECHO, 1);
    let (arrivals, arriving) = channel();
    let first = submit(&pool, request("/", Body::from_stream(Box::new(Arriving(arriving))))).unwrap();
    // The first request may still be waiting, or may have been taken; then a second one can wait.
    let mut waiting: Vec<_> =
        std::iter::from_fn(|| submit(&pool, request("/", Body::empty()))).take(3).collect();
    assert!(waiting.len() <= 1, "{}", waiting.len());
    arrivals.send(b"").unwrap();
    assert_eq!(body(&first), b"");
    assert!(waiting.drain(..).all(|received| body(&received).is_empty()));
}

#[test]
fn an_attached_thread_can_end_the_pool() {
    let pool = pool(ECHO, 1);
    let received = submit(&pool, request("/", Body::from(bytes::Bytes::from_static(b"hola")))).unwrap();
    Python::attach(|_| drop(pool));
    assert_eq!(body(&received), b"hola", "what was taken is answered");
}

#[test]
fn its_threads_are_pythons_own() {
    let pool = pool(
        "
        import threading
        def app(environ, start_response):
            thread = threading.current_thread()
            start_response('200 OK', [])
            return [f'{thread.name} {thread.daemon} {type(thread).__name__}'.encode()]
        ",
        1,
    );
    let received = submit(&pool, request("/", Body::empty())).unwrap();
    assert_eq!(body(&received), b"application-1 False Thread");
}
