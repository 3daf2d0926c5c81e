//! What is the head of a response? A status, and header lines in the order and spelling of whoever made them.
//!
//! A [`ResponseHead`] keeps its lines as they will stand on the wire. Each is checked when it is appended, so that
//! whatever a head holds cannot split a response (RFC 9110 §5.5, RFC 9112 §11.1), and the few fields that
//! decide about framing are noted on the way.

use memchr::memmem;

use crate::byte_set::ByteSet;

/// How long the body will be, as far as the service knows when it starts the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// Exactly this many bytes.
    Known(u64),
    /// Not known: chunked to an HTTP/1.1 client, ended by the close of the connection to an HTTP/1.0 one.
    Unknown,
}

/// Why a status or a header line cannot be sent. The application's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The status code is not three digits from 200 to 999 (RFC 9110 §15).
    #[error("a final status must be a number from 200 to 999")]
    Status,
    /// The reason phrase holds control characters (RFC 9112 §4).
    #[error("the reason phrase contains a control character")]
    Reason,
    /// The name is not a token (RFC 9110 §5.6.2).
    #[error("the header name is empty or contains a character that is not allowed")]
    Name,
    /// The value holds CR, LF, NUL or another control character (RFC 9110 §5.5).
    #[error("the header value contains a control character")]
    Value,
    /// The field belongs to the connection and not to the application (RFC 9110 §7.6.1, PEP 3333 "Other HTTP Features").
    #[error("hop-by-hop headers belong to the server")]
    HopByHop,
    /// `Content-Length` is not a plain decimal number, or a second one.
    #[error("Content-Length is malformed or repeated")]
    ContentLength,
}

/// The status line and header section of a final response.
///
/// ```
/// use funicorn_http::{HeaderError, ResponseHead};
///
/// let mut head = ResponseHead::new(302, b"Found")?;
/// head.append(b"Location", b"/here")?;
/// assert_eq!(head.append(b"Location", b"/here\r\nSet-Cookie: stolen=1"), Err(HeaderError::Value));
/// assert_eq!(head.lines(), b"Location: /here\r\n");
/// # Ok::<(), HeaderError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResponseHead {
    code: u16,
    /// The reason phrase and behind it the header lines, in one allocation.
    text: Vec<u8>,
    reason_len: usize,
    content_length: Option<u64>,
    close: bool,
    has_date: bool,
    has_server: bool,
}

impl ResponseHead {
    /// A head with a final status `code` and a `reason` phrase, which may be empty and leaves verbatim.
    ///
    /// # Errors
    /// [`HeaderError::Status`] unless `200 <= code <= 999`; [`HeaderError::Reason`] for control characters.
    pub fn new(code: u16, reason: &[u8]) -> Result<Self, HeaderError> {
        if !(200..=999).contains(&code) {
            return Err(HeaderError::Status);
        }
        if !is_field_content(reason) {
            return Err(HeaderError::Reason);
        }
        let mut text = Vec::with_capacity(256);
        text.extend_from_slice(reason);
        Ok(Self {
            code,
            text,
            reason_len: reason.len(),
            content_length: None,
            close: false,
            has_date: false,
            has_server: false,
        })
    }

    /// Appends one header line, kept in this order and spelling.
    ///
    /// `Connection: close` is taken as a wish to close after this response, and no line is kept for it: the server
    /// says `Connection` itself. `Content-Length` is checked and noted.
    ///
    /// # Errors
    /// See [`HeaderError`]; the head is unchanged then.
    pub fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        if name.is_empty() || !TOKEN.contains_all(name) {
            return Err(HeaderError::Name);
        }
        if !is_field_content(value) {
            return Err(HeaderError::Value);
        }
        match Noted::of(name) {
            Noted::Nothing => {}
            Noted::Date => self.has_date = true,
            Noted::Server => self.has_server = true,
            Noted::ContentLength => {
                if self.content_length.is_some() {
                    return Err(HeaderError::ContentLength);
                }
                self.content_length =
                    Some(parse_decimal(value.trim_ascii()).ok_or(HeaderError::ContentLength)?);
            }
            Noted::Connection if value.trim_ascii().eq_ignore_ascii_case(b"close") => {
                self.close = true;
                return Ok(());
            }
            Noted::Connection | Noted::HopByHop => return Err(HeaderError::HopByHop),
        }
        self.text.reserve(name.len() + value.len() + 4);
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(b": ");
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The reason phrase.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        &self.text[..self.reason_len]
    }

    /// The header lines as they go on the wire, each with its CRLF.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.text[self.reason_len..]
    }

    /// Every header line as `(name, value)`, for bridges to other HTTP libraries.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines().split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = memmem::find(line, b": ")?;
            Some((&line[..colon], line[colon + 2..].strip_suffix(b"\r")?))
        })
    }

    /// The value of the application's own `Content-Length`.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether the application wants the connection closed after this response.
    #[must_use]
    pub fn wants_close(&self) -> bool {
        self.close
    }

    /// Whether there is a `Date` line already.
    #[must_use]
    pub fn has_date(&self) -> bool {
        self.has_date
    }

    /// Whether there is a `Server` line already.
    #[must_use]
    pub fn has_server(&self) -> bool {
        self.has_server
    }
}

