//! Who calls the application when another server has the sockets? A [`ThreadPool`]: threads that attach to the interpreter
//! once and stay.
//!
//! `funicorn-net` has application threads of its own and needs none of this. It is for programs whose server is
//! another one, an asynchronous one for instance, which must not be held up by an application that blocks.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use funicorn_http::{Request, RequestHead, ResponseWriter, SendError, Service, StartedThread, ThreadEnd};

use crate::ResponsePart;
use crate::parts::PartSink;

/// How many threads call, and how many requests may wait for one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Threads, each of which runs one request at a time: 1, as gunicorn has it. With more, say so to the application in
    /// [`WsgiConfig::multithread`](crate::WsgiConfig::multithread).
    pub threads: usize,
    /// Requests that may wait until a thread is free: 1024 (granian: without limit).
    pub waiting: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { threads: 1, waiting: 1024 }
    }
}

/// Threads that call a service: each lives inside [`Service::thread`], so that it attaches to the interpreter once and a
/// `threading.local` survives from request to request, and waits inside [`Service::blocking`], detached.
///
/// A request is handed over with [`submit`](Self::submit), together with the writer of its response. One that hands each
/// part of the response to a channel or to whatever else the server has comes from [`writer`](Self::writer).
///
/// When it is dropped it waits until the requests that it has taken are answered. It can be used with any [`Service`]:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::mpsc::channel;
///
/// use funicorn_http::{
///     Address, Body, BodyLength, ConnectionInfo, Request, RequestHead, ResponseHead, ResponseWriter, SendError, Service,
/// };
/// use funicorn_wsgi::{PoolConfig, ResponsePart, ThreadPool};
///
/// struct Hello;
///
/// impl Service for Hello {
///     fn call(&self, _request: Request, mut response: ResponseWriter) {
///         let head = ResponseHead::new(200, b"OK").expect("a valid status");
///         let _ = response.start(head, BodyLength::Known(5)).and_then(|()| response.send(b"hello")).and_then(|()| response.finish());
///     }
/// }
///
/// let pool = ThreadPool::start(Arc::new(Hello), &PoolConfig::default())?;
/// let here = Address::Tcp("127.0.0.1:80".parse()?);
/// let connection = Arc::new(ConnectionInfo::new(here.clone(), here));
/// let request = Request::new(RequestHead::builder("GET", "/").build(), Body::empty(), connection);
/// let (parts, received) = channel();
/// let response = pool.writer(&request.head, move |part| parts.send(part).map_err(|_| SendError::Gone));
/// pool.submit(request, response).map_err(|_| "the pool is busy")?;
///
/// let Ok(ResponsePart::Head(head)) = received.recv() else { panic!("no head") };
/// assert_eq!((head.code(), head.content_length()), (200, Some(5)));
/// let Ok(ResponsePart::Block(block)) = received.recv() else { panic!("no block") };
/// assert_eq!(block, "hello");
/// assert!(matches!(received.recv(), Ok(ResponsePart::End)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ThreadPool {
    service: Arc<dyn Service>,
    /// Taken at the end, which tells the threads.
    calls: Option<SyncSender<Call>>,
    /// What waits for the end of each.
    threads: Vec<ThreadEnd>,
}

/// The stack of an ordinary thread: what the system gives to a program's main thread, since an application may count on that.
const STACK: usize = 8 << 20;

/// A request that waits for a thread.
struct Call {
    request: Request,
    response: ResponseWriter,
}

/// What [`ThreadPool::submit`] gives back when as many requests wait as may: the means to answer 503.
#[derive(Debug)]
#[non_exhaustive]
pub struct Busy {
    /// The request.
    pub request: Request,
    /// The writer of its response.
    pub response: ResponseWriter,
}

impl ThreadPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system cannot start a thread; those that were started end.
    pub fn start(service: Arc<dyn Service>, config: &PoolConfig) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(config.waiting);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut pool = Self { service, calls: Some(sender), threads: Vec::new() };
        for number in 0..config.threads.max(1) {
            pool.threads.push(start_thread(number + 1, &pool.service, &receiver)?);
        }
        Ok(pool)
    }

    /// Has the next free thread answer `request` through `response`. Never waits.
    ///
    /// # Errors
    /// [`Busy`] when as many requests wait as may.
    pub fn submit(&self, request: Request, response: ResponseWriter) -> Result<(), Box<Busy>> {
        let call = Call { request, response };
        let outcome = match &self.calls {
            Some(calls) => calls.try_send(call),
            None => Err(TrySendError::Disconnected(call)),
        };
        outcome.map_err(|error| {
            let (TrySendError::Full(call) | TrySendError::Disconnected(call)) = error;
            Box::new(Busy { request: call.request, response: call.response })
        })
    }

    /// The writer of a response to `request` that calls `take` for each part of it, on the thread that answers.
    ///
    /// `take` may wait for a client that is slow to read: the thread lets go of the interpreter meanwhile. When the client
    /// has gone it says [`SendError::Gone`], and the application is stopped at its next block: `close()` is called.
    pub fn writer(
        &self,
        request: &RequestHead,
        take: impl FnMut(ResponsePart) -> Result<(), SendError> + Send + 'static,
    ) -> ResponseWriter {
        ResponseWriter::new(Box::new(PartSink::new(Arc::clone(&self.service), request, Box::new(take))))
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.calls = None;
        let threads = &mut self.threads;
        // The calling thread may be attached, and the threads need the interpreter to finish.
        self.service.blocking(&mut || {
            threads.drain(..).for_each(|wait_for_end| wait_for_end());
        });
    }
}

impl std::fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ThreadPool").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

/// Starts a thread, of the service's own kind if it has one.
fn start_thread(
    number: usize,
    service: &Arc<dyn Service>,
    calls: &Arc<Mutex<Receiver<Call>>>,
) -> io::Result<ThreadEnd> {
    let name = format!("application-{number}");
    let (for_thread, calls) = (Arc::clone(service), Arc::clone(calls));
    match service.start_thread(&name, Box::new(move || live(&*for_thread, &calls)))? {
        StartedThread::Running(wait_for_end) => Ok(wait_for_end),
        StartedThread::Ordinary(life) => {
            let handle = thread::Builder::new().name(name).stack_size(STACK).spawn(life)?;
            // A panic was logged where it happened.
            Ok(Box::new(move || drop(handle.join())))
        }
    }
}

/// The life of one thread: attach, then one call after the other, until the pool is dropped.
fn live(service: &dyn Service, calls: &Mutex<Receiver<Call>>) {
    service.thread(&mut || {
        loop {
            let mut call = None;
            // One of the threads waits for a call, the others for their turn to wait.
            service.blocking(&mut || call = calls.lock().unwrap_or_else(PoisonError::into_inner).recv().ok());
            let Some(Call { request, response }) = call else { return };
            if std::panic::catch_unwind(AssertUnwindSafe(|| service.call(request, response))).is_err() {
                log::error!("the service panicked; its response was given up");
            }
        }
    });
}
