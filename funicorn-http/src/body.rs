//! What is the body of a request? Bytes to be read once, wherever they are kept.
//!
//! A [`Body`] hides where its bytes are: nowhere, in memory, or behind a reader, such as a spooled temporary file or, in
//! a bridge from another server, a stream that is still arriving. So a new kind of body needs no new
//! [`Service`](crate::Service).

use std::fmt;
use std::io::{self, Read};

use bytes::{Buf, Bytes};

/// A source of body bytes that are not in memory, such as a spooled file.
pub trait ReadBody: Read + Send {}

impl<R: Read + Send> ReadBody for R {}

/// The body of a request, read once from front to end.
///
/// ```
/// use funicorn_http::Body;
///
/// let mut body = Body::from(bytes::Bytes::from_static(b"hola"));
/// let mut buf = [0; 16];
/// assert_eq!(body.len(), Some(4));
/// assert_eq!(body.read(&mut buf)?, 4);
/// assert_eq!(body.read(&mut buf)?, 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct Body {
    source: Source,
}

#[derive(Default)]
enum Source {
    #[default]
    Empty,
    Memory(Bytes),
    Reader {
        reader: Box<dyn ReadBody>,
        remaining: u64,
    },
    /// `None` once the end has been seen.
    Stream(Option<Box<dyn ReadBody>>),
}

impl Body {
    /// A body of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A complete body of `len` bytes that `reader` will yield, for instance a spooled file at its start.
    #[must_use]
    pub fn from_reader(reader: Box<dyn ReadBody>, len: u64) -> Self {
        Self { source: Source::Reader { reader, remaining: len } }
    }

    /// A body that is still arriving and ends where `reader` ends, for instance a chunked one of another server. Reading
    /// it may wait for the peer.
    #[must_use]
    pub fn from_stream(reader: Box<dyn ReadBody>) -> Self {
        Self { source: Source::Stream(Some(reader)) }
    }

    /// Reads up to `buf.len()` bytes; 0 means the end of the body (or an empty `buf`).
    ///
    /// # Errors
    /// Whatever the underlying reader reports; `UnexpectedEof` when it ends before the promised length.
    pub fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Empty => Ok(0),
            Source::Memory(bytes) => {
                let taken = bytes.len().min(buf.len());
                bytes.copy_to_slice(&mut buf[..taken]);
                Ok(taken)
            }
            Source::Reader { reader, remaining } => {
                let wanted = usize::try_from(*remaining).unwrap_or(usize::MAX).min(buf.len());
                if wanted == 0 {
                    return Ok(0);
                }
                let taken = reader.read(&mut buf[..wanted])?;
                if taken == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *remaining -= taken as u64;
                Ok(taken)
            }
            Source::Stream(stream) => {
                let Some(reader) = stream.as_mut().filter(|_| !buf.is_empty()) else { return Ok(0) };
                let taken = reader.read(buf)?;
                if taken == 0 {
                    *stream = None;
                }
                Ok(taken)
            }
        }
    }

    /// Leaves out the next `len` bytes, which have been read through [`in_memory`](Self::in_memory).
    ///
    /// # Panics
    /// If fewer than `len` bytes are in memory.
    pub fn consume(&mut self, len: usize) {
        match &mut self.source {
            Source::Memory(bytes) => bytes.advance(len),
            Source::Empty | Source::Reader { .. } | Source::Stream(_) => {
                assert_eq!(len, 0, "only bytes in memory can be consumed");
            }
        }
    }

    /// The number of bytes not read yet, or `None` for a stream whose end has not been seen. The bodies that `funicorn-net`
    /// hands over are complete, so there it is always `Some`.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        match &self.source {
            Source::Empty => Some(0),
            Source::Memory(bytes) => Some(bytes.len() as u64),
            Source::Reader { remaining, .. } => Some(*remaining),
            Source::Stream(stream) => stream.is_none().then_some(0),
        }
    }

    /// Whether nothing is left to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Whether every byte has arrived, so that reading never waits for the peer.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.len().is_some()
    }

    /// The unread rest, if it is in memory (an empty body is): the way to read without a copy.
    #[must_use]
    pub fn in_memory(&self) -> Option<&[u8]> {
        match &self.source {
            Source::Empty => Some(&[]),
            Source::Memory(bytes) => Some(bytes),
            Source::Reader { .. } | Source::Stream(_) => None,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::empty() } else { Self { source: Source::Memory(bytes) } }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_to_its_end() {
        let mut body = Body::from(Bytes::from_static(b"abc"));
        let mut buf = [0; 2];
        assert_eq!(body.read(&mut buf).unwrap(), 2);
        assert_eq!(body.len(), Some(1));
        assert_eq!(body.read(&mut buf).unwrap(), 1);
        assert_eq!(body.read(&mut buf).unwrap(), 0);
    }

    #[test]
    fn what_was_looked_at_in_memory_can_be_consumed() {
        let mut body = Body::from(Bytes::from_static(b"abc"));
        assert_eq!(body.in_memory(), Some(&b"abc"[..]));
        body.consume(2);
        assert_eq!((body.in_memory(), body.len()), (Some(&b"c"[..]), Some(1)));
        body.consume(1);
        assert!(body.is_empty());
    }

    #[test]
    fn a_reader_gives_no_more_than_its_length() {
        let mut body = Body::from_reader(Box::new(&b"abcdef"[..]), 4);
        let mut buf = [0; 16];
        assert_eq!(body.read(&mut buf).unwrap(), 4);
        assert_eq!(body.read(&mut buf).unwrap(), 0);
    }

    #[test]
    fn a_stream_has_no_length_until_its_end_is_seen() {
        let mut body = Body::from_stream(Box::new(&b"ab"[..]));
        let mut buf = [0; 16];
        assert_eq!((body.len(), body.is_complete(), body.in_memory()), (None, false, None));
        assert_eq!(body.read(&mut []).unwrap(), 0);
        assert_eq!(body.len(), None, "an empty buffer shows no end");
        assert_eq!(body.read(&mut buf).unwrap(), 2);
        assert_eq!(body.read(&mut buf).unwrap(), 0);
        assert_eq!((body.len(), body.is_complete()), (Some(0), true));
        assert_eq!(body.in_memory(), None, "where it was kept does not change at its end");
    }

    #[test]
    fn a_reader_that_ends_early_is_an_error() {
        let mut body = Body::from_reader(Box::new(&b"ab"[..]), 4);
        let mut buf = [0; 16];
        assert_eq!(body.read(&mut buf).unwrap(), 2);
        assert_eq!(body.read(&mut buf).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
