//! Requests, responses, streams and stops.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};

use funicorn_http::{BodyLength, Request, ResponseHead, ResponseWriter, Service};
use funicorn_net::Order;

use crate::harness::{Echo, Running, body, gate};

#[test]
fn a_request_is_answered() {
    let server = Running::new(Echo, |_| {});
    let answer = server.exchange(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(body(&answer), "/a Some(0)\n");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Running::new(Echo, |_| {});
    let mut sent = Vec::new();
    for number in 0..300 {
        sent.extend_from_slice(format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    }
    sent.extend_from_slice(b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = server.exchange(&sent);
    let places: Vec<usize> =
        (0..300).map(|number| answer.find(&format!("/{number} Some")).unwrap()).collect();
    assert!(places.is_sorted());
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 301);
}

#[test]
fn bodies_are_complete_in_memory_and_in_files() {
    let server = Running::new(Echo, |config| config.limits.body_buffer = 1000);
    for len in [1usize, 999, 1000, 1001, 3_000_000] {
        let mut sent =
            format!("POST /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n")
                .into_bytes();
        sent.resize(sent.len() + len, b'x');
        assert_eq!(body(&server.exchange(&sent)), format!("/b Some({len})\n"));
    }
}

#[test]
fn a_refusal_can_be_read_though_the_client_goes_on_sending() {
    let server = Running::new(Echo, |_| {});
    let mut sent = b"BAD\r\n\r\n".to_vec();
    sent.resize(1_000_000, b'x');
    let answer = server.exchange(&sent);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// Before it answers, its client sends more.
struct Interrupted {
    clients: Mutex<Receiver<TcpStream>>,
}

impl Service for Interrupted {
    fn call(&self, request: Request, response: ResponseWriter) {
        let mut client = self.clients.lock().unwrap().recv().unwrap();
        client.write_all(b"GET /unasked HTTP/1.1\r\n").unwrap();
        Echo.call(request, response);
    }
}

#[test]
fn what_comes_while_the_last_request_is_answered_does_not_turn_the_end_into_a_reset() {
    let (tell, clients) = sync_channel(1);
    let server = Running::new(Interrupted { clients: Mutex::new(clients) }, |_| {});
    for _ in 0..20 {
        let mut stream = server.connect();
        tell.send(stream.try_clone().unwrap()).unwrap();
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(body(&answer), "/a Some(0)\n");
    }
}

#[test]
fn a_stuck_call_stops_nobody_elses_input_and_output() {
    let (service, entered, go) = gate();
    let server = Running::new(service, |_| {});
    // A response that its client does not read yet: most of it waits in the outbox.
    let mut slow_reader = server.connect();
    slow_reader.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut start = [0; 16];
    slow_reader.read_exact(&mut start).unwrap();

    let mut stuck = server.connect();
    stuck.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(entered.recv().unwrap(), "/wait");

    // The only application thread is in a call. A bad request is refused all the same,
    assert!(server.exchange(b"BAD\r\n\r\n").starts_with("HTTP/1.1 400 "));
    // a body is asked for,
    let mut waiting = server.connect();
    waiting
        .write_all(b"POST /b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut interim = [0; 25];
    waiting.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    waiting.write_all(b"abc").unwrap();
    // and output leaves.
    let mut rest = Vec::new();
    slow_reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.iter().filter(|&&byte| byte == b'z').count(), 8_000_000);

    go.send(()).unwrap();
    for (stream, expected) in [(&mut stuck, "/wait Some(0)\n"), (&mut waiting, "/b Some(3)\n")] {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(body(&answer), expected);
    }
}

#[test]
fn as_many_calls_run_at_once_as_there_are_threads() {
    let (service, entered, go) = gate();
    let server = Running::new(service, |config| config.threads = 4);
    let mut streams: Vec<TcpStream> = (0..6).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    }
    for _ in 0..4 {
        entered.recv().unwrap();
    }
    assert!(entered.try_recv().is_err(), "a fifth call has no thread");
    for _ in 0..6 {
        go.send(()).unwrap();
    }
    for stream in &mut streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(body(&answer), "/wait Some(0)\n");
    }
}

/// Streams without a length, as fast as the client reads.
struct Flood(u64);

impl Service for Flood {
    fn call(&self, _: Request, mut response: ResponseWriter) {
        let block = vec![b'z'; 100_000];
        response.start(ResponseHead::new(200, b"OK").unwrap(), BodyLength::Known(self.0 * 100_000)).unwrap();
        for _ in 0..self.0 {
            if response.send(&block).is_err() {
                return;
            }
        }
        let _ = response.finish();
    }
}

#[test]
fn a_large_stream_is_held_back_by_its_reader_and_arrives_whole() {
    let server = Running::new(Flood(1000), |config| {
        config.limits.response_memory = 300_000;
        config.limits.response_spool = 0;
    });
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.iter().filter(|&&byte| byte == b'z').count(), 100_000_000);
}

