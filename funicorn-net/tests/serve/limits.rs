//! What happens past each limit and deadline of a worker.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use funicorn_http::{BodyLength, Request, ResponseHead, ResponseWriter, Service};
use funicorn_net::WorkerConfig;

use crate::harness::{Echo, Running, body, gate, respond};

/// What a client that does nothing more is told.
fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Sends a byte whenever nothing has come for a while, until something does; returns the answer.
fn trickle(mut stream: TcpStream, byte: u8) -> String {
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut answer = Vec::new();
    for _ in 0..1000 {
        let mut buf = [0; 1000];
        match stream.read(&mut buf) {
            Ok(0) => return String::from_utf8(answer).unwrap(),
            Ok(len) => answer.extend_from_slice(&buf[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if answer.is_empty() {
                    stream.write_all(&[byte]).unwrap();
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the server takes all the time of the world")
}

#[test]
fn a_head_that_trickles_is_late_in_the_end() {
    let server = Running::new(Echo, |config| config.deadlines.head = Duration::from_millis(500));
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    assert!(trickle(stream, b'x').starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_connection_on_which_nothing_comes_is_closed_without_a_word() {
    let server = Running::new(Echo, |config| config.deadlines.head = Duration::from_millis(10));
    assert_eq!(rest(server.connect()), "");
}

#[test]
fn a_body_that_trickles_is_late_though_it_never_pauses() {
    let server = Running::new(Echo, |config| {
        config.deadlines.body = Duration::from_millis(500);
        config.deadlines.min_body_rate = 1000;
    });
    let mut stream = server.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n").unwrap();
    assert!(trickle(stream, b'x').starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_chunked_body_of_tiny_chunks_is_late_too() {
    // With a least rate and without.
    for min_body_rate in [1000, 0] {
        let server = Running::new(Echo, |config| {
            config.deadlines.body = Duration::from_millis(500);
            config.deadlines.min_body_rate = min_body_rate;
        });
        let mut stream = server.connect();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;").unwrap();
        assert!(
            trickle(stream, b'x').starts_with("HTTP/1.1 408 "),
            "in an extension, where no bytes of the body come"
        );
    }
}

fn assert_cut(stream: &mut TcpStream) {
    let error = stream.read(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_request_that_is_not_answered_in_time_is_cut_while_the_call_goes_on() {
    let (service, entered, go) = gate();
    let server = Running::new(service, |config| config.deadlines.request = Some(Duration::from_secs(2)));
    let mut stream = server.connect();
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    entered.recv().unwrap();
    assert_cut(&mut stream);
    go.send(()).unwrap();
    let answer = server.exchange(b"GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(body(&answer), "/next Some(0)\n");
}

#[test]
fn a_request_that_was_answered_in_time_is_not_cut_later() {
    let (service, entered, go) = gate();
    let server = Running::new(service, |config| {
        config.threads = 2;
        config.deadlines.request = Some(Duration::from_secs(4));
    });
    let mut stream = server.connect();
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    entered.recv().unwrap();
    // The loop goes on in the other thread, and has nothing to do when the call ends.
    server.exchange(b"GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    go.send(()).unwrap();
    assert!(stream.read(&mut [0; 1000]).unwrap() > 0);
    // When one that came later is cut, the time of the first has passed.
    let mut later = server.connect();
    later.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    entered.recv().unwrap();
    assert_cut(&mut later);
    go.send(()).unwrap();
    stream.write_all(b"GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(body(&answer), "/next Some(0)\n");
}

#[test]
fn keep_alive_can_be_turned_off() {
    let server = Running::new(Echo, |config| config.deadlines.keep_alive = Duration::ZERO);
    let answer = server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
}

#[test]
fn requests_that_wait_behind_too_many_are_turned_away() {
    let (service, entered, go) = gate();
    let server = Running::new(service, |config| {
        config.limits.queue = 2;
        config.deadlines.queue = Duration::ZERO;
    });
    let ask = |path: &str| {
        let mut stream = server.connect();
        let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let running = ask("/wait");
    entered.recv().unwrap();
    // The only thread is busy: of these, two may wait. Which two is up to the order in which they are accepted.
    let mut waiting: Vec<_> = (0..5).map(|_| Some(ask("/next"))).collect();
    let mut refused = 0;
    for _ in 0..1000 {
        if refused == 3 {
            break;
        }
        for place in &mut waiting {
            let Some(stream) = place else { continue };
            stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            if stream.peek(&mut [0]).is_ok() {
                let answer = rest(place.take().unwrap());
                assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
                assert!(answer.contains("\r\nRetry-After: "), "{answer}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 3);
    go.send(()).unwrap();
    assert_eq!(body(&rest(running)), "/wait Some(0)\n");
    for stream in waiting.into_iter().flatten() {
        stream.set_read_timeout(None).unwrap();
        assert_eq!(body(&rest(stream)), "/next Some(0)\n");
    }
}

fn two_connections(config: &mut WorkerConfig) {
    config.limits.connections = 2;
}

#[test]
fn idle_connections_make_room_for_new_ones() {
    let server = Running::new(Echo, two_connections);
    let mut idle: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for stream in &mut idle {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 1000]).unwrap() > 0);
    }
    let answer = server.exchange(b"GET /new HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(body(&answer), "/new Some(0)\n");
}

#[test]
fn connections_in_use_make_new_ones_wait() {
    let (service, entered, go) = gate();
    let server = Running::new(service, |config| {
        two_connections(config);
        config.threads = 2;
    });
    let mut busy: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for stream in &mut busy {
        stream.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        entered.recv().unwrap();
    }
    let mut third = server.connect();
    third.write_all(b"GET /third HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(third.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "both places are taken");
    third.set_read_timeout(None).unwrap();
    go.send(()).unwrap();
    assert_eq!(body(&rest(third)), "/third Some(0)\n");
    go.send(()).unwrap();
    for stream in busy {
        assert_eq!(body(&rest(stream)), "/wait Some(0)\n");
    }
}

#[test]
fn a_body_that_has_no_place_is_refused() {
    let server = Running::new(Echo, |config| {
        config.limits.body_buffer = 10;
        config.limits.spool = 0;
    });
    let small =
        server.exchange(b"POST /s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(body(&small), "/s Some(2)\n");
    let mut stream = server.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
        .unwrap();
    let answer = rest(stream);
    assert!(answer.starts_with("HTTP/1.1 503 "), "before any 100: {answer}");
    assert!(answer.contains("\r\nRetry-After: "), "{answer}");
}

/// Streams numbered blocks and says when it has handed over the last one.
struct Numbers {
    blocks: u32,
    done: SyncSender<()>,
}

const BLOCK: usize = 10_000;

impl Service for Numbers {
    fn call(&self, _: Request, mut response: ResponseWriter) {
        response.start(ResponseHead::new(200, b"OK").unwrap(), BodyLength::Unknown).unwrap();
        for number in 0..self.blocks {
            response.send(&number.to_be_bytes().repeat(BLOCK / 4)).unwrap();
        }
        response.finish().unwrap();
        self.done.send(()).unwrap();
    }
}

/// Reads the response of [`Numbers`] and checks every byte of it.
fn check_numbers(mut stream: TcpStream, blocks: u32) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let mut rest = &bytes[bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4..];
    for number in 0..blocks {
        let chunk = [b"2710\r\n".to_vec(), number.to_be_bytes().repeat(BLOCK / 4), b"\r\n".to_vec()].concat();
        rest = rest.strip_prefix(&chunk[..]).unwrap_or_else(|| panic!("block {number} is not what was sent"));
    }
    assert_eq!(rest, b"0\r\n\r\n");
}

#[test]
fn a_response_goes_on_in_a_file_so_that_its_call_need_not_wait() {
    let (done, is_done) = sync_channel(1);
    let server =
        Running::new(Numbers { blocks: 3000, done }, |config| config.limits.response_memory = 50_000);
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    // 30 MB are more than the kernel keeps; the client has read nothing, and yet the call ends.
    is_done.recv().unwrap();
    check_numbers(stream, 3000);
}

#[test]
fn past_the_spool_the_call_waits_for_its_client() {
    let (done, is_done) = sync_channel(1);
    let server = Running::new(Numbers { blocks: 3000, done }, |config| {
        config.limits.response_memory = 50_000;
        config.limits.response_spool = 3_000_000;
    });
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert!(is_done.recv_timeout(Duration::from_millis(300)).is_err(), "it cannot have handed over all");
    check_numbers(stream, 3000);
    is_done.recv().unwrap();
}

#[test]
fn without_a_disk_the_call_waits_for_its_client() {
    let (done, is_done) = sync_channel(1);
    let server = Running::new(Numbers { blocks: 3000, done }, |config| {
        config.limits.response_memory = 50_000;
        config.spool_dir = "/nowhere".into();
    });
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert!(is_done.recv_timeout(Duration::from_millis(300)).is_err(), "it cannot have handed over all");
    check_numbers(stream, 3000);
    is_done.recv().unwrap();
}

/// Keeps something with the header lines of each request, which tells when it is let go of.
struct Keeper(SyncSender<bool>);

/// Whether it stays with its lines: those that are repeated have something already.
struct Kept(SyncSender<bool>, bool);

impl Drop for Kept {
    fn drop(&mut self) {
        let Self(let_go, stays) = self;
        let_go.send(*stays).unwrap();
    }
}

impl Service for Keeper {
    fn call(&self, request: Request, response: ResponseWriter) {
        let is_repeated = request.head.headers().is_repeated();
        request.head.headers().keep(Kept(self.0.clone(), !is_repeated));
        drop(request);
        respond(response, if is_repeated { b"repeated" } else { b"new" });
    }
}

#[test]
fn a_connection_that_rests_forgets_the_lines_of_its_last_request() {
    let (tell, let_go) = sync_channel(10);
    let server = Running::new(Keeper(tell), |_| {});
    let mut stream = server.connect();
    let mut ask = |requests: usize, last_answer: &str| {
        stream.write_all(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(requests)).unwrap();
        let mut answers = Vec::new();
        while !answers.ends_with(last_answer.as_bytes()) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answers.extend(byte);
        }
    };
    // The second comes with the first, so that there is no rest between them.
    ask(2, "repeated");
    assert!(!let_go.recv().unwrap(), "what the second request brought finds a place that is taken");
    // Without another request; and then there is nothing that could be repeated.
    assert!(let_go.recv().unwrap());
    ask(1, "new");
}