/// What a header name means to the server.
enum Noted {
    Nothing,
    Date,
    Server,
    ContentLength,
    Connection,
    HopByHop,
}

impl Noted {
    /// Looks at the length first: most names share theirs with no noted one.
    fn of(name: &[u8]) -> Self {
        let is = |noted: &str| name.eq_ignore_ascii_case(noted.as_bytes());
        match name.len() {
            2 if is("te") => Self::HopByHop,
            4 if is("date") => Self::Date,
            6 if is("server") => Self::Server,
            7 if is("trailer") || is("upgrade") => Self::HopByHop,
            8 if is("trailers") => Self::HopByHop,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::HopByHop,
            14 if is("content-length") => Self::ContentLength,
            16 if is("proxy-connection") => Self::HopByHop,
            17 if is("transfer-encoding") => Self::HopByHop,
            18 if is("proxy-authenticate") => Self::HopByHop,
            19 if is("proxy-authorization") => Self::HopByHop,
            _ => Self::Nothing,
        }
    }
}

/// A token character (RFC 9110 §5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    TOKEN.contains(byte)
}

static TOKEN: ByteSet = ByteSet::alphanumeric_and(b"!#$%&'*+-.^_`|~");

/// Whether `text` may stand in a field value or reason phrase: no control characters but HTAB (RFC 9110 §5.5).
pub(crate) fn is_field_content(text: &[u8]) -> bool {
    // A fold without an early end, so that the compiler can take many bytes at once.
    text.iter().fold(true, |good, &byte| good & (byte == b'\t' || (byte >= b' ' && byte != 0x7f)))
}

/// A plain decimal number: digits only, at least one, at most `u64::MAX` (RFC 9110 §8.6).
pub(crate) fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> ResponseHead {
        ResponseHead::new(200, b"OK").unwrap()
    }

    #[test]
    fn lines_keep_order_and_spelling() {
        let mut head = head();
        head.append(b"X-B", b"1").unwrap();
        head.append(b"set-cookie", b"a=b: c").unwrap();
        assert_eq!(head.lines(), b"X-B: 1\r\nset-cookie: a=b: c\r\n");
        assert_eq!(head.iter().collect::<Vec<_>>(), [(&b"X-B"[..], &b"1"[..]), (b"set-cookie", b"a=b: c")]);
    }

    #[test]
    fn what_would_split_the_response_is_an_error() {
        assert_eq!(head().append(b"X", b"a\r\nSet-Cookie: b"), Err(HeaderError::Value));
        assert_eq!(head().append(b"X\r\nY", b"a"), Err(HeaderError::Name));
        assert_eq!(head().append(b"X:", b"a"), Err(HeaderError::Name));
        assert_eq!(head().append(b"", b"a"), Err(HeaderError::Name));
        assert_eq!(ResponseHead::new(200, b"OK\r\nX: y").unwrap_err(), HeaderError::Reason);
    }

    #[test]
    fn a_final_status_is_200_or_more() {
        assert_eq!(ResponseHead::new(199, b"").unwrap_err(), HeaderError::Status);
        assert_eq!(ResponseHead::new(1000, b"").unwrap_err(), HeaderError::Status);
    }

    #[test]
    fn connection_close_is_a_wish_and_other_hop_by_hop_fields_are_errors() {
        let mut head = head();
        head.append(b"Connection", b"Close").unwrap();
        assert!(head.wants_close());
        assert_eq!(head.lines(), b"");
        for name in [
            "Connection",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "Proxy-Authenticate",
        ] {
            assert_eq!(head.append(name.as_bytes(), b"x"), Err(HeaderError::HopByHop), "{name}");
        }
    }

    #[test]
    fn content_length_is_one_plain_number() {
        for bad in ["", "+1", "-1", "1,1", "0x1", "1 1", "99999999999999999999"] {
            assert_eq!(
                head().append(b"Content-Length", bad.as_bytes()),
                Err(HeaderError::ContentLength),
                "{bad}"
            );
        }
        let mut head = head();
        head.append(b"content-length", b"12").unwrap();
        assert_eq!(head.content_length(), Some(12));
        assert_eq!(head.append(b"Content-Length", b"12"), Err(HeaderError::ContentLength));
    }
}
