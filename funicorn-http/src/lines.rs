//! Where does the next line end? Every line of a head, and of a trailer section, ends in CRLF and has a limit.
//!
//! RFC 9112 §2.2 lets a recipient take a bare LF for a line's end. This server does not: two parties that disagree
//! about where a line ends can be made to disagree about where a request ends. A limit holds before the line's end
//! has arrived, and the order of the checks does not depend on how the bytes were split: what a section is refused
//! for is the same whether it comes whole or byte by byte.

use memchr::memchr;

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFault {
    /// More bytes than the limit before the line's end.
    TooLong,
    /// A bare LF.
    Ending,
}

/// Walks through the lines of a section that may not be complete yet, and remembers how far it came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineScan {
    /// Where the line that is looked for begins.
    start: usize,
    /// No LF lies between `start` and here.
    scanned: usize,
}

impl LineScan {
    /// The bytes up to and including the last line's end.
    pub(crate) fn position(&self) -> usize {
        self.start
    }

    /// Whether no byte has been looked at.
    pub(crate) fn is_fresh(&self) -> bool {
        self.scanned == 0
    }

    /// The next line of `input`, without its CRLF, or `None` when its end has not arrived.
    ///
    /// `input` begins at the same byte each time; it may have grown. `limit` is for the line without its CRLF.
    pub(crate) fn next<'a>(&mut self, input: &'a [u8], limit: usize) -> Result<Option<&'a [u8]>, LineFault> {
        let found = memchr(b'\n', &input[self.scanned..]).map(|at| self.scanned + at);
        let line = &input[self.start..found.unwrap_or(input.len())];
        let content = line.strip_suffix(b"\r").unwrap_or(line);
        if content.len() > limit {
            return Err(LineFault::TooLong);
        }
        let Some(end) = found else {
            self.scanned = input.len();
            return Ok(None);
        };
        if content.len() == line.len() {
            return Err(LineFault::Ending);
        }
        self.start = end + 1;
        self.scanned = end + 1;
        Ok(Some(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_by_one() {
        let mut scan = LineScan::default();
        let input = b"ab\r\n\r\ncd";
        assert_eq!(scan.next(input, 2), Ok(Some(&b"ab"[..])));
        assert_eq!(scan.next(input, 2), Ok(Some(&b""[..])));
        assert_eq!(scan.position(), 6);
        assert_eq!(scan.next(input, 2), Ok(None));
        assert_eq!(scan.next(b"ab\r\n\r\ncd\r\n", 2), Ok(Some(&b"cd"[..])));
    }

    #[test]
    fn a_limit_holds_before_the_end_arrives() {
        assert_eq!(LineScan::default().next(b"abc", 3), Ok(None));
        assert_eq!(LineScan::default().next(b"abc\r", 3), Ok(None));
        assert_eq!(LineScan::default().next(b"abcd", 3), Err(LineFault::TooLong));
        assert_eq!(LineScan::default().next(b"abc\r\r", 3), Err(LineFault::TooLong));
    }

    #[test]
    fn a_bare_lf_ends_no_line() {
        assert_eq!(LineScan::default().next(b"abc\n", 9), Err(LineFault::Ending));
        assert_eq!(LineScan::default().next(b"\n", 9), Err(LineFault::Ending));
    }
}
