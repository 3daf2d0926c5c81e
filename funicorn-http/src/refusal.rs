//! Why is a request turned away? The peer's fault as a value, with its status in one exhaustive match.

use crate::encoder::{put_line, put_status_line};
use crate::{BodyLength, HeaderError, HttpDate, ResponseHead, ResponseWriter, SendError};

/// A request that is not handed to the application. The connection closes after the answer, since what follows
/// on it can no longer be trusted (RFC 9112 §2.2, §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request line is not `method SP target SP version` (RFC 9112 §3).
    #[error("the request line is malformed")]
    RequestLine,
    /// The target is in no form that the method allows (RFC 9112 §3.2).
    #[error("the request target is malformed")]
    Target,
    /// The path holds `%00`, which no resource can mean and much code stumbles over.
    #[error("the path contains %00")]
    NulInPath,
    /// A header line is malformed, folded or holds forbidden bytes (RFC 9112 §5, RFC 9110 §5.5).
    #[error("a header line is malformed")]
    Header,
    /// A header name holds `_`, which the operator has refused ([`HeaderMap::Refuse`](crate::HeaderMap::Refuse)).
    #[error("a header name contains an underscore")]
    HeaderName,
    /// What a trusted proxy says of the host or the prefix is malformed, or its `Forwarded` cannot be read
    /// ([`ForwardingPolicy`](crate::ForwardingPolicy)).
    #[error("a forwarding header is malformed")]
    Forwarded,
    /// The PROXY header that has to stand before the first request is missing or malformed
    /// ([`ProxyProtocol`](crate::ProxyProtocol)).
    #[error("the PROXY protocol header is missing or malformed")]
    ProxyHeader,
    /// A line ends in a bare LF, or a CR stands alone (RFC 9112 §2.2).
    #[error("a line does not end in CRLF")]
    LineEnding,
    /// `Host` is missing, repeated or malformed (RFC 9112 §3.2).
    #[error("the Host header is missing, repeated or malformed")]
    Host,
    /// `Content-Length` is repeated or not a plain decimal number (RFC 9112 §6.3).
    #[error("the Content-Length header is malformed or repeated")]
    ContentLength,
    /// `Transfer-Encoding` with `Content-Length`, in HTTP/1.0, or not exactly one final `chunked` (RFC 9112 §6.1).
    #[error("the Transfer-Encoding header is not allowed here")]
    TransferEncoding,
    /// A transfer coding that this server does not know (RFC 9112 §6.1).
    #[error("the transfer coding is not implemented")]
    UnknownCoding,
    /// A chunk header, a chunk's end or a trailer is malformed (RFC 9112 §7.1).
    #[error("the chunked body is malformed")]
    Chunk,
    /// A trailer frames, routes or controls the request, which is a header's to do (RFC 9110 §6.5.1).
    #[error("a trailer may not frame, route or control the request")]
    Trailer,
    /// The body is past [`Limits::body`](crate::Limits::body).
    #[error("the body is too large")]
    BodyTooLarge,
    /// The request line is past [`Limits::request_line`](crate::Limits::request_line).
    #[error("the request line is too long")]
    RequestLineTooLong,
    /// A header line or a trailer is past [`Limits::header_field`](crate::Limits::header_field).
    #[error("a header line is too long")]
    FieldTooLarge,
    /// Header lines or trailers are more than [`Limits::header_count`](crate::Limits::header_count).
    #[error("there are too many header lines")]
    TooManyFields,
    /// The head is past [`Limits::head`](crate::Limits::head).
    #[error("the header section is too large")]
    HeadTooLarge,
    /// The trailers are past [`Limits::trailers`](crate::Limits::trailers).
    #[error("the trailers are too large")]
    TrailersTooLarge,
    /// A chunk's extensions are past [`Limits::chunk_extension`](crate::Limits::chunk_extension).
    #[error("the extensions of a chunk are too long")]
    ChunkExtensionTooLong,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    #[error("the expectation cannot be met")]
    Expectation,
    /// The method asks for something that this server never does: CONNECT (RFC 9110 §9.3.6).
    #[error("the method is not implemented")]
    Method,
    /// Not HTTP/1.0 or HTTP/1.1 (RFC 9110 §15.6.6).
    #[error("the HTTP version is not supported")]
    Version,
    /// `GET /path` and no version is a whole request of HTTP/0.9, whose answers have no head and so no status.
    #[error("the client speaks HTTP/0.9, and this port HTTP/1.0 and HTTP/1.1")]
    Http09,
    /// The preface of HTTP/2, which is made to look like a request of another version (RFC 9113 §3.4).
    #[error("the client speaks HTTP/2, and this port HTTP/1.0 and HTTP/1.1")]
    Http2,
    /// The first bytes of a TLS handshake (RFC 8446 §5.1). Its client cannot read the answer; the log can say it.
    #[error("the client speaks TLS, and this port plain HTTP")]
    Tls,
    /// The request did not arrive in time (RFC 9110 §15.5.9).
    #[error("the request did not arrive in time")]
    Timeout,
    /// The server cannot take the request now, for instance because a disk is full.
    #[error("the server cannot take the request now")]
    Unavailable,
    /// The request has waited for the application for too long, behind too many others.
    #[error("too many requests wait already")]
    Overloaded,
}

