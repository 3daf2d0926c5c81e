//! Where is the server to listen? The operator's word for it, as a value.
//!
//! The host of a TCP address stays text: it is resolved when the address is bound, and may stand for several.

use std::ffi::OsStr;
use std::fmt;
use std::net::Ipv6Addr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

/// What a path of a Unix socket may measure: `sun_path` has 108 bytes on Linux, the last of which is a NUL.
const UNIX_PATH_MAX: usize = 107;

/// An address to listen at.
///
/// ```
/// use funicorn_net::BindAddress;
///
/// assert_eq!("[::1]:80".parse(), Ok(BindAddress::Tcp { host: "::1".to_owned(), port: 80 }));
/// assert_eq!("unix:/run/app.sock".parse(), Ok(BindAddress::Unix("/run/app.sock".into())));
/// assert_eq!("fd://3".parse(), Ok(BindAddress::Fd(3)));
/// assert!("::1:80".parse::<BindAddress>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindAddress {
    /// A TCP port of a host name or an IP address (an IPv6 one without its brackets).
    Tcp {
        /// Name or IP address.
        host: String,
        /// Port; 0 lets the system choose one.
        port: u16,
    },
    /// A Unix domain socket at this path.
    Unix(PathBuf),
    /// A socket that listens already and was inherited under this number (systemd, a parent process). Whoever binds it
    /// hands the descriptor over: it is closed, unless it is a standard stream, once the listener has its own.
    Fd(RawFd),
}

/// Why a text is no address to listen at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseAddressError {
    /// There is no `:PORT`.
    #[error("\"{0}\" has no port; write HOST:PORT, for example 127.0.0.1:8000")]
    NoPort(String),
    /// What follows the last colon is not a port.
    #[error("\"{0}\" is not a port; write a number from 0 to 65535")]
    Port(String),
    /// An IPv6 address without brackets, or brackets around something else.
    #[error("\"{0}\" is no IPv6 address in brackets; write [ADDRESS]:PORT, for example [::1]:8000")]
    Ipv6(String),
    /// A host with a character that no host name has.
    #[error("\"{0}\" is not a host; write a name or an IP address before the port")]
    Host(String),
    /// `unix:` without a path.
    #[error("unix: needs a path; write unix:PATH, for example unix:/run/app.sock")]
    NoPath,
    /// A path that does not fit into a socket address.
    #[error(
        "the path of a Unix socket has at most {UNIX_PATH_MAX} bytes and no NUL; choose a shorter path than \"{0}\""
    )]
    Path(String),
    /// `fd://` without a number.
    #[error("\"{0}\" is not a file descriptor; write fd://N with the number of an inherited socket")]
    Fd(String),
}

impl FromStr for BindAddress {
    type Err = ParseAddressError;

    /// Reads `HOST:PORT`, `:PORT` (every IPv4 address), `[IPV6]:PORT`, `unix:PATH` or `fd://N`. As in gunicorn, `unix://PATH` is
    /// `unix:PATH`, and `tcp://HOST:PORT` is `HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return parse_unix(path.strip_prefix("//").unwrap_or(path));
        }
        if let Some(number) = text.strip_prefix("fd://") {
            return parse_fd(number).ok_or_else(|| ParseAddressError::Fd(number.to_owned()));
        }
        let text = text.strip_prefix("tcp://").unwrap_or(text);
        let (host, port) = text.rsplit_once(':').ok_or_else(|| ParseAddressError::NoPort(text.to_owned()))?;
        let host = parse_host(host)?;
        let port = parse_port(port).ok_or_else(|| ParseAddressError::Port(port.to_owned()))?;
        Ok(Self::Tcp { host, port })
    }
}

fn parse_unix(path: &str) -> Result<BindAddress, ParseAddressError> {
    if path.is_empty() {
        return Err(ParseAddressError::NoPath);
    }
    if path.len() > UNIX_PATH_MAX || path.contains('\0') {
        return Err(ParseAddressError::Path(path.to_owned()));
    }
    Ok(BindAddress::Unix(PathBuf::from(OsStr::from_bytes(path.as_bytes()))))
}

fn parse_fd(number: &str) -> Option<BindAddress> {
    all_digits(number).then(|| number.parse().ok().map(BindAddress::Fd))?
}

