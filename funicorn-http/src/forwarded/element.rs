//! What does one proxy say in `Forwarded`? An element: pairs such as `for=192.0.2.1;proto=https` (RFC 7239 §4).
//!
//! A comma or a semicolon may stand in a quoted string, so elements can only be told apart from the beginning of a line. The
//! beginning is the client's, which might leave a string open to swallow what the proxy appends: then the line cannot be
//! read, and the request is refused.

use std::borrow::Cow;

use super::names::ForwardedHeader;
use crate::response::is_token;
use crate::{Headers, Refusal};

/// More proxies than a request has ever passed, so that a line of commas does not become a long list in memory.
const MAX_ELEMENTS: usize = 256;

/// One element, its values without their quotes.
#[derive(Debug, Default)]
pub(super) struct Element<'a> {
    /// Whom the proxy took the request from: `for`.
    pub(super) node: Option<Cow<'a, [u8]>>,
    pub(super) proto: Option<Cow<'a, [u8]>>,
    pub(super) host: Option<Cow<'a, [u8]>>,
    /// Whether there is any pair, of these or another.
    said_something: bool,
}

impl<'a> Element<'a> {
    /// An element of `node` alone; if that is empty, so is the element.
    pub(super) fn of_node(node: &'a [u8]) -> Self {
        if node.is_empty() {
            return Self::default();
        }
        Self { node: Some(Cow::Borrowed(node)), said_something: true, ..Self::default() }
    }

    /// Whether nothing stands between the commas.
    pub(super) fn is_empty(&self) -> bool {
        !self.said_something
    }

    /// Takes a pair in. A parameter occurs once in an element (RFC 7239 §4).
    fn set(&mut self, name: &[u8], value: Cow<'a, [u8]>) -> Option<()> {
        self.said_something = true;
        let place = if name.eq_ignore_ascii_case(b"for") {
            &mut self.node
        } else if name.eq_ignore_ascii_case(b"proto") {
            &mut self.proto
        } else if name.eq_ignore_ascii_case(b"host") {
            &mut self.host
        } else {
            return Some(());
        };
        place.replace(value).is_none().then_some(())
    }
}

/// The elements of every `Forwarded` line, in order.
pub(super) fn parse_all(headers: &Headers) -> Result<Vec<Element<'_>>, Refusal> {
    let mut elements = Vec::new();
    for (name, value) in headers {
        if ForwardedHeader::of(name) == Some(ForwardedHeader::Forwarded) {
            parse_line(value, &mut elements).ok_or(Refusal::Forwarded)?;
        }
    }
    Ok(elements)
}

/// Elements separated by commas, of pairs separated by semicolons; blanks around either are ignored.
fn parse_line<'a>(line: &'a [u8], elements: &mut Vec<Element<'a>>) -> Option<()> {
    let mut element = Element::default();
    let mut rest = line.trim_ascii_start();
    loop {
        if elements.len() == MAX_ELEMENTS {
            return None;
        }
        if !matches!(rest.first(), None | Some(b',' | b';')) {
            let (name, after) = take_token(rest)?;
            let (value, after) = take_value(after.strip_prefix(b"=")?)?;
            element.set(name, value)?;
            rest = after.trim_ascii_start();
        }
        match rest.split_first() {
            None => {
                elements.push(element);
                return Some(());
            }
            Some((b',', after)) => {
                elements.push(std::mem::take(&mut element));
                rest = after.trim_ascii_start();
            }
            Some((b';', after)) => rest = after.trim_ascii_start(),
            Some(_) => return None,
        }
    }
}

/// A token, which is not empty, and what follows it.
fn take_token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = text.iter().position(|&byte| !is_token(byte)).unwrap_or(text.len());
    (len > 0).then(|| text.split_at(len))
}

/// A token or a quoted string (RFC 9110 §5.6.4), and what follows it.
fn take_value(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        return take_token(text).map(|(token, rest)| (Cow::Borrowed(token), rest));
    };
    let end = memchr::memchr2(b'"', b'\\', quoted)?;
    if quoted[end] == b'"' {
        return Some((Cow::Borrowed(&quoted[..end]), &quoted[end + 1..]));
    }
    let mut value = Vec::new();
    let mut rest = quoted;
    loop {
        match rest {
            [b'"', after @ ..] => return Some((Cow::Owned(value), after)),
            [b'\\', escaped, after @ ..] => {
                value.push(*escaped);
                rest = after;
            }
            [b'\\'] | [] => return None,
            [byte, after @ ..] => {
                value.push(*byte);
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each element as `node proto host`, with `-` for what it does not say.
    fn elements(line: &str) -> Option<Vec<String>> {
        let mut elements = Vec::new();
        parse_line(line.as_bytes(), &mut elements)?;
        let word =
            |value: &Option<Cow<'_, [u8]>>| value.as_deref().unwrap_or(b"-").escape_ascii().to_string();
        let words = |it: &Element<'_>| [&it.node, &it.proto, &it.host].map(word).join(" ");
        Some(elements.iter().map(|it| if it.is_empty() { String::new() } else { words(it) }).collect())
    }

    #[test]
    fn elements_and_pairs() {
        for (line, expected) in [
            ("for=192.0.2.1", &["192.0.2.1 - -"][..]),
            ("For=a;PROTO=https;hOst=b;by=c", &["a https b"]),
            ("for=a, for=\"[::1]:80\"", &["a - -", "[::1]:80 - -"]),
            ("for=\"a,b;c\\\"d\\\\\";proto=http", &["a,b;c\\\"d\\\\ http -"]),
            ("for=a ; proto=http\t,\tby=x", &["a http -", "- - -"]),
            (",for=a,, ", &["", "a - -", "", ""]),
            (";for=a;;", &["a - -"]),
            ("extension=\"\";for=\"\"", &[" - -"]),
            ("", &[""]),
        ] {
            assert_eq!(elements(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn there_is_an_end_to_the_elements() {
        assert_eq!(elements(&",".repeat(MAX_ELEMENTS - 1)).unwrap().len(), MAX_ELEMENTS);
        assert_eq!(elements(&",".repeat(MAX_ELEMENTS)), None);
    }

    #[test]
    fn what_cannot_be_read() {
        for bad in [
            "192.0.2.1",
            "for",
            "for=",
            "=a",
            "for =a",
            "for= a",
            "for=a b",
            "for=[::1]",
            "for=1.2.3.4:80",
            "for=\"a",
            "for=\"a\\",
            "for=\"a\"b",
            "for=a;for=b",
            "for=a;For=a",
            "proto=http;proto=https",
            "for=\"open, for=192.0.2.1",
            "for=6.6.6.6;x=\", for=\"[2001:db8::1]:80\"",
            "for=a:b",
            "for=\u{e9}",
        ] {
            assert_eq!(elements(bad), None, "{bad}");
        }
    }
}
