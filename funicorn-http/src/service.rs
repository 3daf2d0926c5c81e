//! What is an application, seen from the server? A [`Service`].

use crate::{Request, ResponseWriter};

/// An application: it is handed each request together with the means to answer it.
///
/// A service *pushes* its response, from the thread that called it, for that is what WSGI applications assume:
/// one thread runs a request from the call until its end. It may also send the writer elsewhere and return
/// at once; the request lasts until the writer is finished, aborted or dropped.
///
/// The two other methods let a service own something per thread (an attached interpreter) without the server
/// knowing what. Both must call what they are given exactly once, on the same thread.
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

    /// Wraps the life of one application thread: whatever `body` does, it does between set-up and clean-up.
    fn thread(&self, body: &mut dyn FnMut()) {
        body();
    }

    /// Wraps a wait (for a socket, an event, a lock), so that what the calling thread holds is let go meanwhile. It may be
    /// any thread that uses a [`ResponseWriter`]; one that holds nothing just waits.
    fn blocking(&self, wait: &mut dyn FnMut()) {
        wait();
    }
}
