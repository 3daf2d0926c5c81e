//! Is the head whole, and what does it say? From bytes to a [`RequestHead`] (RFC 9112 §2 to §5).
//!
//! The head is walked through line by line while it arrives, so that limits hold at once and a request line that is
//! none (HTTP/0.9, a preface of HTTP/2, a TLS hello) is refused without waiting for more. When the empty line is there
//! the header section is parsed once, by httparse. What httparse would let pass is stopped before: bare LFs by
//! [`LineScan`], any number of empty lines before the request line, and its missing limits.

use httparse::{EMPTY_HEADER, Header, Status};

use crate::authority::check_host;
use crate::headers::Span;
use crate::known_names::KnownNames;
use crate::lines::{LineFault, LineScan};
use crate::repetition::LastSection;
use crate::request_line::RequestLine;
use crate::response::is_token;
use crate::{Headers, Limits, Refusal, RequestHead};

/// More header lines than browsers send; a head with more of them pays for an allocation.
const SLOTS: usize = 32;

/// Places in a head are counted in 32 bits, whatever [`Limits::head`] says.
const MAX_HEAD: usize = u32::MAX as usize >> 1;

/// What a TLS record begins with that carries a ClientHello: its type, and the first byte of its version (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;
const TLS_MAJOR: u8 = 3;

/// Reads one head, in as many steps as its bytes take to arrive.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeadReader {
    lines: LineScan,
    /// The first line, once it is there.
    request_line: Option<RequestLine>,
    header_lines: usize,
    skipped_empty_line: bool,
}

impl HeadReader {
    /// Whether no byte of a request has been seen.
    pub(crate) fn is_fresh(&self) -> bool {
        self.lines.is_fresh()
    }

    /// Takes a whole head off `input`, or nothing (but for one empty line) while its end is missing. `last` is the header
    /// section of the head before, and of this one afterwards.
    pub(crate) fn read(
        &mut self,
        input: &mut &[u8],
        limits: &Limits,
        last: &mut LastSection,
    ) -> Result<Option<RequestHead>, Refusal> {
        if self.is_fresh() && !self.has_start(input)? {
            return Ok(None);
        }
        let request_line = match self.request_line {
            Some(parsed) => parsed,
            None => match self.next_line(input, limits.request_line, limits, Refusal::RequestLineTooLong)? {
                Some(line) => *self.request_line.insert(RequestLine::parse(line)?),
                None => return Ok(None),
            },
        };
        let section_start = request_line.len + 2;
        if self.header_lines == 0
            && let Some(headers) = last.repeated_by(&input[section_start..], request_line.version)
            && section_start + headers.as_bytes().len() <= head_limit(limits)
        {
            let (head, rest) = input.split_at(section_start + headers.as_bytes().len());
            *input = rest;
            return Ok(Some(request_line.with_headers(head, headers)));
        }
        while let Some(line) = self.next_line(input, limits.header_field, limits, Refusal::FieldTooLarge)? {
            if line.is_empty() {
                let (head, rest) = input.split_at(self.lines.position());
                *input = rest;
                let headers = parse_section(&head[section_start..], self.header_lines)?;
                check_host(request_line.version, &headers)?;
                last.remember(&headers, request_line.version);
                return Ok(Some(request_line.with_headers(head, headers)));
            }
            self.header_lines += 1;
            if self.header_lines > limits.header_count {
                return Err(Refusal::TooManyFields);
            }
        }
        Ok(None)
    }

    #[inline]
    fn next_line<'a>(
        &mut self,
        input: &'a [u8],
        limit: usize,
        limits: &Limits,
        too_long: Refusal,
    ) -> Result<Option<&'a [u8]>, Refusal> {
        let left = head_limit(limits).saturating_sub(self.lines.position());
        let has_request_line = self.request_line.is_some();
        self.lines.next(input, limit.min(left)).map_err(|fault| match fault {
            // A header line that has no place in the head makes that too large, however long the line may be by itself.
            LineFault::TooLong if left < limit && has_request_line => Refusal::HeadTooLarge,
            LineFault::TooLong => too_long,
            LineFault::Ending => Refusal::LineEnding,
        })
    }

    /// Whether the first byte of a request is there. Skips one empty line, which some clients send after a body
    /// (RFC 9112 §2.2), and refuses what cannot begin a request before it is long enough to be a line.
    fn has_start(&mut self, input: &mut &[u8]) -> Result<bool, Refusal> {
        if let (false, Some(rest)) = (self.skipped_empty_line, input.strip_prefix(b"\r\n")) {
            self.skipped_empty_line = true;
            *input = rest;
        }
        match **input {
            [] | [TLS_HANDSHAKE] => Ok(false),
            [b'\r'] if !self.skipped_empty_line => Ok(false),
            [TLS_HANDSHAKE, TLS_MAJOR, ..] => Err(Refusal::Tls),
            [first, ..] if is_token(first) => Ok(true),
            _ => Err(Refusal::RequestLine),
        }
    }
}

