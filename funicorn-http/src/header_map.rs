//! What becomes of a header whose name holds `_`? A gateway interface writes `-` as `_`, so that `X_Forwarded_For` and
//! `X-Forwarded-For` would be one variable, and a proxy that guards the latter lets the former pass.
//!
//! The names collide where variables are made of them, in an adapter, and there `drop` and `dangerous` act. `refuse` is a
//! [`Refusal`], which only a server can give in time: when the head has been read, before the body is. Both sides ask
//! this one type, so that one setting governs them.

use std::str::FromStr;

use crate::{Headers, Refusal};

/// What is done with headers whose names hold `_`, in gunicorn's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderMap {
    /// The application never sees them, as nginx and Apache httpd have it too.
    #[default]
    Drop,
    /// The request is refused.
    Refuse,
    /// They become variables, and those of `-` and `_` are joined like repeated lines. Only for an application that
    /// needs it and a network without enemies.
    Dangerous,
}

impl HeaderMap {
    /// Refuses a request with such a name, if that is the setting.
    ///
    /// # Errors
    /// [`Refusal::HeaderName`].
    pub fn check(self, headers: &Headers) -> Result<(), Refusal> {
        let is_refused =
            self == Self::Refuse && headers.iter().any(|(name, _)| memchr::memchr(b'_', name).is_some());
        if is_refused { Err(Refusal::HeaderName) } else { Ok(()) }
    }
}

impl FromStr for HeaderMap {
    type Err = &'static str;

    /// Reads `drop`, `refuse` or `dangerous`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "drop" => Ok(Self::Drop),
            "refuse" => Ok(Self::Refuse),
            "dangerous" => Ok(Self::Dangerous),
            _ => Err("write drop, refuse or dangerous"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RequestHead;

    #[test]
    fn only_refuse_refuses_and_only_underscores() {
        for (map, name, result) in [
            (HeaderMap::Refuse, "X_A", Err(Refusal::HeaderName)),
            (HeaderMap::Refuse, "_", Err(Refusal::HeaderName)),
            (HeaderMap::Refuse, "X-A", Ok(())),
            (HeaderMap::Drop, "X_A", Ok(())),
            (HeaderMap::Dangerous, "X_A", Ok(())),
        ] {
            let head = RequestHead::builder("GET", "/").header("Host", "a_b").header(name, "_").build();
            assert_eq!(map.check(head.headers()), result, "{map:?} {name}");
        }
    }

    #[test]
    fn the_words() {
        assert_eq!("drop".parse(), Ok(HeaderMap::default()));
        assert_eq!("refuse".parse(), Ok(HeaderMap::Refuse));
        assert_eq!("dangerous".parse(), Ok(HeaderMap::Dangerous));
        assert!("Drop".parse::<HeaderMap>().is_err());
    }
}
