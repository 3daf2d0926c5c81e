//! Whose request is it? A worker over real sockets, with what proxies say about their clients.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use funicorn_http::{Address, BodyLength, ProxyProtocol, Request, ResponseHead, ResponseWriter, Service};
use funicorn_net::{
    BACKLOG, BindAddress, Control, Exchange, Listener, Observer, Order, StopHandle, Worker, WorkerConfig,
};

/// Answers with the client's address.
struct Who;

impl Service for Who {
    fn call(&self, request: Request, mut response: ResponseWriter) {
        let text = request.connection.peer.to_string();
        response
            .start(ResponseHead::new(200, b"OK").unwrap(), BodyLength::Known(text.len() as u64))
            .and_then(|()| response.send(text.as_bytes()))
            .and_then(|()| response.finish())
            .unwrap();
    }
}

/// Tells the client's address of each exchange.
struct Told(Mutex<SyncSender<String>>);

impl Observer for Told {
    fn exchange(&self, exchange: &Exchange<'_>) {
        self.0.lock().unwrap().send(exchange.connection.peer.to_string()).unwrap();
    }
}

/// A worker that ends with the test.
struct Running {
    addr: SocketAddr,
    told: Receiver<String>,
    stop: StopHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn new(configure: impl FnOnce(&mut WorkerConfig)) -> Self {
        let address: BindAddress = "127.0.0.1:0".parse().unwrap();
        let listeners = Listener::bind(&address, BACKLOG).unwrap();
        let Address::Tcp(addr) = listeners[0].local().clone() else { panic!("a TCP listener") };
        let mut config = WorkerConfig::default();
        configure(&mut config);
        let control = Control::new(None).unwrap();
        let stop = control.handle();
        let (tell, told) = sync_channel(100);
        let observer = Arc::new(Told(Mutex::new(tell)));
        let worker = Worker::new(listeners, Arc::new(Who), config, control, Some(observer)).unwrap();
        let thread = std::thread::spawn(move || worker.run().unwrap());
        Self { addr, told, stop, thread: Some(thread) }
    }

    /// Sends `text` and a request that is the last of its connection; returns the answer's status and body.
    fn exchange(&self, start: &str, lines: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        let text = format!("{start}GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].to_owned(), body.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop(Order::StopGracefully);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

#[test]
fn the_service_and_the_observer_are_told_the_client() {
    let server = Running::new(|config| config.proxy_protocol = ProxyProtocol::Auto);
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
    let server = Running::new(|_| {});
    let (status, _) = server.exchange("", "X-Forwarded-Proto: x\r\n");
    assert_eq!(status, "400");
    assert_eq!(server.exchange("", "X-Forwarded-For: 192.0.2.1\r\n").1, "192.0.2.1");
    assert_eq!(server.told.recv().unwrap(), "192.0.2.1");
}

#[test]
fn a_proxy_header_that_trickles_in_has_the_time_of_a_head_and_no_more() {
    let server = Running::new(|config| {
        config.proxy_protocol = ProxyProtocol::Auto;
        config.deadlines.head = Duration::from_millis(500);
    });
    let mut stream = TcpStream::connect(server.addr).unwrap();
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
