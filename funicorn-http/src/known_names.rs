//! Which headers does the server itself look for? A few names, and the set of those that a head may hold.
//!
//! Every head is asked for each of them, and most hold one or two. So while a head is built each name is looked at once, by
//! its length and its first letter, and a question about a name that cannot be there is answered without a walk.

/// A header that decides something about the request or its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownName {
    Host,
    ContentLength,
    TransferEncoding,
    Expect,
    Connection,
    /// One of the forwarding headers; they have names of their own there.
    Forwarding,
}

impl KnownName {
    /// The only one that `name` can be; `None` if it is none of them.
    fn candidate(name: &[u8]) -> Option<Self> {
        let first = name.first()? | 0x20;
        Some(match (name.len(), first) {
            (4, b'h') => Self::Host,
            (6, b'e') => Self::Expect,
            (10, b'c') => Self::Connection,
            (14, b'c') => Self::ContentLength,
            (17, b't') => Self::TransferEncoding,
            (9, b'f') | (15..=18, b'x') => Self::Forwarding,
            _ => return None,
        })
    }

    /// The name in lower case; empty where there are several.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ContentLength => "content-length",
            Self::TransferEncoding => "transfer-encoding",
            Self::Expect => "expect",
            Self::Connection => "connection",
            Self::Forwarding => "",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The known names that a head may hold: none is missing, and one may be there in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KnownNames(u8);

impl KnownNames {
    /// Adds what `name` may be.
    pub(crate) fn note(&mut self, name: &[u8]) {
        self.0 |= KnownName::candidate(name).map_or(0, KnownName::bit);
    }

    /// Whether a line called `name` may be there.
    pub(crate) fn may_hold(self, name: KnownName) -> bool {
        self.0 & name.bit() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ForwardedHeaders;

    #[test]
    fn none_is_missing_whatever_its_case() {
        use KnownName::{Connection, ContentLength, Expect, Host, TransferEncoding};
        for known in [Host, ContentLength, TransferEncoding, Expect, Connection] {
            for name in [known.as_str().to_owned(), known.as_str().to_uppercase()] {
                assert_eq!(KnownName::candidate(name.as_bytes()), Some(known));
            }
        }
        let forwarding =
            "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port,x-forwarded-prefix";
        for name in forwarding.split(',').chain(["forwarded"]) {
            assert!(name.parse::<ForwardedHeaders>().is_ok(), "{name}");
            for name in [name.to_owned(), name.to_uppercase()] {
                assert_eq!(KnownName::candidate(name.as_bytes()), Some(KnownName::Forwarding));
            }
        }
    }

    #[test]
    fn a_set_grows_by_what_it_is_shown() {
        let mut names = KnownNames::default();
        for other in ["", "Accept", "Accept-Encoding", "User-Agent", "Cookie", "Upgrade-Insecure-Requests"] {
            names.note(other.as_bytes());
        }
        assert_eq!(names, KnownNames::default());
        names.note(b"HOST");
        assert!(names.may_hold(KnownName::Host) && !names.may_hold(KnownName::Expect));
    }
}
