//! How much may a peer send? Every number that bounds the memory of one request, in one place.

/// Limits on what a request may be. A request past one of them is refused with the status named at the field.
///
/// ```
/// use std::sync::Arc;
///
/// use funicorn_http::{Limits, Refusal, Session};
///
/// let mut limits = Limits::default();
/// limits.body = 1024;
/// let mut upload = &b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n"[..];
/// assert_eq!(Session::new(Arc::new(limits)).receive(&mut upload).unwrap_err(), Refusal::BodyTooLarge);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the request line without its CRLF: 8190, as Apache httpd has it (gunicorn: 4094, nginx: 8 KiB). 414.
    pub request_line: usize,
    /// Bytes of one header line, name to value: 8190, as Apache httpd and gunicorn have it. 431.
    pub header_field: usize,
    /// Header lines: 100, as Apache httpd and gunicorn have it. 431.
    pub header_count: usize,
    /// Bytes of the whole head, from the request line to the empty line: 64 KiB (nginx: 4 buffers of 8 KiB, Node: 16 KiB). 431.
    pub head: usize,
    /// Bytes of the decoded body: 1 GiB, as waitress has it. gunicorn, granian and uWSGI have no limit, nginx has 1 MiB;
    /// large enough for uploads and pushes, and not what guards a disk: whoever keeps bodies bounds them all together. 413.
    pub body: u64,
    /// Bytes of one chunk's extensions: 256 (RFC 9112 §7.1.1 asks for a limit; hyper: 16 KiB in all). 400.
    pub chunk_extension: usize,
    /// Bytes of a chunked body's trailer section: 8190. 431.
    pub trailers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: 8190,
            header_field: 8190,
            header_count: 100,
            head: 64 * 1024,
            body: 1 << 30,
            chunk_extension: 256,
            trailers: 8190,
        }
    }
}
