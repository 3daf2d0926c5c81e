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
}

impl KnownName {
    /// The name in lower case.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ContentLength => "content-length",
            Self::TransferEncoding => "transfer-encoding",
            Self::Expect => "expect",
            Self::Connection => "connection",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Stands for all forwarding headers, whose names are a matter of their own.
const FORWARDING: u8 = 1 << 7;

/// The known names that a head may hold: none is missing, and one may be there in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KnownNames(u8);

impl KnownNames {
    /// Adds what `name` may be: at most one of them has its length and its first letter.
    pub(crate) fn note(&mut self, name: &[u8]) {
        self.0 |= match (name.len(), name.first().map(|first| first | 0x20)) {
            (4, Some(b'h')) => KnownName::Host.bit(),
            (6, Some(b'e')) => KnownName::Expect.bit(),
            (10, Some(b'c')) => KnownName::Connection.bit(),
            (14, Some(b'c')) => KnownName::ContentLength.bit(),
            (17, Some(b't')) => KnownName::TransferEncoding.bit(),
            (9, Some(b'f')) | (15..=18, Some(b'x')) => FORWARDING,
            _ => 0,
        };
    }

    /// Whether a line called `name` may be there.
    pub(crate) fn may_hold(self, name: KnownName) -> bool {
        self.0 & name.bit() != 0
    }

    /// Whether a forwarding header may be there.
    pub(crate) fn may_forward(self) -> bool {
        self.0 & FORWARDING != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ForwardedHeaders;

    fn only(name: &str) -> KnownNames {
        let mut names = KnownNames::default();
        names.note(name.as_bytes());
        names
    }

    #[test]
    fn none_is_missing_whatever_its_case() {
        use KnownName::{Connection, ContentLength, Expect, Host, TransferEncoding};
        for known in [Host, ContentLength, TransferEncoding, Expect, Connection] {
            for name in [known.as_str().to_owned(), known.as_str().to_uppercase()] {
                assert_eq!(only(&name), KnownNames(known.bit()));
                assert!(only(&name).may_hold(known));
            }
        }
        let forwarding =
            "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port,x-forwarded-prefix";
        for name in forwarding.split(',').chain(["forwarded"]) {
            assert!(name.parse::<ForwardedHeaders>().is_ok(), "{name}");
            for name in [name.to_owned(), name.to_uppercase()] {
                assert_eq!(only(&name), KnownNames(FORWARDING));
                assert!(only(&name).may_forward());
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