/// Seconds after which a client that was told 503 may try again.
const RETRY_AFTER: &[u8] = b"5";

impl Refusal {
    /// The status code and reason phrase of the answer.
    #[must_use]
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Self::RequestLine
            | Self::Target
            | Self::NulInPath
            | Self::Header
            | Self::HeaderName
            | Self::Forwarded
            | Self::ProxyHeader
            | Self::LineEnding
            | Self::Host
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::Chunk
            | Self::ChunkExtensionTooLong
            | Self::Trailer
            | Self::Tls => (400, "Bad Request"),
            Self::Timeout => (408, "Request Timeout"),
            Self::BodyTooLarge => (413, "Content Too Large"),
            Self::RequestLineTooLong => (414, "URI Too Long"),
            Self::Expectation => (417, "Expectation Failed"),
            Self::FieldTooLarge | Self::TooManyFields | Self::HeadTooLarge | Self::TrailersTooLarge => {
                (431, "Request Header Fields Too Large")
            }
            Self::UnknownCoding | Self::Method => (501, "Not Implemented"),
            Self::Unavailable | Self::Overloaded => (503, "Service Unavailable"),
            Self::Version | Self::Http09 | Self::Http2 => (505, "HTTP Version Not Supported"),
        }
    }

    /// Whether the same request may be welcome later (RFC 9110 §10.2.3).
    fn is_temporary(self) -> bool {
        self.status().0 == 503
    }

    /// Answers a request that has been received well, in the application's place. The connection closes behind the answer.
    ///
    /// # Errors
    /// When the client has gone.
    pub fn answer(self, mut response: ResponseWriter) -> Result<(), SendError> {
        let (code, reason) = self.status();
        let text = format!("{self}\n");
        let head = || {
            let mut head = ResponseHead::new(code, reason.as_bytes())?;
            head.append(b"Connection", b"close")?;
            head.append(b"Content-Type", CONTENT_TYPE)?;
            if self.is_temporary() {
                head.append(b"Retry-After", RETRY_AFTER)?;
            }
            Ok::<_, HeaderError>(head)
        };
        // Our own lines are valid; if they were not, there would be no response to start.
        let head = head().map_err(|_| SendError::Order)?;
        response.start(head, BodyLength::Known(text.len() as u64))?;
        response.send(text.as_bytes())?;
        response.finish()
    }
}

const CONTENT_TYPE: &[u8] = b"text/plain; charset=utf-8";

/// Appends the whole answer to a refused request to `out`. The connection closes behind it.
pub fn encode_refusal(refusal: Refusal, date: &HttpDate, server: &[u8], out: &mut Vec<u8>) {
    let (code, reason) = refusal.status();
    let text = refusal.to_string();
    put_status_line(code, reason.as_bytes(), out);
    put_line(b"Server: ", server, out);
    put_line(b"Date: ", date.as_bytes(), out);
    out.extend_from_slice(b"Connection: close\r\n");
    put_line(b"Content-Type: ", CONTENT_TYPE, out);
    if refusal.is_temporary() {
        put_line(b"Retry-After: ", RETRY_AFTER, out);
    }
    put_line(b"Content-Length: ", itoa::Buffer::new().format(text.len() + 1).as_bytes(), out);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_refusal_says_why_and_closes() {
        let mut out = Vec::new();
        encode_refusal(Refusal::Host, &HttpDate::new(SystemTime::UNIX_EPOCH), b"x", &mut out);
        let text = "the Host header is missing, repeated or malformed\n";
        let expected = format!(
            "HTTP/1.1 400 Bad Request\r\nServer: x\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: close\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
