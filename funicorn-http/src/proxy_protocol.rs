//! Who is behind a proxy that passes bytes on without reading them? What it says in a PROXY header before the first of
//! them: HAProxy's PROXY protocol, version 1 (a line) and version 2 (a binary block).
//!
//! The specification forbids to guess whether there is such a header. So from a peer that is to send one it is required, and
//! what is not exactly one is refused; from anybody else a server reads HTTP, in which such a header is no request line.
//!
//! Like the rest of this crate the reader keeps no bytes: it looks at what there is, and says that it needs more or how much it took.
//! That is at most [`MAX_LINE`] or [`MAX_BLOCK`] bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use memchr::memchr;

use crate::{Address, ConnectionInfo, Refusal};

/// Bytes of the longest line of version 1, with its CRLF.
const MAX_LINE: usize = 107;
/// Bytes of the longest block of version 2 that is read: room for the addresses and for what load balancers add to them,
/// certificates included.
const MAX_BLOCK: usize = 4096;

const LINE_START: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, and the length of what follows.
const BLOCK_HEAD: usize = 16;
/// Bytes of an address of a Unix socket.
const UNIX_PATH: usize = 108;

/// Which versions of the PROXY protocol are spoken, in gunicorn's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyProtocol {
    /// None.
    #[default]
    Off,
    /// The line.
    V1,
    /// The binary block.
    V2,
    /// Either.
    Auto,
}

/// What a PROXY header says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// The proxy speaks for itself, for instance to see whether the server is well.
    Local,
    /// The proxy speaks for somebody, but does not say whom.
    Unknown,
    /// The proxy speaks for a client.
    Client {
        /// The client's end of its connection to the proxy.
        source: Address,
        /// The proxy's end: the address that the client reached.
        destination: Address,
    },
}

impl ProxyHeader {
    /// The connection that the header describes, over one that is `socket`.
    #[must_use]
    pub fn connection(&self, socket: &ConnectionInfo) -> ConnectionInfo {
        let mut connection = socket.clone();
        if let Self::Client { source, destination } = self {
            connection.peer = source.clone();
            connection.local = destination.clone();
        }
        connection
    }

    /// Whose requests follow, for a question of trust: who is not named, or sits at a Unix socket of the proxy's machine, is
    /// nobody that we know, although the connection is the proxy's.
    #[must_use]
    pub fn speaker<'a>(&'a self, socket: &'a ConnectionInfo) -> &'a Address {
        match self {
            Self::Local => &socket.peer,
            Self::Client { source: source @ Address::Tcp(_), .. } => source,
            Self::Unknown | Self::Client { .. } => &Address::Unknown,
        }
    }
}

impl ProxyProtocol {
    /// Takes a header off the beginning of `input`, or nothing while its end is missing: then call again with the same
    /// bytes and more behind them.
    ///
    /// # Errors
    /// [`Refusal::ProxyHeader`] for whatever is no header of these versions.
    pub fn read(self, input: &mut &[u8]) -> Result<Option<ProxyHeader>, Refusal> {
        let (line, block) = match self {
            Self::Off => (false, false),
            Self::V1 => (true, false),
            Self::V2 => (false, true),
            Self::Auto => (true, true),
        };
        if line && begins(input, LINE_START) {
            read_line(input)
        } else if block && begins(input, SIGNATURE) {
            read_block(input)
        } else {
            Err(Refusal::ProxyHeader)
        }
    }
}

impl FromStr for ProxyProtocol {
    type Err = &'static str;

    /// Reads `off`, `v1`, `v2` or `auto`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            "auto" => Ok(Self::Auto),
            _ => Err("write off, v1, v2 or auto"),
        }
    }
}

/// Whether `input` begins with `start`, or may yet.
fn begins(input: &[u8], start: &[u8]) -> bool {
    input.starts_with(start) || start.starts_with(input)
}

fn read_line(input: &mut &[u8]) -> Result<Option<ProxyHeader>, Refusal> {
    let within = &input[..input.len().min(MAX_LINE)];
    let Some(end) = memchr(b'\n', within) else {
        return if within.len() < MAX_LINE { Ok(None) } else { Err(Refusal::ProxyHeader) };
    };
    let line = within[..end].strip_suffix(b"\r").and_then(|line| line.strip_prefix(LINE_START));
    let header = line.and_then(parse_line).ok_or(Refusal::ProxyHeader)?;
    *input = &input[end + 1..];
    Ok(Some(header))
}

