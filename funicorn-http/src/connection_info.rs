//! Who is at the two ends of the connection that a request came over?

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What is known about a connection; the same for each of its requests.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The client's end.
    pub peer: Address,
    /// Our end: the listener's address as the client reached it.
    pub local: Address,
    /// Whether the client spoke `http` or `https` to us.
    pub scheme: Scheme,
}

impl ConnectionInfo {
    /// A plain-text connection from `peer` to `local`.
    #[must_use]
    pub fn new(peer: Address, local: Address) -> Self {
        Self { peer, local, scheme: Scheme::Http }
    }
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A TCP endpoint.
    Tcp(SocketAddr),
    /// A Unix domain socket: its path, which a client's end usually does not have.
    Unix(Option<PathBuf>),
}

impl fmt::Display for Address {
    /// As an operator would type it: `127.0.0.1:8000`, `[::1]:8000`, `unix:/run/app.sock`, `unix:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.as_deref().unwrap_or("".as_ref()).display()),
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
