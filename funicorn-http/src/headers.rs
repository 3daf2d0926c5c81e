//! How is a request's header section kept? As it came: one buffer, and where each name and value lies in it.
//!
//! Most clients send the same lines with every request of a connection, so the section is shared by all requests that
//! repeat it (see [`repetition`](crate::repetition)), and what a service has made of it can be kept with it.

use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

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
///
/// A clone shares the lines.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    section: Arc<Section>,
    is_repeated: bool,
}

/// The lines themselves.
#[derive(Debug, Default)]
struct Section {
    /// As it came off the wire, with the empty line that ends it.
    buf: Box<[u8]>,
    /// Name and value of each line.
    spans: Box<[(Span, Span)]>,
    known: KnownNames,
    kept: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Headers {
    /// Header lines whose names and values lie in `buf` at `spans`.
    pub(crate) fn new(buf: Box<[u8]>, spans: Vec<(Span, Span)>, known: KnownNames) -> Self {
        let section = Section { buf, spans: spans.into_boxed_slice(), known, kept: OnceLock::new() };
        Self { section: Arc::new(section), is_repeated: false }
    }

    /// The section as it came.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.section.buf
    }

    /// The same lines, as another request has sent them again.
    pub(crate) fn repeat(&self) -> Self {
        Self { section: Arc::clone(&self.section), is_repeated: true }
    }

    /// The known names that may be there.
    pub(crate) fn known_names(&self) -> KnownNames {
        self.section.known
    }

    /// Whether the request before this one on its connection had the very same lines, byte by byte.
    ///
    /// Then the next one may have them too, and what is kept with them ([`keep`](Self::keep)) may be of use again.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// Whether these are the same lines as `other`, as those of a clone are and of a request that repeats them. Equal lines of
    /// two connections are not.
    #[must_use]
    pub fn share_lines_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.section, &other.section)
    }

    /// Keeps what has been made of these lines, for the requests that repeat them: until the connection ends, sends other
    /// lines or rests for a while. What is kept already stays, and `value` is dropped.
    ///
    /// ```
    /// let head = funicorn_http::RequestHead::builder("GET", "/").header("Accept", "text/html").build();
    /// assert_eq!(head.headers().kept::<u32>(), None);
    /// head.headers().keep(7_u32);
    /// assert_eq!(head.clone().headers().kept::<u32>(), Some(&7));
    /// ```
    pub fn keep(&self, value: impl Any + Send + Sync) {
        let _ = self.section.kept.set(Box::new(value));
    }

    /// What is kept with these lines, if it is a `T`.
    #[must_use]
    pub fn kept<T: Any>(&self) -> Option<&T> {
        self.section.kept.get()?.downcast_ref()
    }

    /// How many header lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.section.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.section.spans.is_empty()
    }

    /// Every line as `(name, value)`, in order.
    #[must_use]
    pub fn iter(&self) -> HeadersIter<'_> {
        HeadersIter { buf: &self.section.buf, spans: self.section.spans.iter() }
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
        let lines = if self.known_names().may_hold(name) { self.iter() } else { HeadersIter::default() };
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
