//! A worker serves a Rust service over real sockets: no Python, no command.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use funicorn_http::{Address, BodyLength, Request, ResponseHead, ResponseWriter, Service};
use funicorn_net::{BACKLOG, BindAddress, Control, Listener, Order, StopHandle, Worker, WorkerConfig};

/// Runs a worker in a thread, and stops it at the end of the test.
struct Running {
    addr: SocketAddr,
    stop: StopHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn new(service: impl Service + 'static, configure: impl FnOnce(&mut WorkerConfig)) -> Self {
        let address: BindAddress = "127.0.0.1:0".parse().unwrap();
        let listeners = Listener::bind(&address, BACKLOG).unwrap();
        let Address::Tcp(addr) = listeners[0].local().clone() else { panic!("a TCP listener") };
        let mut config = WorkerConfig::default();
        configure(&mut config);
        let control = Control::new(None).unwrap();
        let stop = control.handle();
        let worker = Worker::new(listeners, Arc::new(service), config, control, None).unwrap();
        let thread = std::thread::spawn(move || worker.run().unwrap());
        Self { addr, stop, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).unwrap()
    }

    /// Sends `bytes` on a new connection and reads to its end.
    fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop(Order::StopGracefully);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

fn respond(response: ResponseWriter, body: &[u8]) {
    let mut response = response;
    let head = ResponseHead::new(200, b"OK").unwrap();
    // The client may have gone; the tests that care look at the connection.
    let _ = response
        .start(head, BodyLength::Known(body.len() as u64))
        .and_then(|()| response.send(body))
        .and_then(|()| response.finish());
}

/// Answers with the path and the length of the body.
struct Echo;

impl Service for Echo {
    fn call(&self, request: Request, response: ResponseWriter) {
        let text = format!("{} {:?}\n", request.head.path().escape_ascii(), request.body.len());
        respond(response, text.as_bytes());
    }
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

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
    let server = Running::new(Echo, |config| config.body_memory = 1000);
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

/// Announces each call and waits in it until it is let go, then answers like [`Echo`].
struct Gate {
    entered: SyncSender<String>,
    go: Mutex<Receiver<()>>,
    large: Vec<u8>,
}

impl Service for Gate {
    fn call(&self, request: Request, response: ResponseWriter) {
        let path = request.head.path().escape_ascii().to_string();
        if path == "/large" {
            return respond(response, &self.large);
        }
        if path.starts_with("/wait") {
            self.entered.send(path).unwrap();
            self.go.lock().unwrap().recv().unwrap();
        }
        Echo.call(request, response);
    }
}

fn gate() -> (Gate, Receiver<String>, SyncSender<()>) {
    let (entered, has_entered) = sync_channel(100);
    let (go, may_go) = sync_channel(100);
    (Gate { entered, go: Mutex::new(may_go), large: vec![b'z'; 8_000_000] }, has_entered, go)
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
    let server = Running::new(Flood(1000), |config| config.response_memory = 300_000);
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
