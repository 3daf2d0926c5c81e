//! Who is at the two ends of the connection that a request came over?

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// What is known about a connection.
///
/// The same for each of its requests, unless a trusted proxy says for each request whose it is
/// ([`ForwardingPolicy`](crate::ForwardingPolicy)).
///
/// ```
/// use funicorn_http::{Address, ConnectionInfo};
///
/// let info = ConnectionInfo::new(Address::Tcp("192.0.2.7:4711".parse()?), Address::Unix(Some("/run/app.sock".into())));
/// assert_eq!((info.peer.to_string(), info.local.to_string()), ("192.0.2.7:4711".into(), "unix:/run/app.sock".into()));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The client's end.
    pub peer: Address,
    /// Our end: the listener's address as the client reached it.
    pub local: Address,
    /// Whether the client spoke `http` or `https` to us.
    pub scheme: Scheme,
    /// Under which address a trusted proxy took the request, as far as it says so. `None` in a request that came
    /// straight from its client.
    pub proxied: Option<Box<Proxied>>,
}

impl ConnectionInfo {
    /// A plain-text connection from `peer` to `local`.
    #[must_use]
    pub fn new(peer: Address, local: Address) -> Self {
        Self { peer, local, scheme: Scheme::Http, proxied: None }
    }
}

/// The address that the client asked for, where a trusted proxy has replaced it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxied {
    /// Host and optional port: valid as the value of a `Host` header, and not empty.
    pub host: Option<String>,
    /// The port; it counts more than one in `host`.
    pub port: Option<u16>,
    /// The path under which the proxy has mounted the application: empty, or with a slash at its beginning and
    /// none at its end, and without percent-encoding.
    pub prefix: Option<String>,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A TCP endpoint.
    Tcp(SocketAddr),
    /// A Unix domain socket: its path, which a client's end usually does not have.
    Unix(Option<PathBuf>),
    /// An IP address whose port is not known: a client, as most proxies name it.
    Ip(IpAddr),
    /// An end that a proxy keeps to itself (RFC 7239 §6.2).
    Unknown,
}

impl Address {
    /// The IP address, if this end has one that is known. An IPv4 address in the guise of an IPv6 one is given
    /// as what it is.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(addr) => Some(addr.ip().to_canonical()),
            Self::Ip(ip) => Some(ip.to_canonical()),
            Self::Unix(_) | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Address {
    /// As an operator would type it: `127.0.0.1:8000`, `[::1]:8000`, `unix:/run/app.sock`, `unix:`, `192.0.2.1`, `unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.as_deref().unwrap_or("".as_ref()).display()),
            Self::Ip(ip) => ip.fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// The URL scheme that the client used (RFC 9110 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// Plain text.
    Http,
    /// Under TLS.
    Https,
}

impl Scheme {
    /// `"http"` or `"https"`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
