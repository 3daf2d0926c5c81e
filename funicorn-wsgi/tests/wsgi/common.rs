//! Runs small Python applications without a server: a response sink that keeps what it is given.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::ffi::CString;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};

use bytes::Bytes;
use funicorn_http::{
    AbortReason, Address, Body, BodyLength, ConnectionInfo, FileRange, Request, RequestHead,
    RequestHeadBuilder, ResponseHead, ResponseSink, ResponseWriter, SendError, Service,
};
use funicorn_wsgi::{ErrorLog, Interpreter, InterpreterConfig, LoadError, WsgiConfig, WsgiService};
use pyo3::prelude::*;

/// Starts the interpreter that all tests of a binary share, and the log that they look into.
pub fn start_python() {
    static START: Once = Once::new();
    START.call_once(|| {
        let mut config = InterpreterConfig::default();
        config.argv = vec!["funicorn".into(), "app:app".into()];
        // Python stays alive until the process ends.
        let _ = Interpreter::start(&config).unwrap();
        log::set_logger(&LOG).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// Keeps every log line of the process.
struct Log(Mutex<Vec<String>>);

static LOG: Log = Log(Mutex::new(Vec::new()));

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

/// The log lines that contain `text`.
pub fn logged(text: &str) -> Vec<String> {
    LOG.0.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Finished,
    TooShort,
    Aborted(AbortReason),
}

/// What a sink was given.
#[derive(Debug, Default)]
pub struct Record {
    pub head: Option<ResponseHead>,
    pub length: Option<BodyLength>,
    /// The blocks as they came.
    pub blocks: Vec<Vec<u8>>,
    /// How many of the blocks were files.
    pub files: usize,
    pub end: Option<End>,
    sent: u64,
}

impl Record {
    pub fn status(&self) -> u16 {
        self.head.as_ref().expect("a head").code()
    }

    pub fn headers(&self) -> String {
        String::from_utf8_lossy(self.head.as_ref().expect("a head").lines()).into_owned()
    }

    pub fn body(&self) -> Vec<u8> {
        self.blocks.concat()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body()).expect("text")
    }
}

/// A client that may go away.
#[derive(Clone, Default)]
pub struct Client {
    pub record: Arc<Mutex<Record>>,
    /// After how many blocks the client is gone; 0 is never.
    pub gone_after: usize,
    /// Called for each block before it is taken.
    pub on_block: Option<Arc<dyn Fn(usize) + Send + Sync>>,
}

impl Client {
    pub fn writer(&self) -> ResponseWriter {
        ResponseWriter::new(Box::new(Sink(self.clone())))
    }
}

struct Sink(Client);

impl Sink {
    fn take(&mut self, block: Vec<u8>) -> Result<(), SendError> {
        let count = self.0.record.lock().unwrap().blocks.len();
        if let Some(on_block) = &self.0.on_block {
            on_block(count);
        }
        let mut record = self.0.record.lock().unwrap();
        if self.0.gone_after > 0 && count >= self.0.gone_after {
            return Err(SendError::Gone);
        }
        let room = match record.length {
            Some(BodyLength::Known(len)) => len - record.sent,
            Some(BodyLength::Unknown) => u64::MAX,
            None => return Err(SendError::Order),
        };
        let len = room.min(block.len() as u64) as usize;
        record.sent += len as u64;
        record.blocks.push(block[..len].to_vec());
        if len < block.len() { Err(SendError::TooLong) } else { Ok(()) }
    }
}

impl ResponseSink for Sink {
    fn start(&mut self, head: ResponseHead, length: BodyLength) -> Result<(), SendError> {
        let mut record = self.0.record.lock().unwrap();
        if record.head.is_some() {
            return Err(SendError::Order);
        }
        record.head = Some(head);
        record.length = Some(length);
        Ok(())
    }

    fn send(&mut self, block: &[u8], rest: &mut dyn FnMut(usize) -> Bytes) -> Result<(), SendError> {
        // Half of it "leaves at once", to see that the rest is the rest.
        let taken = block.len() / 2;
        let rest = rest(taken);
        assert_eq!(rest, block[taken..]);
        self.take([&block[..taken], &rest].concat())
    }

    fn send_file(&mut self, range: FileRange) -> Result<(), SendError> {
        let mut block = vec![0; range.len as usize];
        range.file.read_exact_at(&mut block, range.offset).unwrap();
        self.0.record.lock().unwrap().files += 1;
        self.take(block)
    }

    fn room(&self) -> Option<u64> {
        let record = self.0.record.lock().unwrap();
        match record.length {
            Some(BodyLength::Known(len)) => Some(len - record.sent),
            _ => None,
        }
    }

    fn finish(self: Box<Self>) -> Result<(), SendError> {
        let missing = self.room().unwrap_or(0) > 0;
        self.0.record.lock().unwrap().end = Some(if missing { End::TooShort } else { End::Finished });
        if missing { Err(SendError::TooShort) } else { Ok(()) }
    }

    fn abort(self: Box<Self>, reason: AbortReason) {
        self.0.record.lock().unwrap().end = Some(End::Aborted(reason));
    }
}

/// A Python module made of `source`, under a name of its own.
pub fn module(source: &str) -> String {
    start_python();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("application_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    // Rust's indentation is not Python's.
    let program = Python::attach(|py| -> PyResult<String> {
        py.import("textwrap")?.call_method1("dedent", (source,))?.extract()
    });
    let c_string = |text: &str| CString::new(text).unwrap();
    Python::attach(|py| {
        let code = c_string(&program.unwrap());
        let file = c_string(&format!("{name}.py"));
        PyModule::from_code(py, &code, &file, &c_string(&name)).map(drop)
    })
    .unwrap();
    name
}

/// An application and what happened in it.
pub struct App {
    pub service: WsgiService,
    pub module: String,
    pub errors: Arc<Mutex<Vec<u8>>>,
}

/// The `application` or `app` of `source`.
pub fn app(source: &str) -> App {
    app_with(source, |_| {})
}

/// With another configuration than the default.
pub fn app_with(source: &str, configure: impl FnOnce(&mut WsgiConfig)) -> App {
    start_python();
    // Attached from here on: a thread that detaches for good loses its context, and with it what the module sets.
    Python::attach(|_| app_of(module(source), configure))
}

fn app_of(module: String, configure: impl FnOnce(&mut WsgiConfig)) -> App {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let mut config = WsgiConfig::default();
    config.errors = ErrorLog::new(Shared(Arc::clone(&errors)));
    configure(&mut config);
    let service = WsgiService::load(&module.parse().unwrap(), config).unwrap();
    App { service, module, errors }
}

/// Loads `spec` with the default configuration.
pub fn load(spec: &str) -> Result<WsgiService, LoadError> {
    start_python();
    WsgiService::load(&spec.parse().unwrap(), WsgiConfig::default())
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl App {
    /// Answers a GET of `target`.
    pub fn get(&self, target: &str) -> Record {
        self.call(get(target), Body::empty())
    }

    /// Answers a POST with `body`.
    pub fn post(&self, body: impl Into<Body>) -> Record {
        let body = body.into();
        let len = body.len().unwrap().to_string();
        self.call(RequestHead::builder("POST", "/").header("Content-Length", len), body)
    }

    pub fn call(&self, head: RequestHeadBuilder, body: Body) -> Record {
        self.call_from(&Client::default(), head, body, connection("127.0.0.1:8000"))
    }

    pub fn call_from(
        &self,
        client: &Client,
        head: RequestHeadBuilder,
        body: Body,
        connection: ConnectionInfo,
    ) -> Record {
        self.service.call(Request::new(head.build(), body, Arc::new(connection)), client.writer());
        std::mem::take(&mut *client.record.lock().unwrap())
    }

    /// `repr` of a global of the application's module.
    pub fn global(&self, name: &str) -> String {
        Python::attach(|py| {
            let value = py.import(self.module.as_str()).unwrap().getattr(name).unwrap();
            value.repr().unwrap().to_string()
        })
    }

    pub fn errors(&self) -> String {
        String::from_utf8(self.errors.lock().unwrap().clone()).unwrap()
    }
}

pub fn get(target: &str) -> RequestHeadBuilder {
    RequestHead::builder("GET", target).header("Host", "a.example")
}

/// A connection to a TCP listener at `local`.
pub fn connection(local: &str) -> ConnectionInfo {
    ConnectionInfo::new(Address::Tcp("192.0.2.7:4711".parse().unwrap()), Address::Tcp(local.parse().unwrap()))
}

/// A body that is read through a reader, as a spooled one is.
pub fn spooled(bytes: impl AsRef<[u8]>) -> Body {
    let bytes = bytes.as_ref().to_vec();
    let len = bytes.len() as u64;
    Body::from_reader(Box::new(Trickle(std::io::Cursor::new(bytes))), len)
}

/// Gives seven bytes at a time.
struct Trickle(std::io::Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(7);
        self.0.read(&mut buf[..len])
    }
}
