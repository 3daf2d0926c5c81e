//! What is a request? A head, a complete body, and the connection it came over.

use std::fmt;
use std::sync::Arc;

use crate::headers::Span;
use crate::known_names::KnownNames;
use crate::{Body, ConnectionInfo, Headers};

/// One request, complete, as a [`Service`](crate::Service) receives it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request {
    /// Method, target, version and header fields.
    pub head: RequestHead,
    /// The body. From `funicorn-net` every byte of it has arrived; see [`Body::is_complete`].
    pub body: Body,
    /// Whose request it is, and how it came: shared by all requests of a connection, unless a trusted proxy says more
    /// about each.
    pub connection: Arc<ConnectionInfo>,
}

impl Request {
    /// Puts a request together.
    #[must_use]
    pub fn new(head: RequestHead, body: Body, connection: Arc<ConnectionInfo>) -> Self {
        Self { head, body, connection }
    }
}

/// The version in the request line. Others are refused with 505.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// `HTTP/1.0`: the connection closes after the response unless both sides say `keep-alive`.
    Http10,
    /// `HTTP/1.1`: the connection persists unless one side says `close`.
    Http11,
}

impl Version {
    /// As it stands in the request line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// The form of a request target (RFC 9112 §3.2). Authority-form belongs to CONNECT, which is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetForm {
    /// `/path?query`.
    Origin,
    /// `http://authority/path?query`, as sent to proxies and by them.
    Absolute,
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// The head of a request: the request line, taken apart, and the header fields.
///
/// The parts of the request line are slices of one buffer and the header fields of another, so that a clone is cheap and
/// a head costs few allocations, however many fields it has.
#[derive(Clone)]
pub struct RequestHead {
    /// The request line without its CRLF; the places below are in it.
    pub(crate) line: Arc<[u8]>,
    pub(crate) method: Span,
    pub(crate) target: Span,
    pub(crate) form: TargetForm,
    /// Empty unless the target is in absolute-form.
    pub(crate) authority: Span,
    pub(crate) path: Span,
    pub(crate) query: Span,
    pub(crate) version: Version,
    pub(crate) headers: Headers,
}

impl RequestHead {
    /// Starts a head that did not come off the wire: in a test, or in a bridge from another HTTP library.
    ///
    /// `method` and `target` are taken as valid; the target is read as origin-form, or as asterisk-form if it is `*`.
    #[must_use]
    pub fn builder(method: &str, target: &str) -> RequestHeadBuilder {
        RequestHeadBuilder {
            method: method.as_bytes().to_vec(),
            target: target.as_bytes().to_vec(),
            version: Version::Http11,
            headers: Vec::new(),
        }
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.line[span.range()]
    }

    /// The method, in the case in which it was sent: methods are case-sensitive (RFC 9110 §9.1).
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.slice(self.method)
    }

    /// The request target as it was sent.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.slice(self.target)
    }

    /// The form of the target.
    #[must_use]
    pub fn form(&self) -> TargetForm {
        self.form
    }

    /// The authority of an absolute-form target, which replaces `Host` (RFC 9112 §3.2.2).
    #[must_use]
    pub fn authority(&self) -> Option<&[u8]> {
        (self.form == TargetForm::Absolute).then(|| self.slice(self.authority))
    }

    /// The path, still percent-encoded; empty for `*`. An absolute-form target without a path has `/`.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        let path = self.slice(self.path);
        if path.is_empty() && self.form == TargetForm::Absolute { b"/" } else { path }
    }

    /// What follows the first `?`, still encoded; empty when there is none.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        self.slice(self.query)
    }

    /// The version in the request line.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The header fields.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, target) = (self.method().escape_ascii(), self.target().escape_ascii());
        write!(f, "RequestHead({method} {target} {}, {} headers)", self.version.as_str(), self.headers.len())
    }
}

/// Builds a [`RequestHead`] from parts.
#[derive(Clone, Debug)]
pub struct RequestHeadBuilder {
    method: Vec<u8>,
    target: Vec<u8>,
    version: Version,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl RequestHeadBuilder {
    /// Sets the version; HTTP/1.1 without this call.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Puts the head together.
    #[must_use]
    pub fn build(self) -> RequestHead {
        fn place(part: &[u8], buf: &mut Vec<u8>) -> Span {
            let start = buf.len() as u32;
            buf.extend_from_slice(part);
            Span { start, end: buf.len() as u32 }
        }
        let (mut line, mut section, mut known) = (Vec::new(), Vec::new(), KnownNames::default());
        let (method, target) = (place(&self.method, &mut line), place(&self.target, &mut line));
        let field = |(name, value): &(Vec<u8>, Vec<u8>)| {
            known.note(name);
            (place(name, &mut section), place(value, &mut section))
        };
        let spans = self.headers.iter().map(field).collect();
        let form = if self.target == b"*" { TargetForm::Asterisk } else { TargetForm::Origin };
        let (path, query) = split_path(&self.target, target, form);
        let headers = Headers::new(section.into(), spans, known);
        let (line, authority) = (line.into(), Span::default());
        RequestHead { line, method, target, form, authority, path, query, version: self.version, headers }
    }
}

/// Splits an origin-form `target` that lies at `span` into path and query; `*` has neither.
pub(crate) fn split_path(target: &[u8], span: Span, form: TargetForm) -> (Span, Span) {
    if form == TargetForm::Asterisk {
        return (Span::default(), Span::default());
    }
    match memchr::memchr(b'?', target) {
        Some(at) => {
            let mark = span.start + at as u32;
            (Span { start: span.start, end: mark }, Span { start: mark + 1, end: span.end })
        }
        None => (span, Span::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_head_gives_its_parts_back() {
        let head = RequestHead::builder("GET", "/a/b?c=d?e")
            .header("Host", "x")
            .header("A", "1")
            .header("a", "2")
            .build();
        assert_eq!(head.method(), b"GET");
        assert_eq!(head.path(), b"/a/b");
        assert_eq!(head.query(), b"c=d?e");
        assert_eq!(head.headers().get("HOST"), Some(&b"x"[..]));
        assert_eq!(head.headers().get_all("a").collect::<Vec<_>>(), [b"1", b"2"]);
    }

    #[test]
    fn the_asterisk_has_no_path() {
        let head = RequestHead::builder("OPTIONS", "*").build();
        assert_eq!((head.path(), head.query(), head.target()), (&b""[..], &b""[..], &b"*"[..]));
    }
}