fn parse_port(port: &str) -> Option<u16> {
    all_digits(port).then(|| port.parse().ok())?
}

/// `parse` alone would take a sign as well.
fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_host(host: &str) -> Result<String, ParseAddressError> {
    if host.is_empty() {
        return Ok("0.0.0.0".to_owned());
    }
    if host.contains('/') {
        return Err(ParseAddressError::Host(host.to_owned()));
    }
    if host.starts_with('[') || host.contains(':') {
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        return match address.filter(|address| address.parse::<Ipv6Addr>().is_ok()) {
            Some(address) => Ok(address.to_owned()),
            None => Err(ParseAddressError::Ipv6(host.to_owned())),
        };
    }
    let is_host_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || !byte.is_ascii();
    if host.bytes().all(is_host_char) {
        Ok(host.to_owned())
    } else {
        Err(ParseAddressError::Host(host.to_owned()))
    }
}

impl fmt::Display for BindAddress {
    /// As an operator would type it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Fd(number) => write!(f, "fd://{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> BindAddress {
        BindAddress::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn the_forms_of_an_address() {
        for (text, address) in [
            ("127.0.0.1:8000", tcp("127.0.0.1", 8000)),
            ("localhost:0", tcp("localhost", 0)),
            ("[::1]:80", tcp("::1", 80)),
            ("my_host.example:65535", tcp("my_host.example", 65535)),
            ("unix:/run/app.sock", BindAddress::Unix("/run/app.sock".into())),
            ("unix:app.sock", BindAddress::Unix("app.sock".into())),
            ("fd://3", BindAddress::Fd(3)),
        ] {
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn two_slashes_behind_unix_are_no_part_of_the_path() {
        for (text, path) in [
            ("unix://app.sock", "app.sock"),
            ("unix://run/app.sock", "run/app.sock"),
            ("unix:///run/app.sock", "/run/app.sock"),
            ("unix:/run//app.sock", "/run//app.sock"),
        ] {
            assert_eq!(text.parse(), Ok(BindAddress::Unix(path.into())), "{text}");
        }
        assert_eq!("unix://".parse::<BindAddress>(), Err(ParseAddressError::NoPath));
    }

    #[test]
    fn no_host_means_every_ipv4_address() {
        assert_eq!(":8000".parse(), Ok(tcp("0.0.0.0", 8000)));
        assert_eq!("tcp://:8000".parse(), Ok(tcp("0.0.0.0", 8000)));
    }

    #[test]
    fn tcp_may_have_a_scheme() {
        assert_eq!("tcp://127.0.0.1:80".parse(), Ok(tcp("127.0.0.1", 80)));
        assert_eq!("tcp://[::1]:80".parse(), Ok(tcp("::1", 80)));
        assert_eq!("tcp://80".parse::<BindAddress>(), Err(ParseAddressError::NoPort("80".into())));
    }

    #[test]
    fn what_is_no_address() {
        use ParseAddressError as E;
        let parse = |text: &str| text.parse::<BindAddress>().unwrap_err();
        assert_eq!(parse("8000"), E::NoPort("8000".into()));
        assert_eq!(parse(""), E::NoPort(String::new()));
        for (text, port) in [("h:", ""), ("h:x", "x"), ("h:+80", "+80"), ("h:65536", "65536"), ("h:-1", "-1")]
        {
            assert_eq!(parse(text), E::Port(port.into()));
        }
        assert_eq!(parse("::1:8000"), E::Ipv6("::1".into()));
        assert_eq!(parse("[localhost]:8000"), E::Ipv6("[localhost]".into()));
        assert_eq!(parse("[::1:8000"), E::Ipv6("[::1".into()));
        assert_eq!(parse("http://localhost:8000"), E::Host("http://localhost".into()));
        assert_eq!(parse("a b:8000"), E::Host("a b".into()));
        assert_eq!(parse("unix:"), E::NoPath);
        assert!(matches!(parse(&format!("unix:/{}", "a".repeat(107))), E::Path(_)));
        for number in ["", "x", "-1", "+3", "99999999999"] {
            assert_eq!(parse(&format!("fd://{number}")), E::Fd(number.into()));
        }
    }
}
