//! Is this a host with an optional port? The authority of a target and the value of `Host` (RFC 9112 §3.2, RFC 3986 §3.2).

use std::net::Ipv6Addr;

use crate::byte_set::ByteSet;
use crate::known_names::KnownName;
use crate::{Headers, Refusal, Version};

/// Whether `text` is `host [":" port]`. User information is refused (RFC 9110 §4.2.4), and so are zones and future
/// versions of IP literals, which no HTTP client sends.
pub(crate) fn is_authority(text: &[u8]) -> bool {
    let (host, port) = match text.strip_prefix(b"[") {
        Some(rest) => {
            let Some(close) = memchr::memchr(b']', rest) else { return false };
            let (literal, after) = rest.split_at(close);
            let parsed = std::str::from_utf8(literal).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
            return parsed.is_some() && is_port_part(&after[1..]);
        }
        None => text.split_at(memchr::memchr(b':', text).unwrap_or(text.len())),
    };
    !host.is_empty() && is_registered_name(host) && is_port_part(port)
}

/// `":" port`, or nothing. The port itself may be empty (RFC 3986 §3.2.3).
fn is_port_part(text: &[u8]) -> bool {
    let Some((colon, digits)) = text.split_first() else { return true };
    let number = digits.iter().try_fold(0u16, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u16::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    *colon == b':' && number.is_some()
}

/// A `reg-name`, which an IPv4 address is too: unreserved characters, sub-delimiters and percent-encoded bytes. But
/// for the comma: no host is called so, and to whoever joins repeated lines it is a list.
fn is_registered_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (b'%', _) => return false,
            _ if NAME.contains(byte) => after,
            _ => return false,
        };
    }
    true
}

/// Unreserved characters and sub-delimiters (RFC 3986 §2), but for the comma.
static NAME: ByteSet = ByteSet::alphanumeric_and(b"-._~!$&'()*+;=");

/// Checks `Host`: exactly one valid line in HTTP/1.1, at most one in HTTP/1.0. An empty value is valid: it is
/// what a client sends whose target has no authority (RFC 9112 §3.2).
pub(crate) fn check_host(version: Version, headers: &Headers) -> Result<(), Refusal> {
    let mut lines = headers.known(KnownName::Host);
    match (lines.next(), lines.next()) {
        (None, _) if version == Version::Http10 => Ok(()),
        (Some(value), None) if value.is_empty() || is_authority(value) => Ok(()),
        _ => Err(Refusal::Host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_ports() {
        for good in ["example.org", "example.org:80", "a_b:", "127.0.0.1:8000", "[::1]", "[::1]:80", "%41"] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn what_is_no_authority() {
        for bad in [
            "",
            ":80",
            "a:b",
            "a:65536",
            "a:+1",
            "a b",
            "a,b",
            "a,",
            "user@a",
            "a/b",
            "a?b",
            "a#b",
            "[::1",
            "[::1]x",
            "[]",
            "[v1.a]",
            "[fe80::1%25eth0]",
            "::1",
            "%4",
            "%zz",
            "a\\b",
            "a\"",
            "<a>",
            "a:80:80",
            "\u{e9}",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
