//! What does a proxy say about the client behind it, and is it to be believed? `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! Anybody can write these headers. One of them counts when two things hold: the peer of the connection is trusted, and
//! the header is in the set that its operator says the proxy *sets*. A proxy passes on what it does not set, so a header
//! outside of the set is still the client's own word. What does not count has no effect here, well-formed or not, and stays in the
//! header section as it was sent.
//!
//! Each of these headers is a list, in one line or in several (RFC 9110 §5.3), to which proxies append. So each is read from its
//! end, which is what our own peer says; what stands before it may be the client's word. An end that says nothing, or
//! nothing that is an address, a scheme or a port, leaves what is known without the header. A host or a prefix goes into links and
//! paths, so a malformed one is taken for a forgery and refused, and so are elements of `Forwarded` that cannot be told apart.
//!
//! Requests without such headers pay for one look at the length and the first byte of each name, and only on a
//! connection whose peer is trusted, if the caller asks [`ForwardingPolicy::trusts`] once for each connection.

mod chain;
mod element;
mod names;

use std::borrow::Cow;

use crate::authority::is_authority;
use crate::byte_set::ByteSet;
use crate::{Address, ConnectionInfo, Headers, PeerList, Proxied, Refusal, Scheme};
pub(crate) use chain::parse_port;
use chain::{Dialect, Source, is_nothing};
use names::ForwardedHeader;
pub use names::{ForwardedHeaders, ForwardedHeadersError};

/// Whose forwarding headers count, and which.
///
/// ```
/// use funicorn_http::{Address, ConnectionInfo, ForwardingPolicy, RequestHead, Scheme};
///
/// let policy = ForwardingPolicy::default();
/// let address = |text: &str| text.parse().map(Address::Tcp);
/// let socket = ConnectionInfo::new(address("127.0.0.1:4711")?, address("127.0.0.1:8000")?);
/// let head = RequestHead::builder("GET", "/")
///     .header("X-Forwarded-For", "6.6.6.6, 192.0.2.1")
///     .header("X-Forwarded-Proto", "https")
///     .build();
/// let client = policy.resolve(head.headers(), &socket)?.expect("headers that count");
/// assert_eq!(client.peer, Address::Ip("192.0.2.1".parse()?));
/// assert_eq!(client.scheme, Scheme::Https);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardingPolicy {
    /// The proxies. It also tells the addresses of proxies in a chain from that of the client.
    pub trusted: PeerList,
    /// The headers that these proxies set.
    pub headers: ForwardedHeaders,
}

impl ForwardingPolicy {
    /// The policy that believes `trusted` what `headers` say.
    #[must_use]
    pub fn new(trusted: PeerList, headers: ForwardedHeaders) -> Self {
        Self { trusted, headers }
    }

    /// Whether headers of this peer can count at all.
    #[must_use]
    pub fn trusts(&self, peer: &Address) -> bool {
        !self.headers.is_empty() && self.trusted.contains(peer)
    }

    /// What is known about the client of a request with these headers that came over `connection`: its address, the scheme
    /// it used and the address it asked for. `None` when no header counts, so that it is `connection` itself.
    ///
    /// The client is the first address of the For chain, read from its end, that the list of proxies does not name; see
    /// [`PeerList::names`] for what `*` means here. When the list names them all it is the one at the beginning.
    ///
    /// # Errors
    /// [`Refusal::Forwarded`].
    pub fn resolve(
        &self,
        headers: &Headers,
        connection: &ConnectionInfo,
    ) -> Result<Option<ConnectionInfo>, Refusal> {
        if !self.headers.are_in(headers) || !self.trusts(&connection.peer) {
            return Ok(None);
        }
        let said = Said::gather(headers, self.headers);
        let source = match (said.chain, said.elements) {
            (true, _) => chain::walk(&self.trusted, Dialect::List, chain::entries(headers)),
            (_, true) => {
                let elements = element::parse_all(headers)?;
                chain::walk(&self.trusted, Dialect::Node, elements.into_iter().rev())
            }
            _ => Source::default(),
        };
        said.apply(source, connection).map(Some)
    }
}

