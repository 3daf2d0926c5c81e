//! How does a response look on the wire, and does the connection outlive it? The sending half of HTTP/1.1
//! (RFC 9112 §4, §6, §7.1, §9.3).

use crate::known_names::KnownName;
use crate::{BlockFrame, BodyLength, HttpDate, RequestHead, ResponseHead, SendError, Version};

/// What a client that sent `Expect: 100-continue` waits for.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The last chunk, and an empty trailer section.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Encodes the response to one request.
///
/// The caller asks for the head's bytes once, then how each block is framed, then for the end. The encoder holds no
/// body bytes: they go from the application to the socket as they are.
///
/// ```
/// use std::time::SystemTime;
///
/// use funicorn_http::{AfterResponse, BodyLength, HttpDate, RequestHead, ResponseEncoder, ResponseHead};
///
/// let mut encoder = ResponseEncoder::new(&RequestHead::builder("GET", "/").build());
/// let (head, date, mut out) = (ResponseHead::new(200, b"OK")?, HttpDate::new(SystemTime::now()), Vec::new());
/// encoder.head(&head, BodyLength::Unknown, &date, b"example", &mut out);
/// assert!(out.ends_with(b"\r\nTransfer-Encoding: chunked\r\n\r\n"));
/// let frame = encoder.block(11);
/// assert_eq!((frame.prefix(), frame.suffix), (&b"b\r\n"[..], &b"\r\n"[..]));
/// assert_eq!(encoder.finish()?, (&b"0\r\n\r\n"[..], AfterResponse::KeepAlive));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
        log::trace!(
            target: "funicorn::http",
            "response head: {}, body {:?}, keep alive {}", head.code(), self.body, self.keep_alive
        );
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
        let own_length = head.content_length().is_some();
        if own_length && drops_content_length(head.code()) {
            put_lines_without_content_length(head, out);
        } else {
            out.extend_from_slice(head.lines());
        }
        match self.body {
            Delimiter::Length(len) if !own_length || drops_content_length(head.code()) => {
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
        if head.code() == 205 {
            return Delimiter::Length(0);
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
                BlockFrame::cut(take, take < len)
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

    /// Whether, as far as is known, another request may follow on the connection.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.keep_alive
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
    for value in request.headers().known(KnownName::Connection) {
        for token in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                return false;
            }
            keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }
    keep_alive
}

/// Whether the status itself says that there is no content, so that the application cannot say how much:
/// 204 has no Content-Length, 205 has 0 (RFC 9110 §8.6, §15.3.6).
fn drops_content_length(code: u16) -> bool {
    matches!(code, 204 | 205)
}

pub(crate) fn put_status_line(code: u16, reason: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(code).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn put_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    /// A whole response to `request`: what was written, and what came of it.
    fn respond(
        request: RequestHead,
        head: &ResponseHead,
        length: BodyLength,
        blocks: &[&str],
    ) -> (String, Result<AfterResponse, SendError>) {
        let mut encoder = ResponseEncoder::new(&request);
        let mut out = Vec::new();
        encoder.head(head, length, &HttpDate::new(SystemTime::UNIX_EPOCH), b"s", &mut out);
        for block in blocks {
            let frame = encoder.block(block.len() as u64);
            out.extend_from_slice(frame.prefix());
            out.extend_from_slice(&block.as_bytes()[..frame.take as usize]);
            out.extend_from_slice(frame.suffix);
        }
        let after = encoder.finish().map(|(end, after)| {
            out.extend_from_slice(end);
            after
        });
        let text = String::from_utf8(out).unwrap();
        (text.replace("Server: s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n", ""), after)
    }

    fn request(method: &str, version: Version, connection: &[&str]) -> RequestHead {
        let builder = RequestHead::builder(method, "/").version(version);
        connection.iter().fold(builder, |head, value| head.header("Connection", value)).build()
    }

    fn get() -> RequestHead {
        request("GET", Version::Http11, &[])
    }

    fn response(code: u16, lines: &[(&str, &str)]) -> ResponseHead {
        let mut head = ResponseHead::new(code, b"R").unwrap();
        for (name, value) in lines {
            head.append(name.as_bytes(), value.as_bytes()).unwrap();
        }
        head
    }

    const KEEP: Result<AfterResponse, SendError> = Ok(AfterResponse::KeepAlive);
    const CLOSE: Result<AfterResponse, SendError> = Ok(AfterResponse::Close);

    #[test]
    fn a_known_length_is_said() {
        let (text, after) = respond(get(), &response(200, &[("A", "b")]), BodyLength::Known(2), &["h", "i"]);
        assert_eq!(text, "HTTP/1.1 200 R\r\nA: b\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(after, KEEP);
    }

    #[test]
    fn the_applications_content_length_wins() {
        let head = response(200, &[("content-length", "2")]);
        let (text, after) = respond(get(), &head, BodyLength::Known(3), &["hi", "!"]);
        assert_eq!(text, "HTTP/1.1 200 R\r\ncontent-length: 2\r\n\r\nhi");
        assert_eq!(after, KEEP);
    }

    #[test]
    fn an_unknown_length_is_chunked_or_closes() {
        let (text, after) = respond(get(), &response(200, &[]), BodyLength::Unknown, &["hello", "", "you"]);
        assert_eq!(
            text,
            "HTTP/1.1 200 R\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"
        );
        assert_eq!(after, KEEP);
        let old = request("GET", Version::Http10, &["keep-alive"]);
        let (text, after) = respond(old, &response(200, &[]), BodyLength::Unknown, &["hello", "", "you"]);
        assert_eq!(text, "HTTP/1.1 200 R\r\nConnection: close\r\n\r\nhelloyou");
        assert_eq!(after, CLOSE);
    }

    #[test]
    fn past_content_length_is_cut_and_flagged() {
        let mut encoder = ResponseEncoder::new(&get());
        assert_eq!(encoder.room(), None);
        encoder.head(
            &response(200, &[]),
            BodyLength::Known(3),
            &HttpDate::new(SystemTime::UNIX_EPOCH),
            b"s",
            &mut Vec::new(),
        );
        let frame = encoder.block(2);
        assert_eq!((frame.take, frame.too_long, encoder.room()), (2, false, Some(1)));
        let frame = encoder.block(2);
        assert_eq!((frame.take, frame.too_long, encoder.room()), (1, true, Some(0)));
        assert_eq!(encoder.finish(), Ok((&b""[..], AfterResponse::KeepAlive)));
    }

    #[test]
    fn missing_bytes_are_an_error() {
        assert_eq!(
            respond(get(), &response(200, &[]), BodyLength::Known(3), &["hi"]).1,
            Err(SendError::TooShort)
        );
        assert_eq!(ResponseEncoder::new(&get()).finish(), Err(SendError::Order));
    }

    #[test]
    fn no_body_for_head_204_and_304() {
        let head = request("HEAD", Version::Http11, &[]);
        for (request, code, own, line) in [
            (head.clone(), 200, true, "Content-Length: 5\r\n"),
            (head.clone(), 200, false, ""),
            (get(), 304, true, "Content-Length: 5\r\n"),
            (get(), 304, false, ""),
            (get(), 204, true, ""),
            (get(), 204, false, ""),
            (head, 204, true, ""),
        ] {
            for length in [BodyLength::Known(5), BodyLength::Unknown] {
                let lines: &[_] = if own {
                    &[("A", "1"), ("Content-Length", "5"), ("B", "2")]
                } else {
                    &[("A", "1"), ("B", "2")]
                };
                let (text, after) = respond(request.clone(), &response(code, lines), length, &["hello"]);
                assert_eq!(text, format!("HTTP/1.1 {code} R\r\nA: 1\r\n{line}B: 2\r\n\r\n"));
                assert_eq!(after, KEEP);
            }
        }
    }

    #[test]
    fn reset_content_has_length_zero() {
        let (text, _) =
            respond(get(), &response(205, &[("Content-Length", "5")]), BodyLength::Unknown, &["hello"]);
        assert_eq!(text, "HTTP/1.1 205 R\r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn who_wants_the_connection_to_persist() {
        use Version::{Http10, Http11};
        for (version, connection, line, after) in [
            (Http11, &[][..], "", KEEP),
            (Http11, &["keep-alive"], "", KEEP),
            (Http11, &["x, Close"], "Connection: close\r\n", CLOSE),
            (Http11, &["keep-alive", "close"], "Connection: close\r\n", CLOSE),
            (Http10, &[], "Connection: close\r\n", CLOSE),
            (Http10, &["x,\tKeep-Alive"], "Connection: keep-alive\r\n", KEEP),
            (Http10, &["keep-alive, close"], "Connection: close\r\n", CLOSE),
        ] {
            let found =
                respond(request("GET", version, connection), &response(200, &[]), BodyLength::Known(0), &[]);
            assert_eq!(
                found,
                (format!("HTTP/1.1 200 R\r\n{line}Content-Length: 0\r\n\r\n"), after),
                "{connection:?}"
            );
        }
    }

    #[test]
    fn the_application_or_the_server_can_close() {
        let found = respond(get(), &response(200, &[("Connection", "close")]), BodyLength::Known(0), &[]);
        assert_eq!(found, ("HTTP/1.1 200 R\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into(), CLOSE));
        let mut encoder = ResponseEncoder::new(&get());
        encoder.close_after();
        let mut out = Vec::new();
        encoder.head(
            &response(200, &[]),
            BodyLength::Known(0),
            &HttpDate::new(SystemTime::UNIX_EPOCH),
            b"s",
            &mut out,
        );
        assert!(String::from_utf8(out).unwrap().contains("\r\nConnection: close\r\n"));
    }

    #[test]
    fn the_applications_server_and_date_stand() {
        let head = response(200, &[("server", "mine"), ("DATE", "today")]);
        let (text, _) = respond(get(), &head, BodyLength::Known(0), &[]);
        assert_eq!(text, "HTTP/1.1 200 R\r\nserver: mine\r\nDATE: today\r\nContent-Length: 0\r\n\r\n");
    }
}
