//! What is an application, seen from the server? A [`Service`].

use std::io;
use std::ops::ControlFlow;

use crate::{Request, ResponseWriter};

/// An application: it is handed each request together with the means to answer it.
///
/// A service *pushes* its response, from the thread that called it, for that is what WSGI applications assume:
/// one thread runs a request from the call until its end. It may also send the writer elsewhere and return
/// at once; the request lasts until the writer is finished, aborted or dropped.
///
/// The other methods let a service have a say about the threads that call it (an interpreter knows its threads,
/// attaches them and runs signal handlers on one of them) without the server knowing why. They do nothing by default.
///
/// ```
/// use funicorn_http::{BodyLength, Request, ResponseHead, ResponseWriter, Service};
///
/// struct Hello;
///
/// impl Service for Hello {
///     fn call(&self, _request: Request, mut response: ResponseWriter) {
///         let head = ResponseHead::new(200, b"OK").expect("a valid status");
///         // An error means that the client has gone; there is nobody left to tell.
///         let _ = response.start(head, BodyLength::Known(5)).and_then(|()| response.send(b"hello")).and_then(|()| response.finish());
///     }
/// }
/// ```
pub trait Service: Send + Sync {
    /// Answers `request` through `response`. Dropping `response` unfinished cuts the connection.
    fn call(&self, request: Request, response: ResponseWriter);

    /// Starts an application thread called `name` that runs `life`, if the service has threads of a kind of its own;
    /// by default it has not, and the caller starts an ordinary one.
    ///
    /// # Errors
    /// When there is no room for another thread. `life` is dropped.
    fn start_thread(&self, name: &str, life: ThreadLife) -> io::Result<StartedThread> {
        let _ = name;
        Ok(StartedThread::Ordinary(life))
    }

    /// Wraps the life of one application thread: whatever `body` does, it does between set-up and clean-up. It calls
    /// `body` exactly once, on the same thread.
    fn thread(&self, body: &mut dyn FnMut()) {
        body();
    }

    /// Wraps a wait (for a socket, an event, a lock), so that what the calling thread holds is let go meanwhile. It may be
    /// any thread that uses a [`ResponseWriter`]; one that holds nothing just waits. It calls `wait` exactly once, on the
    /// same thread.
    fn blocking(&self, wait: &mut dyn FnMut()) {
        wait();
    }

    /// Does what has come up for the service outside of its calls, on the thread that runs the server: Python runs
    /// signal handlers here. The server calls it when a signal has interrupted that thread, or when somebody has asked
    /// for the service's attention. [`ControlFlow::Break`] says that the server is to stop, gracefully.
    fn attend(&self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Whether the thread that runs the server is to be free for [`attend`](Self::attend) where other threads can make
    /// the calls, instead of being one of those that call.
    fn attends_apart(&self) -> bool {
        false
    }
}

/// What an application thread does from its start to its end.
pub type ThreadLife = Box<dyn FnOnce() + Send>;

/// Waits for the end of a thread.
pub type ThreadEnd = Box<dyn FnOnce() + Send + Sync>;

/// What became of a thread that was to be started; see [`Service::start_thread`].
pub enum StartedThread {
    /// It runs. This waits for its end.
    Running(ThreadEnd),
    /// An ordinary thread will do, which the caller is to start.
    Ordinary(ThreadLife),
}

impl std::fmt::Debug for StartedThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running(_) => "Running",
            Self::Ordinary(_) => "Ordinary",
        })
    }
}
