//! How does the path of a request become `SCRIPT_NAME` and `PATH_INFO`? (PEP 3333, "URL Reconstruction";
//! RFC 3875 §4.1.)
//!
//! The path is percent-decoded first, then the prefix at which the application is mounted is split off,
//! once and at a segment's end. `SCRIPT_NAME + PATH_INFO` is the path again, unless a proxy has stripped
//! the prefix.

use std::borrow::Cow;

/// Decodes `%xx`; an invalid one stays as it is, and so does every other byte.
pub(crate) fn percent_decode(path: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = path.iter().position(|&byte| byte == b'%') else { return Cow::Borrowed(path) };
    let mut decoded = Vec::with_capacity(path.len());
    decoded.extend_from_slice(&path[..first]);
    let mut rest = &path[first..];
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex_value(*high) << 4 | hex_value(*low));
                rest = after;
            }
            _ => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    Cow::Owned(decoded)
}

/// The value of a byte that is known to be a hexadecimal digit.
fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// The prefix at which an application is mounted, as the operator gave it: one leading slash, no trailing
/// one.
pub(crate) fn normalize_root(root_path: &str) -> String {
    let trimmed = root_path.trim_matches('/');
    if trimmed.is_empty() { String::new() } else { format!("/{trimmed}") }
}

/// `PATH_INFO` of the decoded `path` for an application mounted at `root`, a normalised prefix.
///
/// `root` itself and what lies under it lose the prefix; any other path has lost it already, at a proxy.
pub(crate) fn path_info<'a>(path: &'a [u8], root: &[u8]) -> &'a [u8] {
    match path.strip_prefix(root) {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => rest,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding_is_by_byte_and_leaves_what_is_invalid() {
        for (encoded, decoded) in [
            (&b"/plain"[..], &b"/plain"[..]),
            (b"/a%20b", b"/a b"),
            (b"/%C3%a9", b"/\xc3\xa9"),
            (b"/a%2Fb", b"/a/b"),
            (b"/%", b"/%"),
            (b"/%4", b"/%4"),
            (b"/%zz%41", b"/%zzA"),
            (b"/%%41", b"/%A"),
            (b"/%2541", b"/%41"),
            (b"/+\xff", b"/+\xff"),
        ] {
            assert_eq!(percent_decode(encoded), decoded, "{}", encoded.escape_ascii());
        }
    }

    #[test]
    fn the_root_path_is_stripped_once_at_a_segment_boundary() {
        for (path, root, info) in [
            ("/", "", "/"),
            ("/p", "/p", ""),
            ("/p/", "/p", "/"),
            ("/p/p/x", "/p", "/p/x"),
            ("/px", "/p", "/px"),
            ("/x", "/p", "/x"),
            ("/", "/p", "/"),
            ("/a/b/c", "/a/b", "/c"),
        ] {
            assert_eq!(path_info(path.as_bytes(), root.as_bytes()), info.as_bytes(), "{path} at {root}");
        }
    }

    #[test]
    fn the_root_path_is_normalized() {
        for (given, root) in [("", ""), ("/", ""), ("p", "/p"), ("/p/", "/p"), ("/a/b", "/a/b")] {
            assert_eq!(normalize_root(given), root);
        }
    }
}