#[test]
fn a_panic_costs_one_response() {
    struct Panics;
    impl Service for Panics {
        fn call(&self, request: Request, response: ResponseWriter) {
            assert_ne!(request.head.path(), b"/panic", "on purpose");
            Echo.call(request, response);
        }
    }
    let server = Running::new(Panics, |_| {});
    let answer = server.exchange(b"GET /panic HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    let answer = server.exchange(b"GET /fine HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(body(&answer), "/fine Some(0)\n");
}

#[test]
fn an_end_without_finish_is_visible_to_the_client() {
    struct Drops;
    impl Service for Drops {
        fn call(&self, _: Request, mut response: ResponseWriter) {
            response.start(ResponseHead::new(200, b"OK").unwrap(), BodyLength::Unknown).unwrap();
            response.send(b"half").unwrap();
        }
    }
    let server = Running::new(Drops, |_| {});
    let answer = server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.ends_with("4\r\nhalf\r\n"), "no last chunk: {answer:?}");
}

#[test]
fn a_graceful_stop_finishes_the_request_in_flight_and_closes_idle_connections() {
    let (service, entered, go) = gate();
    let server = Running::new(service, |_| {});
    let mut idle = server.connect();
    idle.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).unwrap();
    let mut busy = server.connect();
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    entered.recv().unwrap();

    server.stop.stop(Order::StopGracefully);
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert!(TcpStream::connect(server.addr).is_err(), "nobody listens any more");
    go.send(()).unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("Connection: close\r\n"), "{answer}");
    assert_eq!(body(&answer), "/wait Some(0)\n");
}

/// Sends small blocks, waits to be let go, and sends small blocks again.
struct Drip {
    go: Mutex<Receiver<()>>,
}

impl Service for Drip {
    fn call(&self, _: Request, mut response: ResponseWriter) {
        response.start(ResponseHead::new(200, b"OK").unwrap(), BodyLength::Unknown).unwrap();
        for block in ["one", "two", "three"] {
            response.send(block.as_bytes()).unwrap();
        }
        self.go.lock().unwrap().recv().unwrap();
        for block in ["four", "five"] {
            response.send(block.as_bytes()).unwrap();
        }
        response.finish().unwrap();
    }
}

#[test]
fn blocks_are_on_their_way_while_the_next_is_made() {
    let (go, may_go) = sync_channel(1);
    let server = Running::new(Drip { go: Mutex::new(may_go) }, |_| {});
    for _ in 0..20 {
        let mut stream = server.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        // The call waits for us: these blocks arrive without any help of it.
        while !answer.ends_with(b"5\r\nthree\r\n") {
            let mut buf = [0; 1000];
            let len = stream.read(&mut buf).unwrap();
            assert!(len > 0);
            answer.extend_from_slice(&buf[..len]);
        }
        go.send(()).unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "4\r\nfour\r\n4\r\nfive\r\n0\r\n\r\n");
    }
}
