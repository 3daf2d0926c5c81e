//! How is a request's header section kept? As it came: one buffer, and where each name and value lies in it.

use std::ops::Range;

use bytes::Bytes;

use crate::known_names::{KnownName, KnownNames};

/// A place in the head's buffer. Heads are limited far below 4 GiB, so 32 bits are enough.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// The span of `part` within `whole`, of which it must be a slice.
    pub(crate) fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = (part.as_ptr() as usize) - (whole.as_ptr() as usize);
        debug_assert!(start + part.len() <= whole.len(), "a span lies in its buffer");
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The header fields of a request in the order in which they came, each spelled as it was sent.
///
/// Values have lost the blanks around them and nothing else; they are bytes, for RFC 9110 §5.5 promises no charset.
///
/// ```
/// let head = funicorn_http::RequestHead::builder("GET", "/").header("Accept", "text/html").header("accept", "*/*").build();
/// let headers = head.headers();
/// assert_eq!((headers.len(), headers.get("ACCEPT")), (2, Some(&b"text/html"[..])));
/// assert_eq!(headers.get_all("accept").count(), 2);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Headers {
    pub(crate) buf: Bytes,
    pub(crate) spans: Vec<(Span, Span)>,
    pub(crate) known: KnownNames,
}

impl Headers {
    /// How many header lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Every line as `(name, value)`, in order.
    #[must_use]
    pub fn iter(&self) -> HeadersIter<'_> {
        HeadersIter { buf: &self.buf, spans: self.spans.iter() }
    }

    /// The value of the first line called `name`, whatever its case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The values of all lines called `name`, whatever their case, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().called(name)
    }

    /// The values of all lines called `name`, in order: as [`get_all`](Self::get_all), but for nothing where there is none.
    pub(crate) fn known(&self, name: KnownName) -> impl Iterator<Item = &[u8]> {
        let lines = if self.known.may_hold(name) { self.iter() } else { HeadersIter::default() };
        lines.called(name.as_str())
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterates over [`Headers`] as `(name, value)`.
#[derive(Clone, Debug, Default)]
pub struct HeadersIter<'a> {
    buf: &'a [u8],
    spans: std::slice::Iter<'a, (Span, Span)>,
}

impl<'a> HeadersIter<'a> {
    /// The values of the lines called `name`, whatever their case.
    fn called(self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.spans.next()?;
        Some((&self.buf[name.range()], &self.buf[value.range()]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl DoubleEndedIterator for HeadersIter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (name, value) = self.spans.next_back()?;
        Some((&self.buf[name.range()], &self.buf[value.range()]))
    }
}

impl ExactSizeIterator for HeadersIter<'_> {}
