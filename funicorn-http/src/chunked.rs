//! What is the body inside the chunked coding? A strict decoder (RFC 9112 §7.1).
//!
//! Chunk sizes are plain hexadecimal, every line ends in CRLF, extensions are skipped under a limit and trailers are
//! checked and dropped. httparse has a function for chunk sizes that takes an empty size for zero, a bare LF for a
//! line's end and a CRLF inside a quoted extension, each of which lets a request be smuggled; it is not used.

use crate::lines::{LineFault, LineScan};
use crate::{Limits, Refusal};

/// A size of more digits is refused even if they are zeros: 16 are enough for 64 bits.
const MAX_DIGITS: u8 = 16;

/// What decoding led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded<'a> {
    /// More bytes are needed.
    Incomplete,
    /// A piece of the body, never empty.
    Bytes(&'a [u8]),
    /// The body is complete; the trailers have been taken off the input too.
    End,
}

/// The decoder of one body.
#[derive(Clone, Debug)]
pub(crate) struct ChunkedDecoder {
    state: State,
    /// Bytes of the chunks begun so far, the current one included.
    total: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In the digits of a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the size, in what must be extensions.
    Extension {
        size: u64,
        len: usize,
        place: Place,
    },
    /// The line of the size has had its CR.
    SizeLf {
        size: u64,
    },
    /// In a chunk's bytes.
    Data {
        left: u64,
    },
    /// Behind a chunk's bytes.
    DataCr,
    DataLf,
    /// Behind the last chunk; the section stays in the input until it is complete.
    Trailers {
        lines: LineScan,
        count: usize,
    },
    End,
}

/// Where in its extensions a chunk's header stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the blanks that may precede the first `;`.
    Blank,
    Text,
    Quoted,
    /// Behind a backslash in a quoted string.
    Escaped,
}

impl ChunkedDecoder {
    pub(crate) fn new() -> Self {
        Self { state: State::Size { size: 0, digits: 0 }, total: 0 }
    }

    /// Decodes from `input`, advancing it past what was consumed.
    pub(crate) fn decode<'a>(
        &mut self,
        input: &mut &'a [u8],
        limits: &Limits,
    ) -> Result<Decoded<'a>, Refusal> {
        loop {
            match self.state {
                State::Data { left } => {
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    if len == 0 {
                        return Ok(Decoded::Incomplete);
                    }
                    let (bytes, rest) = input.split_at(len);
                    *input = rest;
                    let left = left - len as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                    return Ok(Decoded::Bytes(bytes));
                }
                State::Trailers { lines, count } => match self.trailers(lines, count, input, limits)? {
                    true => self.state = State::End,
                    false => return Ok(Decoded::Incomplete),
                },
                State::End => return Ok(Decoded::End),
                _ => {
                    let Some((&byte, rest)) = input.split_first() else { return Ok(Decoded::Incomplete) };
                    *input = rest;
                    self.state = self.step(byte, limits)?;
                }
            }
        }
    }

    /// One byte of a chunk's header or end.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { digits: 1.., size }, b'\r') => Ok(State::SizeLf { size }),
            (State::Size { digits: 1.., size }, b';') => self.extension(size, 1, Place::Text, limits),
            (State::Size { digits: 1.., size }, b' ' | b'\t') => {
                self.extension(size, 1, Place::Blank, limits)
            }
            (State::Size { digits, size }, _) => self.digit(size, digits, byte, limits),
            (State::Extension { size, place: Place::Text, .. }, b'\r') => Ok(State::SizeLf { size }),
            (State::Extension { size, len, place }, _) => {
                self.extension(size, len + 1, place.after(byte)?, limits)
            }
            (State::SizeLf { size: 0 }, b'\n') => {
                Ok(State::Trailers { lines: LineScan::default(), count: 0 })
            }
            (State::SizeLf { size }, b'\n') => Ok(State::Data { left: size }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            _ => Err(Refusal::Chunk),
        }
    }

    fn digit(&mut self, size: u64, digits: u8, byte: u8, limits: &Limits) -> Result<State, Refusal> {
        let value = (byte as char).to_digit(16).ok_or(Refusal::Chunk)?;
        if digits == MAX_DIGITS {
            return Err(Refusal::Chunk);
        }
        // Sixteen digits fit. Before this digit the size was counted in full, so the total keeps pace with it.
        let grown = size << 4 | u64::from(value);
        self.total = (self.total - size).checked_add(grown).ok_or(Refusal::BodyTooLarge)?;
        if self.total > limits.body {
            return Err(Refusal::BodyTooLarge);
        }
        Ok(State::Size { size: grown, digits: digits + 1 })
    }

    fn extension(&self, size: u64, len: usize, place: Place, limits: &Limits) -> Result<State, Refusal> {
        if len > limits.chunk_extension {
            return Err(Refusal::ChunkExtensionTooLong);
        }
        Ok(State::Extension { size, len, place })
    }

    /// Looks for the end of the trailer section; true when it has been checked and taken off the input.
    fn trailers(
        &mut self,
        mut lines: LineScan,
        mut count: usize,
        input: &mut &[u8],
        limits: &Limits,
    ) -> Result<bool, Refusal> {
        let left = |lines: &LineScan| limits.trailers.saturating_sub(lines.position());
        loop {
            let left = left(&lines);
            let line = lines.next(input, left.min(limits.header_field)).map_err(|fault| match fault {
                LineFault::TooLong if left < limits.header_field => Refusal::TrailersTooLarge,
                LineFault::TooLong => Refusal::FieldTooLarge,
                LineFault::Ending => Refusal::LineEnding,
            })?;
            match line {
                None => {
                    self.state = State::Trailers { lines, count };
                    return Ok(false);
                }
                Some(b"") => break,
                Some(line) => check_trailer(line)?,
            }
            count += 1;
            if count > limits.header_count {
                return Err(Refusal::TooManyFields);
            }
        }
        *input = &input[lines.position()..];
        Ok(true)
    }
}

