//! How slowly may a client take its response? By how much of it reaches its machine, whatever the output is made of.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use funicorn_http::{BodyLength, FileRange, Request, ResponseHead, ResponseWriter, Service};
use funicorn_net::WorkerConfig;

use crate::harness::{Running, respond};

/// Bytes of each response: more than the kernel keeps.
const LEN: usize = 12_000_000;

/// Answers with [`LEN`] bytes, in the way that the path says.
struct Large;

impl Service for Large {
    fn call(&self, request: Request, mut response: ResponseWriter) {
        match request.head.path() {
            b"/block" => respond(response, &vec![b'x'; LEN]),
            b"/file" => {
                let file = tempfile::tempfile().unwrap();
                file.set_len(LEN as u64).unwrap();
                let head = ResponseHead::new(200, b"OK").unwrap();
                response.start(head, BodyLength::Known(LEN as u64)).unwrap();
                let sent = response.send_file(FileRange { file, offset: 0, len: LEN as u64 });
                let _ = sent.and_then(|()| response.finish());
            }
            _ => {
                let head = ResponseHead::new(200, b"OK").unwrap();
                response.start(head, BodyLength::Known(LEN as u64)).unwrap();
                let block = vec![b'x'; 10_000];
                let sent = (0..LEN / block.len()).try_for_each(|_| response.send(&block));
                let _ = sent.and_then(|()| response.finish());
            }
        }
    }
}

/// The kinds of output: a block in memory, a file, a stream that goes on in a file, and one whose call waits for its client.
const KINDS: [(&str, u64); 4] = [("/block", 0), ("/file", 0), ("/spooled", 1 << 30), ("/waiting", 0)];

fn serve(spool: u64, min_send_rate: u64) -> Running {
    Running::new(Large, |config: &mut WorkerConfig| {
        config.limits.response_memory = 50_000;
        config.limits.response_spool = spool;
        config.deadlines.write = Duration::from_secs(2);
        config.deadlines.min_send_rate = min_send_rate;
    })
}

fn ask(server: &Running, path: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8192).unwrap();
    socket.connect(&server.addr.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    stream
}

/// Takes `block` bytes fifty times a second until it is cut or `time` is over; returns how much, and whether it was cut.
fn take(stream: &mut TcpStream, block: usize, time: Duration) -> (usize, bool) {
    let (start, mut taken, mut buf) = (Instant::now(), 0, vec![0; block]);
    while start.elapsed() < time {
        match stream.read(&mut buf) {
            Ok(len) if stream.take_error().unwrap().is_none() => taken += len,
            _ => return (taken, true),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    (taken, false)
}

#[test]
fn a_client_that_takes_less_than_the_least_rate_is_cut_whatever_waits_for_it() {
    std::thread::scope(|scope| {
        for (path, spool) in KINDS {
            scope.spawn(move || {
                let server = serve(spool, 1_000_000);
                let mut stream = ask(&server, path);
                let (taken, is_cut) = take(&mut stream, 1000, Duration::from_secs(20));
                assert!(is_cut, "{path}: {taken} bytes in 20 s");
            });
        }
    });
}

#[test]
fn a_steady_client_is_not_cut_though_its_socket_is_full_for_longer_than_the_deadline() {
    std::thread::scope(|scope| {
        for (path, spool) in KINDS {
            scope.spawn(move || {
                let server = serve(spool, 1000);
                let mut stream = ask(&server, path);
                let (taken, is_cut) = take(&mut stream, 1000, Duration::from_secs(6));
                assert!(!is_cut, "{path}: after {taken} bytes");
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).unwrap();
                assert!(taken + rest.len() > LEN, "{path}: the response is whole");
            });
        }
    });
}

#[test]
fn a_client_that_takes_nothing_is_cut_even_without_a_least_rate() {
    let server = serve(0, 0);
    let mut stream = ask(&server, "/block");
    while stream.take_error().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut rest = Vec::new();
    assert!(stream.read_to_end(&mut rest).is_err() || rest.len() < LEN);
}

/// Sends a block after which it makes nothing for longer than every deadline, and another one.
struct Pausing;

impl Service for Pausing {
    fn call(&self, _: Request, mut response: ResponseWriter) {
        let head = ResponseHead::new(200, b"OK").unwrap();
        response.start(head, BodyLength::Known(LEN as u64 + 1)).unwrap();
        let sent = response.send(&vec![b'x'; LEN]);
        std::thread::sleep(Duration::from_secs(4));
        let _ = sent.and_then(|()| response.send(b"y")).and_then(|()| response.finish());
    }
}

#[test]
fn an_application_that_pauses_does_not_cost_its_client_the_connection() {
    let server = Running::new(Pausing, |config| {
        config.deadlines.write = Duration::from_secs(1);
        config.deadlines.min_send_rate = 10_000_000;
    });
    let answer = server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.ends_with("xy"));
}
