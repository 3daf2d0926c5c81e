//! Where does the body of a request end? Decided here, once, for the whole server (RFC 9112 §6.3).
//!
//! Request smuggling is two parties with two answers to this question. So every request that could be read
//! in two ways is refused, where the RFC leaves a choice too: both headers at once, a repeated `Content-Length`
//! even if its values agree, `Transfer-Encoding` in HTTP/1.0.

use crate::known_names::KnownName;
use crate::response::{is_token, parse_decimal};
use crate::{Headers, Refusal, Version};

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes; none when the head says nothing about a body.
    Length(u64),
    /// The chunked coding.
    Chunked,
}

impl Framing {
    /// Decides from the header section.
    pub(crate) fn decide(version: Version, headers: &Headers) -> Result<Self, Refusal> {
        let mut lengths = headers.known(KnownName::ContentLength);
        let mut codings = headers.known(KnownName::TransferEncoding);
        let (length, coding) = (lengths.next(), codings.next());
        if lengths.next().is_some() {
            return Err(Refusal::ContentLength);
        }
        if codings.next().is_some() {
            return Err(Refusal::TransferEncoding);
        }
        match (length, coding) {
            (None, None) => Ok(Self::Length(0)),
            (Some(value), None) => parse_decimal(value).map(Self::Length).ok_or(Refusal::ContentLength),
            (None, Some(value)) if version == Version::Http11 => chunked(value),
            (_, Some(_)) => Err(Refusal::TransferEncoding),
        }
    }
}

/// `chunked`, once and alone, is understood. Other codings are not implemented (501); what is no list of codings,
/// or applies `chunked` twice, is malformed (400).
fn chunked(value: &[u8]) -> Result<Framing, Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let mut others = 0;
    for coding in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        if coding.is_empty() || !coding.iter().all(|&byte| is_token(byte)) {
            return Err(Refusal::TransferEncoding);
        }
        others += usize::from(!coding.eq_ignore_ascii_case(b"chunked"));
    }
    Err(if others > 0 { Refusal::UnknownCoding } else { Refusal::TransferEncoding })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RequestHead;

    fn decide(version: Version, lines: &[(&str, &str)]) -> Result<Framing, Refusal> {
        let builder = RequestHead::builder("POST", "/").version(version);
        let head = lines.iter().fold(builder, |head, (name, value)| head.header(name, value)).build();
        Framing::decide(version, head.headers())
    }

    #[test]
    fn nothing_said_is_no_body() {
        assert_eq!(decide(Version::Http11, &[("Host", "a")]), Ok(Framing::Length(0)));
    }

    #[test]
    fn one_plain_content_length() {
        assert_eq!(decide(Version::Http10, &[("content-LENGTH", "0012")]), Ok(Framing::Length(12)));
        for bad in ["", "+1", "-1", "1 2", "1,1", "1, 1", "0x1", "1.0", "18446744073709551616", "\u{661}"] {
            let found = decide(Version::Http11, &[("Content-Length", bad)]);
            assert_eq!(found, Err(Refusal::ContentLength), "{bad}");
        }
    }

    #[test]
    fn a_repeated_content_length_is_refused_even_if_it_agrees() {
        let lines = [("Content-Length", "1"), ("content-length", "1")];
        assert_eq!(decide(Version::Http11, &lines), Err(Refusal::ContentLength));
    }

    #[test]
    fn both_headers_are_refused() {
        let lines = [("Content-Length", "1"), ("Transfer-Encoding", "chunked")];
        assert_eq!(decide(Version::Http11, &lines), Err(Refusal::TransferEncoding));
        assert_eq!(decide(Version::Http10, &lines), Err(Refusal::TransferEncoding));
    }

    #[test]
    fn chunked_once_and_alone() {
        for good in ["chunked", "Chunked", "CHUNKED"] {
            assert_eq!(decide(Version::Http11, &[("Transfer-Encoding", good)]), Ok(Framing::Chunked));
        }
        for bad in
            ["", "chunked, chunked", "chunked,", ",chunked", "chunked;a=b", "\"chunked\"", "chunked chunked"]
        {
            let found = decide(Version::Http11, &[("Transfer-Encoding", bad)]);
            assert_eq!(found, Err(Refusal::TransferEncoding), "{bad}");
        }
        for unknown in ["gzip", "gzip, chunked", "chunked, gzip", "identity", "xchunked"] {
            let found = decide(Version::Http11, &[("Transfer-Encoding", unknown)]);
            assert_eq!(found, Err(Refusal::UnknownCoding), "{unknown}");
        }
        let twice = [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")];
        assert_eq!(decide(Version::Http11, &twice), Err(Refusal::TransferEncoding));
        assert_eq!(decide(Version::Http10, &twice[..1]), Err(Refusal::TransferEncoding));
    }
}
