//! Whose request is it? A worker over real sockets, with what proxies say about their clients.

use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use funicorn_http::{ProxyProtocol, Request, ResponseWriter, Service};
use funicorn_net::{Exchange, Observer, WorkerConfig};

use crate::harness::{Running, body, respond};

/// Answers with the client's address.
struct Who;

impl Service for Who {
    fn call(&self, request: Request, response: ResponseWriter) {
        respond(response, request.connection.peer.to_string().as_bytes());
    }
}

/// Tells the client's address of each exchange.
struct Told(Mutex<SyncSender<String>>);

impl Observer for Told {
    fn exchange(&self, exchange: &Exchange<'_>) {
        self.0.lock().unwrap().send(exchange.connection.peer.to_string()).unwrap();
    }
}

/// A worker that serves [`Who`], and whom its observer was told of.
struct Proxied {
    running: Running,
    told: Receiver<String>,
}

impl Proxied {
    fn new(configure: impl FnOnce(&mut WorkerConfig)) -> Self {
        let (tell, told) = sync_channel(100);
        let running = Running::observed(Who, configure, Some(Arc::new(Told(Mutex::new(tell)))));
        Self { running, told }
    }

    /// Sends `start` and a request that is the last of its connection; returns the answer's status and body.
    fn exchange(&self, start: &str, lines: &str) -> (String, String) {
        let text = format!("{start}GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
        let answer = self.running.exchange(text.as_bytes());
        (answer[9..12].to_owned(), body(&answer).to_owned())
    }
}

#[test]
fn the_service_and_the_observer_are_told_the_client() {
    let server = Proxied::new(|config| config.proxy_protocol = ProxyProtocol::Auto);
    for (start, lines, client) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "X-Forwarded-For: 6.6.6.6\r\n", "192.0.2.1:1"),
        ("PROXY TCP4 127.0.0.1 192.0.2.2 1 2\r\n", "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
    ] {
        assert_eq!(server.exchange(start, lines), ("200".to_owned(), client.to_owned()));
        assert_eq!(server.told.recv().unwrap(), client);
    }
}

#[test]
fn a_refused_request_is_told_to_nobody() {
    let server = Proxied::new(|config| {
        config.forwarding.headers = "x-forwarded-for,x-forwarded-host".parse().unwrap();
    });
    let (status, _) = server.exchange("", "X-Forwarded-Host: user@a\r\n");
    assert_eq!(status, "400");
    assert_eq!(server.exchange("", "X-Forwarded-For: 192.0.2.1\r\n").1, "192.0.2.1");
    assert_eq!(server.told.recv().unwrap(), "192.0.2.1");
}

#[test]
fn a_proxy_header_that_trickles_in_has_the_time_of_a_head_and_no_more() {
    let server = Proxied::new(|config| {
        config.proxy_protocol = ProxyProtocol::Auto;
        config.deadlines.head = Duration::from_millis(500);
    });
    let mut stream = server.running.connect();
    // Each byte is followed by a wait for the answer, which has to come long before the line is whole.
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(91));
    for byte in line.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
        let mut start = [0; 12];
        match stream.read_exact(&mut start) {
            Ok(()) => return assert_eq!(&start, b"HTTP/1.1 408"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
            }
        }
    }
    panic!("a whole line has arrived byte by byte");
}
