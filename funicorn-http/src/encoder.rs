//! How does a response look on the wire, and does the connection outlive it? The sending half of HTTP/1.1
//! (RFC 9112 §4, §6, §7.1, §9.3).

use crate::response::ResponseHead;
use crate::{BodyLength, HttpDate, Refusal, RequestHead, SendError, Version};

/// What a client that sent `Expect: 100-continue` waits for.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The last chunk, and an empty trailer section.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Encodes the response to one request.
///
/// The caller asks for the head's bytes once, then how each block is framed, then for the end. The encoder holds no
/// body bytes: they go from the application to the socket as they are.
#[derive(Debug)]
pub struct ResponseEncoder {
    version: Version,
    is_head_request: bool,
    keep_alive: bool,
    body: Delimiter,
}

/// How the client will know where the body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delimiter {
    /// The head has not been encoded.
    Undecided,
    /// By the request's method or the status: there is no body, whatever the application sends.
    NoBody,
    /// By Content-Length, of which this much is left.
    Length(u64),
    Chunked,
    Close,
}

/// Whether the connection can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterResponse {
    /// Another request may follow.
    KeepAlive,
    /// The connection closes, in order, behind the last byte.
    Close,
}

/// How one block of the body goes on the wire: [`prefix`](Self::prefix), the block's first `take` bytes, `suffix`.
#[derive(Clone, Copy, Debug)]
pub struct BlockFrame {
    prefix: [u8; Self::PREFIX],
    prefix_len: u8,
    /// How many bytes of the block are sent.
    pub take: u64,
    /// What follows them.
    pub suffix: &'static [u8],
    /// Whether the block went past Content-Length and was cut.
    pub too_long: bool,
}

impl BlockFrame {
    /// Sixteen hexadecimal digits and CRLF.
    const PREFIX: usize = 18;

    /// What precedes the block: the size of a chunk, or nothing.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix[..usize::from(self.prefix_len)]
    }

    fn bare(take: u64) -> Self {
        Self { prefix: [0; Self::PREFIX], prefix_len: 0, take, suffix: b"", too_long: false }
    }

    fn chunk(len: u64) -> Self {
        let mut frame = Self { suffix: b"\r\n", ..Self::bare(len) };
        let digits = (16 - len.leading_zeros() / 4).max(1);
        for (at, place) in (0..digits).rev().zip(&mut frame.prefix) {
            *place = b"0123456789abcdef"[(len >> (4 * at)) as usize & 15];
        }
        frame.prefix[digits as usize..][..2].copy_from_slice(b"\r\n");
        frame.prefix_len = digits as u8 + 2;
        frame
    }
}

impl ResponseEncoder {
    /// The encoder of the response to `request`.
    #[must_use]
    pub fn new(request: &RequestHead) -> Self {
        Self {
            version: request.version(),
            is_head_request: request.method() == b"HEAD",
            keep_alive: wants_keep_alive(request),
            body: Delimiter::Undecided,
        }
    }

    /// Makes this the last response of the connection. Before [`head`](Self::head) the client is told.
    pub fn close_after(&mut self) {
        self.keep_alive = false;
    }