impl Place {
    /// The place behind `byte`, which is one that may stand in an extension; a CR ends extensions in `Text` only.
    fn after(self, byte: u8) -> Result<Self, Refusal> {
        let is_text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        match (self, byte) {
            _ if !is_text => Err(Refusal::Chunk),
            (Self::Blank, b' ' | b'\t') => Ok(Self::Blank),
            (Self::Blank, b';') => Ok(Self::Text),
            (Self::Blank, _) => Err(Refusal::Chunk),
            (Self::Text, b'"') => Ok(Self::Quoted),
            (Self::Quoted, b'"') => Ok(Self::Text),
            (Self::Quoted, b'\\') => Ok(Self::Escaped),
            (Self::Escaped, _) => Ok(Self::Quoted),
            (place, _) => Ok(place),
        }
    }
}

/// What would frame, route or control the request if it stood in the head. A sender must not put it into a trailer
/// (RFC 9110 §6.5.1): whoever does hopes that somebody merges trailers into the head.
const HEADERS_ONLY: [&[u8]; 8] = [
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"connection",
    b"expect",
    b"te",
    b"trailer",
    b"upgrade",
];

/// A trailer is a header line, of another name than those. It is dropped: nobody asked for it (RFC 9110 §6.5.1).
fn check_trailer(line: &[u8]) -> Result<(), Refusal> {
    let colon = memchr::memchr(b':', line).ok_or(Refusal::Chunk)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_name = !name.is_empty() && name.iter().all(|&byte| crate::response::is_token(byte));
    if !is_name || !crate::response::is_field_content(value) {
        return Err(Refusal::Chunk);
    }
    if HEADERS_ONLY.iter().any(|header| name.eq_ignore_ascii_case(header)) {
        return Err(Refusal::Trailer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes all of `input`: the body, how it ended, and what was left.
    fn decode(input: &str, limits: &Limits) -> (String, Result<bool, Refusal>, usize) {
        let (mut decoder, mut rest, mut body) = (ChunkedDecoder::new(), input.as_bytes(), Vec::new());
        let ended = loop {
            match decoder.decode(&mut rest, limits) {
                Ok(Decoded::Bytes(bytes)) => body.extend_from_slice(bytes),
                Ok(Decoded::End) => break Ok(true),
                Ok(Decoded::Incomplete) => break Ok(false),
                Err(refusal) => break Err(refusal),
            }
        };
        (String::from_utf8(body).unwrap(), ended, rest.len())
    }

    fn outcome(input: &str) -> Result<bool, Refusal> {
        decode(input, &Limits::default()).1
    }

    #[test]
    fn chunks_and_what_follows_them() {
        let input = "2\r\nhe\r\n0003 ; a=\"\\\";b\" ;c\r\nllo\r\n00\r\nA: b\r\n\r\nnext";
        assert_eq!(decode(input, &Limits::default()), ("hello".into(), Ok(true), 4));
        assert_eq!(outcome("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), Ok(true));
    }

    #[test]
    fn a_size_is_hexadecimal_digits_and_nothing_else() {
        for bad in [
            "\r\n",
            ";a\r\n",
            "+1\r\n",
            "-1\r\n",
            "0x1\r\n",
            "1g\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "1\r1",
            "00000000000000001",
        ] {
            assert_eq!(outcome(bad), Err(Refusal::Chunk), "{bad:?}");
        }
    }

    #[test]
    fn a_chunk_ends_in_crlf() {
        for bad in ["1\r\nab", "1\r\na\n", "1\r\na\r0", "1\r\na0\r\n"] {
            assert_eq!(outcome(bad), Err(Refusal::Chunk), "{bad:?}");
        }
    }

    #[test]
    fn extensions_hold_no_control_characters_and_close_their_quotes() {
        for bad in ["1;a\nb\r\n", "1;a\0\r\n", "1;a=\"\r\n\"\r\n", "1;a=\"\\\r\n", "1 x\r\n", "1;\u{7f}\r\n"]
        {
            assert_eq!(outcome(bad), Err(Refusal::Chunk), "{bad:?}");
        }
    }

    #[test]
    fn extensions_have_a_limit() {
        let limits = Limits { chunk_extension: 4, ..Limits::default() };
        assert_eq!(decode("1;abc\r\n", &limits).1, Ok(false));
        assert_eq!(decode("1;abcd", &limits).1, Err(Refusal::ChunkExtensionTooLong));
    }

    #[test]
    fn the_body_has_a_limit_that_its_sizes_cannot_pass() {
        let limits = Limits { body: 20, ..Limits::default() };
        assert_eq!(decode("14\r\n", &limits).1, Ok(false));
        assert_eq!(decode("15", &limits).1, Err(Refusal::BodyTooLarge));
        assert_eq!(decode("1\r\na\r\n14", &limits).1, Err(Refusal::BodyTooLarge));
        let unlimited = Limits { body: u64::MAX, ..Limits::default() };
        assert_eq!(decode("ffffffffffffffff\r\n", &unlimited).1, Ok(false));
        assert_eq!(decode("1\r\na\r\nffffffffffffffff", &unlimited).1, Err(Refusal::BodyTooLarge));
    }

    #[test]
    fn trailers_are_checked_and_dropped() {
        assert_eq!(outcome("0\r\nContent-MD5: 9\r\nA:\r\n\r\n"), Ok(true));
        assert_eq!(outcome("0\r\nA:\r\ncontent-LENGTH: 9\r\n"), Err(Refusal::Trailer));
        assert_eq!(outcome("0\r\nHost:\r\n"), Err(Refusal::Trailer));
        for bad in [
            "0\r\nA\r\n",
            "0\r\n: a\r\n",
            "0\r\nA : a\r\n",
            "0\r\nA: a\r\n b\r\n",
            "0\r\nA: \0\r\n",
            "0\r\nA: b\rc\r\n",
        ] {
            assert_eq!(outcome(bad), Err(Refusal::Chunk), "{bad:?}");
        }
        assert_eq!(outcome("0\r\nA: a\n"), Err(Refusal::LineEnding));
        assert_eq!(outcome("0\r\n\n"), Err(Refusal::LineEnding));
    }

    #[test]
    fn trailers_have_limits() {
        let limits = Limits { trailers: 10, header_field: 8, header_count: 2, ..Limits::default() };
        assert_eq!(decode("0\r\nA: 45678\r\n\r\n", &limits).1, Ok(true));
        assert_eq!(decode("0\r\nA: 456789", &limits).1, Err(Refusal::FieldTooLarge));
        assert_eq!(decode("0\r\nA: 4\r\nB: 45", &limits).1, Err(Refusal::TrailersTooLarge));
        assert_eq!(decode("0\r\na:\r\nb:\r\nc:\r\n", &limits).1, Err(Refusal::TooManyFields));
    }
}
