//! How does a response reach a server that is not ours? As messages: a head, blocks, an end.
//!
//! [`PartSink`] is the far side of a [`ResponseWriter`](funicorn_http::ResponseWriter) that turns what the application pushes
//! into [`ResponsePart`]s. It keeps the promises that every sink owes: the body is as long as its Content-Length, and
//! what was not completed does not look complete. How parts are framed on the wire is the other server's affair.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use funicorn_http::{
    AbortReason, BodyLength, FileRange, RequestHead, ResponseHead, ResponseSink, SendError, Service,
};

/// Bytes of a file in one block.
const FILE_BLOCK: u64 = 256 * 1024;

/// One message of a response. They come in the order head, any number of blocks, and one of the two ends.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResponsePart {
    /// Status and header lines; with a Content-Length if the length of the body is known.
    Head(ResponseHead),
    /// Bytes of the body; never empty.
    Block(Bytes),
    /// The response is complete.
    End,
    /// The response cannot be completed: cut the connection, so that the client can tell. Without a head before it,
    /// a status of 500 is still possible.
    Cut(AbortReason),
}

/// Takes one part, or says that the client has gone.
pub(crate) type Take = Box<dyn FnMut(ResponsePart) -> Result<(), SendError> + Send>;

/// See the module.
pub(crate) struct PartSink {
    service: Arc<dyn Service>,
    take: Take,
    is_head_request: bool,
    body: Body,
}

/// What is still to come.
#[derive(Clone, Copy)]
enum Body {
    /// The head.
    Unstarted,
    /// No body, whatever the application sends: by the method or the status (RFC 9110 §6.4.1).
    None,
    /// So many bytes.
    Known(u64),
    /// Any number of bytes.
    Unknown,
}

impl PartSink {
    pub(crate) fn new(service: Arc<dyn Service>, request: &RequestHead, take: Take) -> Self {
        Self { service, take, is_head_request: request.method() == b"HEAD", body: Body::Unstarted }
    }

    /// Hands `part` over, which may take long: the interpreter is let go.
    fn hand_over(&mut self, part: ResponsePart) -> Result<(), SendError> {
        let (take, mut part, mut result) = (&mut self.take, Some(part), Ok(()));
        self.service.blocking(&mut || {
            if let Some(part) = part.take() {
                result = take(part);
            }
        });
        result
    }

    /// How many of the next `len` bytes belong to the body.
    fn count(&mut self, len: u64) -> Result<u64, SendError> {
        match &mut self.body {
            Body::Unstarted => Err(SendError::Order),
            Body::None => Ok(0),
            Body::Unknown => Ok(len),
            Body::Known(left) => {
                let counted = len.min(*left);
                *left -= counted;
                Ok(counted)
            }
        }
    }

    /// Whether `sent` of `len` bytes was less than it should have been.
    fn outcome(&self, sent: u64, len: u64) -> Result<(), SendError> {
        if sent < len && matches!(self.body, Body::Known(_)) { Err(SendError::TooLong) } else { Ok(()) }
    }
}

impl ResponseSink for PartSink {
    fn start(&mut self, mut head: ResponseHead, length: BodyLength) -> Result<(), SendError> {
        if !matches!(self.body, Body::Unstarted) {
            return Err(SendError::Order);
        }
        let length = head.content_length().map_or(length, BodyLength::Known);
        self.body = match length {
            _ if self.is_head_request || matches!(head.code(), 204 | 205 | 304) => Body::None,
            BodyLength::Known(len) => Body::Known(len),
            BodyLength::Unknown => Body::Unknown,
        };
        if let (Body::Known(len), None) = (self.body, head.content_length()) {
            head.append(b"Content-Length", len.to_string().as_bytes()).map_err(|_| SendError::Order)?;
        }
        self.hand_over(ResponsePart::Head(head))
    }

    fn send(&mut self, block: &[u8], rest: &mut dyn FnMut(usize) -> Bytes) -> Result<(), SendError> {
        let len = block.len() as u64;
        let counted = self.count(len)?;
        if counted > 0 {
            self.hand_over(ResponsePart::Block(rest(0).slice(..counted as usize)))?;
        }
        self.outcome(counted, len)
    }

    fn send_file(&mut self, range: FileRange) -> Result<(), SendError> {
        let counted = self.count(range.len)?;
        let (mut offset, end) = (range.offset, range.offset + counted);
        while offset < end {
            let mut block = BytesMut::zeroed((end - offset).min(FILE_BLOCK) as usize);
            let mut read = Ok(0);
            self.service.blocking(&mut || read = range.file.read_at(&mut block, offset));
            match read {
                Ok(len) if len > 0 => {
                    offset += len as u64;
                    block.truncate(len);
                    self.hand_over(ResponsePart::Block(block.freeze()))?;
                }
                // The file has become shorter, or cannot be read: the missing bytes are owed for good.
                _ => {
                    self.body = Body::Known(end - offset);
                    return Err(SendError::TooShort);
                }
            }
        }
        self.outcome(counted, range.len)
    }

    fn room(&self) -> Option<u64> {
        match self.body {
            Body::Known(left) => Some(left),
            _ => None,
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), SendError> {
        match self.body {
            Body::Unstarted => Err(SendError::Order),
            Body::Known(left) if left > 0 => {
                // Whoever takes the parts has nothing to say to a cut.
                let _ = self.hand_over(ResponsePart::Cut(AbortReason::Application));
                Err(SendError::TooShort)
            }
            _ => self.hand_over(ResponsePart::End),
        }
    }

    fn abort(mut self: Box<Self>, reason: AbortReason) {
        // As above.
        let _ = self.hand_over(ResponsePart::Cut(reason));
    }
}

#[cfg(test)]
mod tests;