/// What follows `PROXY `: a family, and two addresses and two ports with one space before each.
fn parse_line(text: &[u8]) -> Option<ProxyHeader> {
    if text.contains(&b'\r') {
        return None;
    }
    // Whatever may follow this word is to be ignored.
    if text.strip_prefix(b"UNKNOWN").is_some_and(|rest| matches!(rest, [] | [b' ', ..])) {
        return Some(ProxyHeader::Unknown);
    }
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    let parse_ip: fn(&str) -> Option<IpAddr> = match words.next()? {
        "TCP4" => |text| text.parse().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (source, destination) = (parse_ip(words.next()?)?, parse_ip(words.next()?)?);
    let (from, to) = (parse_port(words.next()?)?, parse_port(words.next()?)?);
    words.next().is_none().then(|| client((source, from), (destination, to)))
}

/// A port in its only spelling.
fn parse_port(text: &str) -> Option<u16> {
    crate::forwarded::parse_port(text.as_bytes())
}

fn client(source: (IpAddr, u16), destination: (IpAddr, u16)) -> ProxyHeader {
    let [source, destination] = [source, destination].map(|end| Address::Tcp(SocketAddr::from(end)));
    ProxyHeader::Client { source, destination }
}

fn read_block(input: &mut &[u8]) -> Result<Option<ProxyHeader>, Refusal> {
    let [.., version_and_command, family, high, low] = *input.get(..BLOCK_HEAD).unwrap_or_default() else {
        return Ok(None);
    };
    let len = BLOCK_HEAD + usize::from(u16::from_be_bytes([high, low]));
    if len > MAX_BLOCK {
        return Err(Refusal::ProxyHeader);
    }
    let Some(body) = input.get(BLOCK_HEAD..len) else { return Ok(None) };
    let header = match version_and_command {
        // The family of a local connection is to be ignored, and so is the rest.
        0x20 => Some(ProxyHeader::Local),
        0x21 => parse_block(family, body),
        _ => None,
    };
    *input = &input[len..];
    header.map(Some).ok_or(Refusal::ProxyHeader)
}

/// The addresses of a block, which what else the proxy says may follow. Only streams are served.
fn parse_block(family: u8, body: &[u8]) -> Option<ProxyHeader> {
    let (header, rest) = match family {
        0x00 => return Some(ProxyHeader::Unknown),
        0x11 => parse_ips::<4>(body, |octets| Ipv4Addr::from(octets).into())?,
        0x21 => parse_ips::<16>(body, |octets| Ipv6Addr::from(octets).into())?,
        0x31 => {
            let (source, rest) = body.split_at_checked(UNIX_PATH)?;
            let (destination, rest) = rest.split_at_checked(UNIX_PATH)?;
            let [source, destination] = [source, destination].map(parse_path);
            (ProxyHeader::Client { source, destination }, rest)
        }
        _ => return None,
    };
    are_vectors(rest).then_some(header)
}

/// Two addresses of `N` bytes, and two ports.
fn parse_ips<const N: usize>(body: &[u8], to_ip: fn([u8; N]) -> IpAddr) -> Option<(ProxyHeader, &[u8])> {
    let (source, rest) = body.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let (to, rest) = rest.split_first_chunk::<2>()?;
    let end = |ip: &[u8; N], port: &[u8; 2]| (to_ip(*ip), u16::from_be_bytes(*port));
    Some((client(end(source, from), end(destination, to)), rest))
}

/// A path that ends at its first NUL; a socket without one, or in the abstract name space, has none.
fn parse_path(bytes: &[u8]) -> Address {
    let path = &bytes[..memchr(0, bytes).unwrap_or(bytes.len())];
    let path = std::str::from_utf8(path).ok().filter(|path| !path.is_empty());
    Address::Unix(path.map(PathBuf::from))
}

/// Whether these are whole vectors of a type, a length and a value. Nothing in them is needed.
fn are_vectors(mut rest: &[u8]) -> bool {
    while let [_, high, low, after @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        match after.get(len..) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests;
