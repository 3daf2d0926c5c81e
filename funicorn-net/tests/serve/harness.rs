//! A worker in this process, and services for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, ThreadId};

use funicorn_http::{Address, BodyLength, Request, ResponseHead, ResponseWriter, Service};
use funicorn_net::{
    BACKLOG, BindAddress, Control, Listener, Observer, Order, StopHandle, Worker, WorkerConfig,
};

/// Runs a worker in a thread, and stops it at the end of the test.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) stop: StopHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn new(service: impl Service + 'static, configure: impl FnOnce(&mut WorkerConfig)) -> Self {
        Self::observed(service, configure, None)
    }

    pub(crate) fn observed(
        service: impl Service + 'static,
        configure: impl FnOnce(&mut WorkerConfig),
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        Self::controlled(service, configure, observer, |_| {})
    }

    /// A server whose service is attended to when there is something to read from `source`.
    pub(crate) fn with_source(service: impl Service + 'static, source: OwnedFd, threads: usize) -> Self {
        let attend = |control: &mut Control| control.attend_to(source).unwrap();
        Self::controlled(service, |config| config.threads = threads, None, attend)
    }

    fn controlled(
        service: impl Service + 'static,
        configure: impl FnOnce(&mut WorkerConfig),
        observer: Option<Arc<dyn Observer>>,
        prepare: impl FnOnce(&mut Control),
    ) -> Self {
        let address: BindAddress = "127.0.0.1:0".parse().unwrap();
        let listeners = Listener::bind(&address, BACKLOG).unwrap();
        let Address::Tcp(addr) = listeners[0].local().clone() else { panic!("a TCP listener") };
        let mut config = WorkerConfig::default();
        configure(&mut config);
        let mut control = Control::new(None).unwrap();
        prepare(&mut control);
        let stop = control.handle();
        let worker = Worker::new(listeners, Arc::new(service), config, control, observer).unwrap();
        let thread = std::thread::spawn(move || worker.run().unwrap());
        Self { addr, stop, thread: Some(thread) }
    }

    /// The thread that runs the worker.
    pub(crate) fn runner(&self) -> ThreadId {
        self.thread.as_ref().unwrap().thread().id()
    }

    /// Waits until the worker has stopped by itself.
    pub(crate) fn wait(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).unwrap()
    }

    /// Sends `bytes` on a new connection and reads to its end.
    pub(crate) fn exchange(&self, bytes: &[u8]) -> String {
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

pub(crate) fn respond(response: ResponseWriter, body: &[u8]) {
    let mut response = response;
    let head = ResponseHead::new(200, b"OK").unwrap();
    // The client may have gone; the tests that care look at the connection.
    let _ = response
        .start(head, BodyLength::Known(body.len() as u64))
        .and_then(|()| response.send(body))
        .and_then(|()| response.finish());
}

/// Answers with the path and the length of the body.
pub(crate) struct Echo;

impl Service for Echo {
    fn call(&self, request: Request, response: ResponseWriter) {
        let text = format!("{} {:?}\n", request.head.path().escape_ascii(), request.body.len());
        respond(response, text.as_bytes());
    }
}

pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// Announces each call and waits in it until it is let go, then answers like [`Echo`].
pub(crate) struct Gate {
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

pub(crate) fn gate() -> (Gate, Receiver<String>, SyncSender<()>) {
    let (entered, has_entered) = sync_channel(100);
    let (go, may_go) = sync_channel(100);
    (Gate { entered, go: Mutex::new(may_go), large: vec![b'z'; 8_000_000] }, has_entered, go)
}