/// What the headers that count say: whether they are there, or their last entries.
#[derive(Debug, Default)]
struct Said<'a> {
    /// Whether there is `X-Forwarded-For`, in one line or several.
    chain: bool,
    /// Whether there is `Forwarded`, in one line or several.
    elements: bool,
    proto: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
    prefix: Option<&'a [u8]>,
}

impl<'a> Said<'a> {
    fn gather(headers: &'a Headers, counted: ForwardedHeaders) -> Self {
        let mut said = Self::default();
        for (name, value) in headers {
            let Some(header) = ForwardedHeader::of(name).filter(|&header| counted.contains(header)) else {
                continue;
            };
            let last = match header {
                ForwardedHeader::For => {
                    said.chain = true;
                    continue;
                }
                ForwardedHeader::Forwarded => {
                    said.elements = true;
                    continue;
                }
                ForwardedHeader::Proto => &mut said.proto,
                ForwardedHeader::Host => &mut said.host,
                ForwardedHeader::Port => &mut said.port,
                ForwardedHeader::Prefix => &mut said.prefix,
            };
            *last = Some(last_entry(value));
        }
        said
    }

    fn apply(self, source: Source<'_>, connection: &ConnectionInfo) -> Result<ConnectionInfo, Refusal> {
        let mut resolved = connection.clone();
        if let Some(client) = source.client {
            resolved.peer = client;
        }
        let proto = self.proto.map(Cow::Borrowed).or(source.proto);
        if let Some(scheme) = proto.and_then(|proto| parse_scheme(&proto)) {
            resolved.scheme = scheme;
        }
        let proxied = Proxied {
            host: well_formed(self.host.map(Cow::Borrowed).or(source.host), parse_host)?,
            port: self.port.and_then(parse_public_port),
            prefix: well_formed(self.prefix.map(Cow::Borrowed), parse_prefix)?,
        };
        if proxied != Proxied::default() {
            resolved.proxied = Some(Box::new(proxied));
        }
        Ok(resolved)
    }
}

/// What the nearest proxy has appended to the list, or has set.
fn last_entry(list: &[u8]) -> &[u8] {
    let start = memchr::memrchr(b',', list).map_or(0, |comma| comma + 1);
    list[start..].trim_ascii()
}

/// `value` parsed; `None` where there is none or one that says nothing.
fn well_formed(
    value: Option<Cow<'_, [u8]>>,
    parse: fn(&[u8]) -> Option<String>,
) -> Result<Option<String>, Refusal> {
    let value = value.filter(|value| !is_nothing(value));
    value.map(|value| parse(&value).ok_or(Refusal::Forwarded)).transpose()
}

/// `http` or `https`, and what some proxies say instead of a request that begins a WebSocket.
fn parse_scheme(text: &[u8]) -> Option<Scheme> {
    let is = |known: &str| text.eq_ignore_ascii_case(known.as_bytes());
    if is("https") || is("wss") {
        Some(Scheme::Https)
    } else if is("http") || is("ws") {
        Some(Scheme::Http)
    } else {
        None
    }
}

fn parse_host(text: &[u8]) -> Option<String> {
    is_authority(text).then(|| String::from_utf8_lossy(text).into_owned())
}

fn parse_public_port(text: &[u8]) -> Option<u16> {
    parse_port(text).filter(|&port| port != 0)
}

/// What can stand in a path and means the same when it is decoded.
static PLAIN: ByteSet = ByteSet::alphanumeric_and(b"-._~!$&'()*+=:@/");

/// A path that can stand before any other: no empty segment (`//host` would be another host in a link), no `.` or `..`, no query
/// and nothing that means something else once it is decoded.
fn parse_prefix(text: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(text).ok()?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
    let mut segments = path.split('/');
    let is_prefix = text.starts_with(b"/")
        && segments.next() == Some("")
        && PLAIN.contains_all(path.as_bytes())
        && segments.all(is_segment);
    is_prefix.then(|| path.to_owned())
}

#[cfg(test)]
mod tests;