    /// Appends the response's head to `out`.
    ///
    /// `Server` and `Date` are added unless the application set them, then `Connection` where it says something, then
    /// the application's lines as they are, then what frames the body. The application's `Content-Length` wins over `length`.
    pub fn head(
        &mut self,
        head: &ResponseHead,
        length: BodyLength,
        date: &HttpDate,
        server: &[u8],
        out: &mut Vec<u8>,
    ) {
        self.body = self.delimiter(head, length);
        self.keep_alive &= !head.wants_close() && self.body != Delimiter::Close;
        out.reserve(head.lines().len() + 192);
        put_status_line(head.code(), head.reason(), out);
        if !head.has_server() {
            put_line(b"Server: ", server, out);
        }
        if !head.has_date() {
            put_line(b"Date: ", date.as_bytes(), out);
        }
        match (self.keep_alive, self.version) {
            (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
            (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, Version::Http11) => {}
        }
        if head.content_length().is_some() && forbids_content_length(head.code()) {
            put_lines_without_content_length(head, out);
        } else {
            out.extend_from_slice(head.lines());
        }
        match self.body {
            Delimiter::Length(len) if head.content_length().is_none() => {
                put_line(b"Content-Length: ", itoa::Buffer::new().format(len).as_bytes(), out);
            }
            Delimiter::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
    }

    fn delimiter(&self, head: &ResponseHead, length: BodyLength) -> Delimiter {
        if self.is_head_request || matches!(head.code(), 204 | 304) {
            return Delimiter::NoBody;
        }
        match (head.content_length(), length) {
            (Some(len), _) | (None, BodyLength::Known(len)) => Delimiter::Length(len),
            (None, BodyLength::Unknown) if self.version == Version::Http11 => Delimiter::Chunked,
            (None, BodyLength::Unknown) => Delimiter::Close,
        }
    }

    /// How the next block, of `len` bytes, goes on the wire. An empty block gives an empty frame, never the last chunk.
    pub fn block(&mut self, len: u64) -> BlockFrame {
        match &mut self.body {
            Delimiter::Undecided | Delimiter::NoBody => BlockFrame::bare(0),
            Delimiter::Chunked if len > 0 => BlockFrame::chunk(len),
            Delimiter::Chunked | Delimiter::Close => BlockFrame::bare(len),
            Delimiter::Length(left) => {
                let take = len.min(*left);
                *left -= take;
                BlockFrame { too_long: take < len, ..BlockFrame::bare(take) }
            }
        }
    }

    /// How many bytes Content-Length has room for; `None` without one, or before the head.
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        match self.body {
            Delimiter::Length(left) => Some(left),
            _ => None,
        }
    }

    /// Ends the response: the bytes that end the body, and whether another request may follow.
    ///
    /// # Errors
    /// [`SendError::TooShort`] when bytes are missing to Content-Length: the connection must be cut;
    /// [`SendError::Order`] before the head.
    pub fn finish(&mut self) -> Result<(&'static [u8], AfterResponse), SendError> {
        let end: &[u8] = match self.body {
            Delimiter::Undecided => return Err(SendError::Order),
            Delimiter::Length(1..) => return Err(SendError::TooShort),
            Delimiter::Chunked => LAST_CHUNK,
            Delimiter::NoBody | Delimiter::Length(0) | Delimiter::Close => b"",
        };
        Ok((end, if self.keep_alive { AfterResponse::KeepAlive } else { AfterResponse::Close }))
    }

    /// Whether only the connection's close tells the client that the body is complete, so that a cut needs a reset.
    #[must_use]
    pub fn is_delimited_by_close(&self) -> bool {
        self.body == Delimiter::Close
    }
}

/// Whether the client wants the connection to persist (RFC 9112 §9.3).
fn wants_keep_alive(request: &RequestHead) -> bool {
    let mut keep_alive = request.version() == Version::Http11;
    for value in request.headers().get_all("connection") {
        for token in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                return false;
            }
            keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }
    keep_alive
}

/// A response without content must not say how long it is (RFC 9110 §8.6).
fn forbids_content_length(code: u16) -> bool {
    code == 204
}

fn put_status_line(code: u16, reason: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(code).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

fn put_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn put_lines_without_content_length(head: &ResponseHead, out: &mut Vec<u8>) {
    for line in head.lines().split_inclusive(|&byte| byte == b'\n') {
        let name = &line[..memchr::memchr(b':', line).unwrap_or(0)];
        if !name.eq_ignore_ascii_case(b"content-length") {
            out.extend_from_slice(line);
        }
    }
}

/// Appends the whole answer to a refused request to `out`. The connection closes behind it.
pub fn encode_refusal(refusal: Refusal, date: &HttpDate, server: &[u8], out: &mut Vec<u8>) {
    let (code, reason) = refusal.status();
    let text = refusal.to_string();
    put_status_line(code, reason.as_bytes(), out);
    put_line(b"Server: ", server, out);
    put_line(b"Date: ", date.as_bytes(), out);
    out.extend_from_slice(b"Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n");
    put_line(b"Content-Length: ", itoa::Buffer::new().format(text.len() + 1).as_bytes(), out);
    put_line(b"\r\n", text.as_bytes(), out);
    out.truncate(out.len() - 2);
    out.push(b'\n');
}
