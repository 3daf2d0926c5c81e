//! Which forwarding headers count? Those that the operator says the proxy sets.

use std::str::FromStr;

use crate::Headers;

/// A header in which proxies say something about the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForwardedHeader {
    For,
    Proto,
    Host,
    Port,
    Prefix,
    /// RFC 7239
    Forwarded,
}

impl ForwardedHeader {
    /// The header called `name`. Almost every other name is told by its length and its first byte.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let candidate = match (name.len(), name.first()? | 0x20) {
            (9, b'f') => Self::Forwarded,
            (15, b'x') => Self::For,
            (16, b'x') if name[12] | 0x20 == b'h' => Self::Host,
            (16, b'x') => Self::Port,
            (17, b'x') => Self::Proto,
            (18, b'x') => Self::Prefix,
            _ => return None,
        };
        name.eq_ignore_ascii_case(candidate.name().as_bytes()).then_some(candidate)
    }

    fn name(self) -> &'static str {
        match self {
            Self::For => "x-forwarded-for",
            Self::Proto => "x-forwarded-proto",
            Self::Host => "x-forwarded-host",
            Self::Port => "x-forwarded-port",
            Self::Prefix => "x-forwarded-prefix",
            Self::Forwarded => "forwarded",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The forwarding headers that count. By default `x-forwarded-for,x-forwarded-proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardedHeaders(u8);

/// Why a text is no set of forwarding headers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardedHeadersError {
    /// A name of no header that could count.
    #[error(
        "\"{0}\" is no forwarding header; write x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-forwarded-port and \
         x-forwarded-prefix, or forwarded alone"
    )]
    Name(String),
    /// Two families, which could contradict each other.
    #[error("forwarded and the x-forwarded- headers exclude each other; name those that your proxy sets")]
    Both,
}

impl ForwardedHeaders {
    /// The set that ignores every one of them.
    #[must_use]
    pub fn none() -> Self {
        Self(0)
    }

    /// Whether no header counts.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether any line is one of these.
    pub(super) fn are_in(self, headers: &Headers) -> bool {
        headers.known_names().may_forward()
            && headers
                .iter()
                .any(|(name, _)| ForwardedHeader::of(name).is_some_and(|header| self.contains(header)))
    }

    pub(super) fn contains(self, header: ForwardedHeader) -> bool {
        self.0 & header.bit() != 0
    }
}

impl Default for ForwardedHeaders {
    fn default() -> Self {
        Self(ForwardedHeader::For.bit() | ForwardedHeader::Proto.bit())
    }
}

impl FromStr for ForwardedHeaders {
    type Err = ForwardedHeadersError;

    /// Reads names separated by commas, in any case. An empty name is passed over, so an empty text is [`none`](Self::none).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut set = Self::none();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let header = ForwardedHeader::of(name.as_bytes());
            set.0 |= header.ok_or_else(|| ForwardedHeadersError::Name(name.to_owned()))?.bit();
        }
        let standard = ForwardedHeader::Forwarded.bit();
        if set.0 & standard != 0 && set.0 != standard {
            return Err(ForwardedHeadersError::Both);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ForwardedHeader; 6] = [
        ForwardedHeader::For,
        ForwardedHeader::Proto,
        ForwardedHeader::Host,
        ForwardedHeader::Port,
        ForwardedHeader::Prefix,
        ForwardedHeader::Forwarded,
    ];

    #[test]
    fn every_header_is_known_by_its_name_and_no_other() {
        for header in ALL {
            assert_eq!(ForwardedHeader::of(header.name().as_bytes()), Some(header));
            assert_eq!(ForwardedHeader::of(header.name().to_uppercase().as_bytes()), Some(header));
            let with_underscores = header.name().replace('-', "_");
            let known = header == ForwardedHeader::Forwarded;
            assert_eq!(ForwardedHeader::of(with_underscores.as_bytes()).is_some(), known);
        }
        for other in [
            "",
            "x",
            "forwarder",
            "x-forwarded-fox",
            "x-forwarded-hosu",
            "x-forwarded-by",
            "x-real-ip-and-more",
        ] {
            assert_eq!(ForwardedHeader::of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn sets() {
        use ForwardedHeader as H;
        for (text, expected) in [
            ("", &[][..]),
            (" ,", &[]),
            ("x-forwarded-for,", &[H::For]),
            ("x-forwarded-for,x-forwarded-proto", &[H::For, H::Proto]),
            (" X-Forwarded-Host , x-forwarded-PORT,x-forwarded-prefix", &[H::Host, H::Port, H::Prefix]),
            ("Forwarded", &[H::Forwarded]),
            ("forwarded,forwarded", &[H::Forwarded]),
        ] {
            let set: ForwardedHeaders = text.parse().unwrap();
            let found: Vec<_> = ALL.into_iter().filter(|&header| set.contains(header)).collect();
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!("x-forwarded-for,x-forwarded-proto".parse(), Ok(ForwardedHeaders::default()));
        assert!(ForwardedHeaders::none().is_empty() && !ForwardedHeaders::default().is_empty());
    }

    #[test]
    fn what_is_no_set() {
        let parse = |text: &str| text.parse::<ForwardedHeaders>().unwrap_err();
        for (text, name) in [
            ("x-real-ip", "x-real-ip"),
            ("x_forwarded_for", "x_forwarded_for"),
            ("x-forwarded-for x-forwarded-proto", "x-forwarded-for x-forwarded-proto"),
            ("*", "*"),
        ] {
            assert_eq!(parse(text), ForwardedHeadersError::Name(name.to_owned()));
        }
        assert_eq!(parse("forwarded,x-forwarded-proto"), ForwardedHeadersError::Both);
        assert_eq!(parse("x-forwarded-for,forwarded"), ForwardedHeadersError::Both);
    }
}
