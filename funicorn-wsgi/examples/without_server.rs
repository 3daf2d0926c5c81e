//! A WSGI application called from Rust, with no server: one GET, its answer on standard output.
//!
//! `cargo run -p funicorn-wsgi --example without_server -- hello:app /path`, in the directory of `hello.py`.

use std::env::args;
use std::error::Error;
use std::io::{Read, Seek, SeekFrom, Write, copy, stdout};
use std::sync::Arc;

use bytes::Bytes;
use funicorn_http::{
    AbortReason, Address, Body, BodyLength, ConnectionInfo, FileRange, Request, RequestHead, ResponseHead,
    ResponseSink, ResponseWriter, SendError, Service,
};
use funicorn_wsgi::{Interpreter, InterpreterConfig, WsgiConfig, WsgiService};

struct Print;

impl ResponseSink for Print {
    fn start(&mut self, head: ResponseHead, _length: BodyLength) -> Result<(), SendError> {
        println!("{}\n{}", head.code(), String::from_utf8_lossy(head.lines()));
        Ok(())
    }
    fn send(&mut self, block: &[u8], _rest: &mut dyn FnMut(usize) -> Bytes) -> Result<(), SendError> {
        stdout().write_all(block).map_err(|_| SendError::Gone)
    }
    fn send_file(&mut self, FileRange { mut file, offset, len }: FileRange) -> Result<(), SendError> {
        let seek = file.seek(SeekFrom::Start(offset));
        seek.and_then(|_| copy(&mut file.take(len), &mut stdout())).map(drop).map_err(|_| SendError::Gone)
    }
    fn room(&self) -> Option<u64> {
        None
    }
    fn finish(self: Box<Self>) -> Result<(), SendError> {
        Ok(())
    }
    fn abort(self: Box<Self>, _reason: AbortReason) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let application = args().nth(1).ok_or("usage: without_server MODULE[:APP] [PATH]")?.parse()?;
    let here = Address::Tcp("127.0.0.1:80".parse()?);
    let interpreter = Interpreter::start(&InterpreterConfig::default())?;
    let service = WsgiService::load(&application, WsgiConfig::default())?;
    let head = RequestHead::builder("GET", &args().nth(2).unwrap_or_else(|| "/".to_owned())).build();
    let request = Request::new(head, Body::empty(), Arc::new(ConnectionInfo::new(here.clone(), here)));
    service.call(request, ResponseWriter::new(Box::new(Print)));
    interpreter.finalize();
    Ok(())
}
