//! A block that its client has taken is let go of though no thread ever attaches again; so it stands in a process of its own.
#![allow(missing_docs, clippy::unwrap_used, reason = "test")]

use std::io::Read;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use funicorn_http::{
    AbortReason, Address, Body, BodyLength, ConnectionInfo, FileRange, Request, RequestHead, ResponseHead,
    ResponseSink, ResponseWriter, SendError, Service,
};
use funicorn_wsgi::{Interpreter, InterpreterConfig, WsgiConfig, WsgiService};

/// Keeps every block for a client that has not read it.
struct Keeping(Sender<Bytes>);

impl ResponseSink for Keeping {
    fn start(&mut self, _: ResponseHead, _: BodyLength) -> Result<(), SendError> {
        Ok(())
    }

    fn send(&mut self, _: &[u8], rest: &mut dyn FnMut(usize) -> Bytes) -> Result<(), SendError> {
        self.0.send(rest(0)).map_err(|_| SendError::Gone)
    }

    fn send_file(&mut self, _: FileRange) -> Result<(), SendError> {
        Err(SendError::Order)
    }

    fn room(&self) -> Option<u64> {
        None
    }

    fn finish(self: Box<Self>) -> Result<(), SendError> {
        Ok(())
    }

    fn abort(self: Box<Self>, _: AbortReason) {}
}

#[test]
fn a_block_that_has_left_is_let_go_of_without_another_request() {
    let directory = std::env::temp_dir().join(format!("funicorn-retired-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(
        directory.join("retiring.py"),
        "import os\n\
         class Block(bytes):\n    def __del__(self):\n        os.write(int(self), b'x')\n\
         def app(environ, start_response):\n    start_response('200 OK', [])\n    \
         return [Block(environ['QUERY_STRING'].encode())]\n",
    )
    .unwrap();
    let mut config = InterpreterConfig::default();
    config.pythonpath = vec![directory.clone()];
    let interpreter = Interpreter::start(&config).unwrap();
    let service = WsgiService::load(&"retiring".parse().unwrap(), WsgiConfig::default()).unwrap();
    let here = Address::Tcp("127.0.0.1:80".parse().unwrap());
    let connection = Arc::new(ConnectionInfo::new(here.clone(), here));
    for _ in 0..3 {
        let (mut gone, its_end) = std::io::pipe().unwrap();
        let target = format!("/?{}", its_end.as_raw_fd());
        let request = Request::new(
            RequestHead::builder("GET", &target).build(),
            Body::empty(),
            Arc::clone(&connection),
        );
        let (keep, kept) = channel();
        service.call(request, ResponseWriter::new(Box::new(Keeping(keep))));
        let block = kept.recv().unwrap();
        let (tell, told) = channel();
        std::thread::spawn(move || tell.send(gone.read(&mut [0]).unwrap()).unwrap());
        assert!(told.recv_timeout(Duration::from_millis(200)).is_err(), "its client has not taken it");
        drop(block);
        assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(1));
        drop(its_end);
    }
    drop(service);
    interpreter.finalize();
    std::fs::remove_dir_all(directory).unwrap();
}
