//! What does the client ask for? The request target and its forms (RFC 9112 §3.2).

use crate::authority::is_authority;
use crate::headers::Span;
use crate::request::split_path;
use crate::{Refusal, TargetForm};

/// Where the parts of a target lie in the head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) form: TargetForm,
    pub(crate) authority: Span,
    pub(crate) path: Span,
    pub(crate) query: Span,
}

impl Target {
    /// Takes `target`, which lies at `span`, apart.
    ///
    /// Bytes that RFC 3986 wants encoded but that cannot be mistaken for anything else (`|`, `"`, `^`, raw UTF-8)
    /// pass, since clients send them. Control characters, blanks and `#` do not.
    pub(crate) fn parse(method: &[u8], target: &[u8], span: Span) -> Result<Self, Refusal> {
        // A fold without an early end, so that the compiler can take many bytes at once.
        let forbidden = |byte: u8| byte <= b' ' || byte == 0x7f || byte == b'#';
        if target.iter().fold(false, |bad, &byte| bad | forbidden(byte)) {
            return Err(Refusal::Target);
        }
        let found = match target {
            [b'/', ..] => Self::with_path(target, span, TargetForm::Origin, Span::default()),
            b"*" if method == b"OPTIONS" => {
                Self::with_path(b"", Span::default(), TargetForm::Asterisk, Span::default())
            }
            _ => Self::absolute(target, span)?,
        };
        let path =
            &target[(found.path.start.saturating_sub(span.start)) as usize..][..found.path.range().len()];
        if has_encoded_nul(path) { Err(Refusal::NulInPath) } else { Ok(found) }
    }

    fn absolute(target: &[u8], span: Span) -> Result<Self, Refusal> {
        let scheme = memchr::memmem::find(target, b"://").ok_or(Refusal::Target)?;
        let is_http = |name: &[u8]| name.eq_ignore_ascii_case(b"http") || name.eq_ignore_ascii_case(b"https");
        if !is_http(&target[..scheme]) {
            return Err(Refusal::Target);
        }
        let start = scheme + 3;
        let end = memchr::memchr2(b'/', b'?', &target[start..]).map_or(target.len(), |at| start + at);
        if !is_authority(&target[start..end]) {
            return Err(Refusal::Target);
        }
        let at = |offset: usize| span.start + offset as u32;
        let authority = Span { start: at(start), end: at(end) };
        let rest = Span { start: at(end), end: span.end };
        Ok(Self::with_path(&target[end..], rest, TargetForm::Absolute, authority))
    }

    fn with_path(path_and_query: &[u8], span: Span, form: TargetForm, authority: Span) -> Self {
        let (path, query) = split_path(path_and_query, span, form);
        Self { form, authority, path, query }
    }
}

fn has_encoded_nul(path: &[u8]) -> bool {
    memchr::memchr_iter(b'%', path).any(|at| path[at..].starts_with(b"%00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, target: &str) -> Result<Target, Refusal> {
        // Somewhere inside a head, as in life.
        Target::parse(method.as_bytes(), target.as_bytes(), Span { start: 4, end: 4 + target.len() as u32 })
    }

    fn text(target: &str, span: Span) -> &str {
        if span.range().is_empty() { "" } else { &target[span.start as usize - 4..span.end as usize - 4] }
    }

    #[test]
    fn origin_form() {
        let target = "/a%20b//c?d=e?f";
        let parsed = parse("GET", target).unwrap();
        assert_eq!(parsed.form, TargetForm::Origin);
        assert_eq!((text(target, parsed.path), text(target, parsed.query)), ("/a%20b//c", "d=e?f"));
    }

    #[test]
    fn absolute_form() {
        for (target, authority, path, query) in [
            ("http://example.org:80/a?b", "example.org:80", "/a", "b"),
            ("HTTPS://[::1]", "[::1]", "", ""),
            ("http://a?b/c", "a", "", "b/c"),
            ("http://a/http://b", "a", "/http://b", ""),
        ] {
            let parsed = parse("GET", target).unwrap();
            assert_eq!(parsed.form, TargetForm::Absolute);
            let parts =
                (text(target, parsed.authority), text(target, parsed.path), text(target, parsed.query));
            assert_eq!(parts, (authority, path, query), "{target}");
        }
    }

    #[test]
    fn what_is_no_target() {
        for bad in [
            "a",
            "*x",
            "example.org:80",
            "http:/a",
            "http://",
            "http:///a",
            "http://u@a/",
            "ftp://a/",
            "/a#b",
            "/\u{7f}",
            "/\t",
            "http://a b/",
            "://a/",
            "?a",
        ] {
            assert_eq!(parse("GET", bad).unwrap_err(), Refusal::Target, "{bad}");
        }
    }

    #[test]
    fn the_asterisk_is_for_options() {
        assert_eq!(parse("OPTIONS", "*").unwrap().form, TargetForm::Asterisk);
        assert_eq!(parse("GET", "*").unwrap_err(), Refusal::Target);
        assert_eq!(parse("options", "*").unwrap_err(), Refusal::Target);
    }

    #[test]
    fn an_encoded_nul_in_the_path_but_not_in_the_query() {
        assert_eq!(parse("GET", "/a%00").unwrap_err(), Refusal::NulInPath);
        assert_eq!(parse("GET", "http://a/%00").unwrap_err(), Refusal::NulInPath);
        assert!(parse("GET", "/a?%00").is_ok());
        assert!(parse("GET", "/%0").is_ok());
    }
}
