//! Who is the client, if each proxy has written down whom it took the request from?
//!
//! Every proxy appends to the chain, so its end is what our own peer says, and before it stands what that peer was told. Read from
//! the end, each address that is a proxy of ours vouches for the one before it. The first that is not is the client; what
//! stands before it, the client has made up, and nobody reads it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::element::Element;
use super::names::ForwardedHeader;
use crate::byte_set::ByteSet;
use crate::{Address, Headers, PeerList};

/// What a chain says of the client.
#[derive(Debug, Default)]
pub(super) struct Source<'a> {
    /// `None` when the nearest proxy does not say: then it is that proxy.
    pub(super) client: Option<Address>,
    pub(super) proto: Option<Cow<'a, [u8]>>,
    pub(super) host: Option<Cow<'a, [u8]>>,
}

/// How addresses are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `X-Forwarded-For`, for which there is no standard: as proxies write it.
    List,
    /// `Forwarded`: a node as RFC 7239 §6 has it.
    Node,
}

/// The entries of `X-Forwarded-For`, the last of the last line first.
pub(super) fn entries(headers: &Headers) -> impl Iterator<Item = Element<'_>> {
    let lines =
        headers.iter().rev().filter(|(name, _)| ForwardedHeader::of(name) == Some(ForwardedHeader::For));
    let entries = lines.flat_map(|(_, value)| value.rsplit(|&byte| byte == b','));
    entries.map(|entry| Element::of_node(entry.trim_ascii()))
}

/// Finds the client among `elements`, of which the nearest comes first.
///
/// An element that names no address ends the walk, since it vouches for nobody: to pass over it would be to take the word of
/// whoever wrote the one before it. Where nothing stands in its place, the client is the last who is known; where there is a
/// word for somebody, the client is somebody unknown.
pub(super) fn walk<'a>(
    proxies: &PeerList,
    dialect: Dialect,
    elements: impl Iterator<Item = Element<'a>>,
) -> Source<'a> {
    let mut found = Source::default();
    for element in elements {
        if element.is_empty() {
            break;
        }
        let (proto, host) = (element.proto, element.host);
        let Some(node) = element.node.filter(|node| !is_nothing(node)) else {
            found = Source { client: found.client, proto, host };
            break;
        };
        let node = parse_node(&node, dialect).unwrap_or(Address::Unknown);
        let is_proxy = proxies.names(&node);
        found = Source { client: Some(node), proto, host };
        if !is_proxy {
            break;
        }
    }
    found
}

/// Nothing, or what logs and some proxies write for it.
pub(super) fn is_nothing(text: &[u8]) -> bool {
    matches!(text, b"" | b"-")
}

/// An address, with a port or without, or a word in its place. `None` for what is neither.
fn parse_node(text: &[u8], dialect: Dialect) -> Option<Address> {
    let text = std::str::from_utf8(text).ok()?;
    match dialect {
        // nginx, where it listens at a Unix socket.
        Dialect::List if text == "unix:" => return Some(Address::Unix(None)),
        Dialect::List if text.eq_ignore_ascii_case("unknown") => return Some(Address::Unknown),
        Dialect::List => {
            if let Ok(ip) = text.parse::<IpAddr>() {
                return Some(Address::Ip(ip.to_canonical()));
            }
        }
        Dialect::Node => {}
    }
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']')?;
            (IpAddr::V6(ip.parse::<Ipv6Addr>().ok()?).into(), port)
        }
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (name.parse::<Ipv4Addr>().ok().map(IpAddr::V4), port)
        }
    };
    with_port(name.map(|ip| ip.to_canonical()), text, port, dialect)
}

/// `ip` with the port in `colon_and_port`; without an address, a concealed node.
fn with_port(ip: Option<IpAddr>, text: &str, colon_and_port: &str, dialect: Dialect) -> Option<Address> {
    let port = match colon_and_port.strip_prefix(':') {
        Some(port) if dialect == Dialect::Node && is_obfuscated(port) => None,
        Some(port) => Some(parse_port(port.as_bytes())?),
        None if colon_and_port.is_empty() => None,
        None => return None,
    };
    match (ip, port) {
        (Some(ip), Some(port)) => Some(Address::Tcp(SocketAddr::new(ip, port))),
        (Some(ip), None) => Some(Address::Ip(ip)),
        (None, _) => {
            let name = &text[..text.len() - colon_and_port.len()];
            let is_concealed = name.eq_ignore_ascii_case("unknown") || is_obfuscated(name);
            (dialect == Dialect::Node && is_concealed).then_some(Address::Unknown)
        }
    }
}

/// An identifier that stands for an address or a port (RFC 7239 §6.3).
fn is_obfuscated(text: &str) -> bool {
    static INSIDE: ByteSet = ByteSet::alphanumeric_and(b"._-");
    text.len() > 1 && text.starts_with('_') && INSIDE.contains_all(text.as_bytes())
}

/// A port in its only spelling.
pub(crate) fn parse_port(text: &[u8]) -> Option<u16> {
    let is_number = matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}
