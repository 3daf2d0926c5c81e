//! Is the head whole, and what does it say? From bytes to a [`RequestHead`] (RFC 9112 §2 to §5).
//!
//! The head is walked through line by line while it arrives, so that limits hold at once and a request line that is
//! none (HTTP/0.9, a preface of HTTP/2, a TLS hello) is refused without waiting for more. When the empty line is there
//! the header section is parsed once, by httparse. What httparse would let pass is stopped before: bare LFs by
//! [`LineScan`], any number of empty lines before the request line, and its missing limits.

use bytes::Bytes;
use httparse::{EMPTY_HEADER, Header, Status};

use crate::authority::check_host;
use crate::headers::Span;
use crate::lines::{LineFault, LineScan};
use crate::request_line::RequestLine;
use crate::response::is_token;
use crate::{Headers, Limits, Refusal, RequestHead};

/// More header lines than browsers send; a head with more of them pays for an allocation.
const SLOTS: usize = 32;

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

    /// Takes a whole head off `input`, or nothing (but for one empty line) while its end is missing.
    pub(crate) fn read(
        &mut self,
        input: &mut &[u8],
        limits: &Limits,
    ) -> Result<Option<RequestHead>, Refusal> {
        if self.is_fresh() {
            self.check_start(input)?;
        }
        let request_line = match self.request_line {
            Some(parsed) => parsed,
            None => match self.next_line(input, limits.request_line, limits, Refusal::RequestLineTooLong)? {
                Some(line) => *self.request_line.insert(RequestLine::parse(line)?),
                None => return Ok(None),
            },
        };
        while let Some(line) = self.next_line(input, limits.header_field, limits, Refusal::HeadTooLarge)? {
            if line.is_empty() {
                let (head, rest) = input.split_at(self.lines.position());
                *input = rest;
                return build(head, request_line, self.header_lines).map(Some);
            }
            self.header_lines += 1;
            if self.header_lines > limits.header_count {
                return Err(Refusal::HeadTooLarge);
            }
        }
        Ok(None)
    }

    fn next_line<'a>(
        &mut self,
        input: &'a [u8],
        limit: usize,
        limits: &Limits,
        too_long: Refusal,
    ) -> Result<Option<&'a [u8]>, Refusal> {
        let left = limits.head.saturating_sub(self.lines.position());
        self.lines.next(input, limit.min(left)).map_err(|fault| match fault {
            LineFault::TooLong => too_long,
            LineFault::Ending => Refusal::LineEnding,
        })
    }

    /// Skips one empty line, which some clients send after a body (RFC 9112 §2.2), and refuses what cannot begin a
    /// request before it is long enough to be a line.
    fn check_start(&mut self, input: &mut &[u8]) -> Result<(), Refusal> {
        if let (false, Some(rest)) = (self.skipped_empty_line, input.strip_prefix(b"\r\n")) {
            self.skipped_empty_line = true;
            *input = rest;
        }
        match input.first() {
            None => Ok(()),
            Some(&byte) if is_token(byte) => Ok(()),
            Some(b'\r') if input.len() == 1 && !self.skipped_empty_line => Ok(()),
            Some(_) => Err(Refusal::RequestLine),
        }
    }
}

/// Builds the head from its bytes, which end with the empty line and hold `count` header lines.
fn build(bytes: &[u8], line: RequestLine, count: usize) -> Result<RequestHead, Refusal> {
    let section_start = line.len + 2;
    let section = &bytes[section_start..];
    let mut spans = Vec::with_capacity(count);
    let mut keep = |headers: &[Header<'_>]| {
        let place =
            |header: &Header<'_>| (Span::of(header.name.as_bytes(), bytes), Span::of(header.value, bytes));
        spans.extend(headers.iter().map(place));
    };
    if count <= SLOTS {
        keep(parse_headers(section, &mut [EMPTY_HEADER; SLOTS])?);
    } else {
        keep(parse_headers(section, &mut vec![EMPTY_HEADER; count])?);
    }
    let headers = Headers { buf: Bytes::copy_from_slice(bytes), spans };
    check_host(line.version, &headers)?;
    Ok(RequestHead {
        method: line.method,
        target: line.whole_target,
        form: line.target.form,
        authority: line.target.authority,
        path: line.target.path,
        query: line.target.query,
        version: line.version,
        headers,
    })
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