/// Bytes of a whole head.
fn head_limit(limits: &Limits) -> usize {
    limits.head.min(MAX_HEAD)
}

/// Finds the header lines of `section`, which ends with the empty line and holds `count` of them.
fn parse_section(section: &[u8], count: usize) -> Result<Headers, Refusal> {
    let (mut spans, mut known) = (Vec::with_capacity(count), KnownNames::default());
    let mut keep = |headers: &[Header<'_>]| {
        let place = |header: &Header<'_>| {
            let name = header.name.as_bytes();
            known.note(name);
            (Span::of(name, section), Span::of(header.value, section))
        };
        spans.extend(headers.iter().map(place));
    };
    if count <= SLOTS {
        keep(parse_headers(section, &mut [EMPTY_HEADER; SLOTS])?);
    } else {
        keep(parse_headers(section, &mut vec![EMPTY_HEADER; count])?);
    }
    Ok(Headers::new(section.into(), spans, known))
}

/// Parses the header section, up to and including its empty line.
fn parse_headers<'s, 'b>(
    section: &'b [u8],
    slots: &'s mut [Header<'b>],
) -> Result<&'s [Header<'b>], Refusal> {
    match httparse::parse_headers(section, slots) {
        Ok(Status::Complete((len, headers))) if len == section.len() => Ok(headers),
        _ => Err(Refusal::Header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut input: &[u8]) -> Result<Option<RequestHead>, Refusal> {
        HeadReader::default().read(&mut input, &Limits::default(), &mut LastSection::default())
    }

    #[test]
    fn a_head_and_what_follows_it() {
        let mut input = &b"GET /a?b HTTP/1.1\r\nHost: x\r\nA:\t 1 \r\nB:\r\n\r\nnext"[..];
        let head = HeadReader::default()
            .read(&mut input, &Limits::default(), &mut LastSection::default())
            .unwrap()
            .unwrap();
        assert_eq!((head.method(), head.path(), head.query()), (&b"GET"[..], &b"/a"[..], &b"b"[..]));
        let fields: Vec<_> = head.headers().iter().collect();
        assert_eq!(fields, [(&b"Host"[..], &b"x"[..]), (b"A", b"1"), (b"B", b"")]);
        assert_eq!(input, b"next");
    }

    #[test]
    fn more_fields_than_slots() {
        let fields: String = (0..=SLOTS).map(|at| format!("X-{at}: {at}\r\n")).collect();
        let head = read(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes()).unwrap().unwrap();
        assert_eq!(head.headers().len(), SLOTS + 2);
        assert_eq!(head.headers().get("x-32"), Some(&b"32"[..]));
    }

    #[test]
    fn what_begins_no_request_is_refused_at_its_first_byte() {
        for first in [b'\n', b' ', 0x15, 0x80, 0] {
            assert_eq!(read(&[first]).unwrap_err(), Refusal::RequestLine);
        }
        assert_eq!(read(b"\rG").unwrap_err(), Refusal::RequestLine);
    }

    #[test]
    fn a_tls_hello_is_called_by_its_name() {
        assert!(read(b"\x16").unwrap().is_none());
        assert_eq!(read(b"\x16\x03").unwrap_err(), Refusal::Tls);
        assert_eq!(read(b"\x16G").unwrap_err(), Refusal::RequestLine);
    }

    #[test]
    fn a_request_line_is_refused_before_the_head_is_whole() {
        assert_eq!(read(b"GET /\r\n").unwrap_err(), Refusal::Http09);
        assert_eq!(read(b"PRI * HTTP/2.0\r\n").unwrap_err(), Refusal::Http2);
        assert!(read(b"GET / HTTP/1.1\r\n").unwrap().is_none());
    }

    #[test]
    fn limits_hold_in_every_place() {
        let limits =
            Limits { request_line: 20, header_field: 10, header_count: 2, head: 45, ..Limits::default() };
        let read = |text: &str| {
            HeadReader::default()
                .read(&mut text.as_bytes(), &limits, &mut LastSection::default())
                .map(|head| head.is_some())
        };
        assert_eq!(read("GET /1234567 HTTP/1.1"), Err(Refusal::RequestLineTooLong));
        assert_eq!(read("GET /123456 HTTP/1.1\r\nHost: a\r\nA: 3456789\r\n\r\n"), Ok(true));
        assert_eq!(read("GET / HTTP/1.1\r\nA: 34567890"), Err(Refusal::FieldTooLarge));
        assert_eq!(read("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC:"), Ok(false));
        assert_eq!(read("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\nC:\r\n"), Err(Refusal::TooManyFields));
        assert_eq!(read("GET /123456 HTTP/1.1\r\nA: 3456789\r\nB: 3456789\r\nC"), Err(Refusal::HeadTooLarge));
    }
}
