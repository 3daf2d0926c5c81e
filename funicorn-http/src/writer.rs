//! How does an application answer? By pushing into a [`ResponseWriter`], whose far side is a [`ResponseSink`].
//!
//! The writer is owned and `Send`: whoever holds it owes the client an end. [`ResponseWriter::finish`] is the good end;
//! [`ResponseWriter::abort`], or a drop, cuts the connection without a last chunk, so that a truncated body never
//! looks whole.

use std::fmt;
use std::fs::File;

use bytes::Bytes;

use crate::{BodyLength, ResponseHead};

/// Why the application could not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The client has gone, or took too long to read.
    #[error("the client has gone")]
    Gone,
    /// The server is ending without waiting for requests.
    #[error("the server is stopping")]
    Stopping,
    /// The block goes past the declared Content-Length. The part up to it was sent.
    #[error("the body is longer than its Content-Length")]
    TooLong,
    /// The body ended before its declared Content-Length. The connection is cut.
    #[error("the body is shorter than its Content-Length")]
    TooShort,
    /// A call out of order: a body before the head, a second head.
    #[error("the response was used out of order")]
    Order,
}

/// Why a response was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AbortReason {
    /// The application failed after it had begun to answer.
    Application,
    /// The writer was dropped unfinished.
    Dropped,
}

/// A part of an open regular file, for the kernel to send.
#[derive(Debug)]
pub struct FileRange {
    /// The file; the response owns this descriptor.
    pub file: File,
    /// Bytes before the first one to send.
    pub offset: u64,
    /// How many bytes to send.
    pub len: u64,
}

/// The far side of a [`ResponseWriter`]: a connection, a stream of HTTP/2, a test's record.
///
/// Methods come in the order `start`, then any number of blocks, then one of the two ends.
pub trait ResponseSink: Send {
    /// Takes the head. Lazy: it need not leave before the first block or the end.
    ///
    /// # Errors
    /// [`SendError::Order`] for a second head; [`SendError::Gone`] or [`SendError::Stopping`].
    fn start(&mut self, head: ResponseHead, length: BodyLength) -> Result<(), SendError>;

    /// Takes one block of the body. What cannot leave at once is kept: `rest(taken)` gives an owned handle to
    /// `block[taken..]` and is called at most once. May wait when too much is kept already.
    ///
    /// # Errors
    /// [`SendError::TooLong`] past the declared length; [`SendError::Gone`] or [`SendError::Stopping`].
    fn send(&mut self, block: &[u8], rest: &mut dyn FnMut(usize) -> Bytes) -> Result<(), SendError>;

    /// As [`send`](Self::send), for the last block: an end follows, and nothing that may wait comes in between. So the block
    /// may be kept until then.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    fn send_last(&mut self, block: &[u8], rest: &mut dyn FnMut(usize) -> Bytes) -> Result<(), SendError> {
        self.send(block, rest)
    }

    /// Takes a part of a file as the next block of the body.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    fn send_file(&mut self, range: FileRange) -> Result<(), SendError>;

    /// How many bytes the declared Content-Length still has room for; `None` if none was declared or the head has not started.
    fn room(&self) -> Option<u64>;

    /// The response is complete.
    ///
    /// # Errors
    /// [`SendError::TooShort`] when bytes are missing; [`SendError::Gone`] or [`SendError::Stopping`].
    fn finish(self: Box<Self>) -> Result<(), SendError>;

    /// The response cannot be completed: cut it so that the client can tell.
    fn abort(self: Box<Self>, reason: AbortReason);
}

/// The application's end of a response.
pub struct ResponseWriter {
    /// `None` once the response has ended.
    sink: Option<Box<dyn ResponseSink>>,
}

impl ResponseWriter {
    /// A writer into `sink`.
    #[must_use]
    pub fn new(sink: Box<dyn ResponseSink>) -> Self {
        Self { sink: Some(sink) }
    }

    fn sink(&mut self) -> Result<&mut dyn ResponseSink, SendError> {
        match &mut self.sink {
            Some(sink) => Ok(sink.as_mut()),
            None => Err(SendError::Order),
        }
    }

    /// Sets the head. It leaves together with the first block, or at the end.
    ///
    /// # Errors
    /// See [`ResponseSink::start`].
    pub fn start(&mut self, head: ResponseHead, length: BodyLength) -> Result<(), SendError> {
        self.sink()?.start(head, length)
    }

    /// Sends one block of the body; what cannot leave at once is copied.
    ///
    /// # Errors
    /// See [`ResponseSink::send`].
    pub fn send(&mut self, block: &[u8]) -> Result<(), SendError> {
        self.send_with(block, &mut |taken| Bytes::copy_from_slice(&block[taken..]))
    }

    /// Sends one block of the body; what cannot leave at once is held through `rest(taken)`, an owned handle to
    /// `block[taken..]`, so that a large block need not be copied.
    ///
    /// # Errors
    /// See [`ResponseSink::send`].
    pub fn send_with(&mut self, block: &[u8], rest: &mut dyn FnMut(usize) -> Bytes) -> Result<(), SendError> {
        self.sink()?.send(block, rest)
    }

    /// As [`send_with`](Self::send_with), for the last block: whoever calls it goes on to [`finish`](Self::finish) without
    /// running anything of the application's before, so that a server can let both leave together.
    ///
    /// # Errors
    /// See [`ResponseSink::send_last`].
    pub fn send_last(&mut self, block: &[u8], rest: &mut dyn FnMut(usize) -> Bytes) -> Result<(), SendError> {
        self.sink()?.send_last(block, rest)
    }

    /// Sends a part of a file as the next block of the body.
    ///
    /// # Errors
    /// See [`ResponseSink::send_file`].
    pub fn send_file(&mut self, range: FileRange) -> Result<(), SendError> {
        self.sink()?.send_file(range)
    }

    /// See [`ResponseSink::room`].
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        self.sink.as_ref()?.room()
    }

    /// Ends the response well.
    ///
    /// # Errors
    /// See [`ResponseSink::finish`].
    pub fn finish(mut self) -> Result<(), SendError> {
        self.sink.take().map_or(Err(SendError::Order), ResponseSink::finish)
    }

    /// Gives the response up and cuts the connection.
    pub fn abort(mut self, reason: AbortReason) {
        if let Some(sink) = self.sink.take() {
            sink.abort(reason);
        }
    }
}

impl Drop for ResponseWriter {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            sink.abort(AbortReason::Dropped);
        }
    }
}

impl fmt::Debug for ResponseWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseWriter").field("ended", &self.sink.is_none()).finish()
    }
}
