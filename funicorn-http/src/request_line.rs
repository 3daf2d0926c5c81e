//! What does the first line say? `method SP request-target SP HTTP-version` (RFC 9112 §3), nothing looser.
//!
//! Written out and not left to httparse because a refusal must tell apart what httparse calls one error: a version
//! that is not spoken (505) from a line that is garbage (400).

use memchr::{memchr, memrchr};

use crate::headers::Span;
use crate::response::is_token;
use crate::target::Target;
use crate::{Headers, Refusal, RequestHead, Version};

/// The first line that a client of HTTP/2 sends; no other request may look like it (RFC 9113 §3.4, §11.6).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// A request line that passed every check; places are counted from the line's first byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLine {
    /// Bytes of the whole line, without its CRLF.
    pub(crate) len: usize,
    pub(crate) method: Span,
    pub(crate) whole_target: Span,
    pub(crate) target: Target,
    pub(crate) version: Version,
}

impl RequestLine {
    /// Reads `line`, which has lost its CRLF.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, Refusal> {
        if line == HTTP2_PREFACE {
            return Err(Refusal::Http2);
        }
        let space = memchr(b' ', line).ok_or(Refusal::RequestLine)?;
        let (method, rest) = (&line[..space], &line[space + 1..]);
        if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
            return Err(Refusal::RequestLine);
        }
        let Some(second) = memrchr(b' ', rest) else {
            return Err(without_version(method, rest));
        };
        let version = parse_version(&rest[second + 1..])?;
        let target = &rest[..second];
        if target.is_empty() || memchr(b' ', target).is_some() {
            return Err(Refusal::RequestLine);
        }
        if method == b"CONNECT" {
            return Err(Refusal::Method);
        }
        let whole_target = Span::of(target, line);
        let target = Target::parse(method, target, whole_target)?;
        Ok(Self { len: line.len(), method: Span::of(method, line), whole_target, target, version })
    }

    /// The head that begins with this line, which are the first bytes of `head`, and has these headers.
    pub(crate) fn with_headers(self, head: &[u8], headers: Headers) -> RequestHead {
        RequestHead {
            line: head[..self.len].into(),
            method: self.method,
            target: self.whole_target,
            form: self.target.form,
            authority: self.target.authority,
            path: self.target.path,
            query: self.target.query,
            version: self.version,
            headers,
        }
    }
}

/// What is wrong with a line of two words. `GET` and a path are all that HTTP/0.9 has; with a blank other than SP in
/// the second word, or another method, the line is of no version.
fn without_version(method: &[u8], target: &[u8]) -> Refusal {
    let is_visible = target.iter().all(|&byte| byte > b' ' && byte != 0x7f);
    if method == b"GET" && target.starts_with(b"/") && is_visible {
        Refusal::Http09
    } else {
        Refusal::RequestLine
    }
}

/// Any other well-formed version is one that this server does not speak: HTTP/2.0, but HTTP/1.2 too.
fn parse_version(text: &[u8]) -> Result<Version, Refusal> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Refusal::Version)
        }
        _ => Err(Refusal::RequestLine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> Refusal {
        RequestLine::parse(line.as_bytes()).unwrap_err()
    }

    #[test]
    fn three_parts() {
        let line = b"GET /a HTTP/1.1";
        let parsed = RequestLine::parse(line).unwrap();
        assert_eq!(&line[parsed.method.range()], b"GET");
        assert_eq!(&line[parsed.whole_target.range()], b"/a");
        assert_eq!(parsed.version, Version::Http11);
        assert_eq!(RequestLine::parse(b"get / HTTP/1.0").unwrap().version, Version::Http10);
    }

    #[test]
    fn what_is_no_request_line() {
        for bad in [
            "",
            "GET",
            "GET ",
            " / HTTP/1.1",
            "GET  HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /a b HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET / http/1.1",
            "GET / HTTP/1",
            "GET / HTTP/1.10",
            "GET / HTTP/+1.1",
            "GET foo",
            "POST /",
            "GET /\tHTTP/1.1",
            "GET /\u{b}HTTP/1.1",
        ] {
            assert_eq!(refusal(bad), Refusal::RequestLine, "{bad:?}");
        }
    }

    #[test]
    fn other_versions() {
        for other in
            ["GET / HTTP/2.0", "PRI * HTTP/2.1", "GET / HTTP/1.2", "GET / HTTP/0.9", "GET / HTTP/3.0"]
        {
            assert_eq!(refusal(other), Refusal::Version, "{other:?}");
        }
        assert_eq!(refusal("GET /a?b"), Refusal::Http09);
        assert_eq!(refusal("PRI * HTTP/2.0"), Refusal::Http2);
    }

    #[test]
    fn connect_is_not_for_us() {
        assert_eq!(refusal("CONNECT example.org:443 HTTP/1.1"), Refusal::Method);
    }
}
