//! Whose word counts? A list of the peers that an operator trusts: addresses, ranges, Unix sockets.
//!
//! IPv4 addresses in the guise of IPv6 ones (`::ffff:10.0.0.1`, as a socket that listens to both reports them) are compared as
//! what they are, on both sides. So `0.0.0.0/0` is all of IPv4 and `::/0` the rest.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, PrefixLenError};

use crate::Address;

/// What `::ffff:0.0.0.0/96` leaves of a range's prefix to IPv4.
const MAPPED_BITS: u8 = 96;

/// Peers that are trusted. By default those of this machine: `127.0.0.1,::1,unix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerList {
    /// `*`
    everyone: bool,
    unix: bool,
    networks: Vec<IpNet>,
}

/// Why a text is no list of peers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePeerError {
    /// An element is none of the forms.
    #[error(
        "\"{0}\" is no peer; write IP addresses, ranges such as 10.0.0.0/8, unix or *, separated by commas"
    )]
    Element(String),
    /// A range whose address lies inside it.
    #[error("\"{0}\" is not the beginning of a range; write {1} for all of it, or the address alone")]
    Inside(String, IpNet),
}

impl PeerList {
    /// A list of nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self { everyone: false, unix: false, networks: Vec::new() }
    }

    /// Whether the peer of a connection is trusted.
    #[must_use]
    pub fn contains(&self, peer: &Address) -> bool {
        self.everyone || self.names(peer)
    }

    /// Whether the list names `address` in words other than `*`.
    ///
    /// This is what an address in a chain of proxies needs. `*` says that whoever can connect is a proxy of ours, which a
    /// firewall can see to; it cannot mean that every address that anybody writes down is one.
    #[must_use]
    pub fn names(&self, address: &Address) -> bool {
        match address.ip() {
            Some(ip) => self.networks.iter().any(|network| network.contains(&ip)),
            None => self.unix && matches!(address, Address::Unix(_)),
        }
    }
}

impl Default for PeerList {
    fn default() -> Self {
        let networks = [IpAddr::from([127, 0, 0, 1]), std::net::Ipv6Addr::LOCALHOST.into()];
        Self { everyone: false, unix: true, networks: networks.map(IpNet::from).to_vec() }
    }
}

impl FromStr for PeerList {
    type Err = ParsePeerError;

    /// Reads elements separated by commas: `127.0.0.1`, `10.0.0.0/8`, `fd00::/8`, `unix`, `*`. Empty elements are passed over, so
    /// that a comma at the end does no harm; a text without any other is [`nobody`](Self::nobody).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut list = Self::nobody();
        for element in text.split(',').map(str::trim) {
            match element {
                "" => {}
                "*" => list.everyone = true,
                "unix" => list.unix = true,
                _ => list.networks.push(parse_network(element)?),
            }
        }
        Ok(list)
    }
}

fn parse_network(text: &str) -> Result<IpNet, ParsePeerError> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(ip.to_canonical().into());
    }
    let network = text.parse::<IpNet>().map_err(|_| ParsePeerError::Element(text.to_owned()))?;
    if network.addr() != network.network() {
        return Err(ParsePeerError::Inside(text.to_owned(), network.trunc()));
    }
    canonical(network).map_err(|_| ParsePeerError::Element(text.to_owned()))
}

/// A range of IPv4 addresses in the guise of IPv6 ones becomes one of IPv4.
fn canonical(network: IpNet) -> Result<IpNet, PrefixLenError> {
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(MAPPED_BITS)) {
        (IpAddr::V4(ip), Some(bits)) if network.addr().is_ipv6() => Ok(Ipv4Net::new(ip, bits)?.into()),
        _ => Ok(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> PeerList {
        text.parse().unwrap()
    }

    fn tcp(ip: &str) -> Address {
        Address::Tcp((ip.parse::<IpAddr>().unwrap(), 4711).into())
    }

    #[test]
    fn the_default_is_this_machine() {
        assert_eq!(PeerList::default(), list("127.0.0.1,::1,unix"));
        for peer in [tcp("127.0.0.1"), tcp("::1"), tcp("::ffff:127.0.0.1"), Address::Unix(None)] {
            assert!(PeerList::default().contains(&peer), "{peer}");
        }
        for peer in [tcp("127.0.0.2"), tcp("::2"), tcp("10.0.0.1"), Address::Unknown] {
            assert!(!PeerList::default().contains(&peer), "{peer}");
        }
    }

    #[test]
    fn addresses_ranges_and_words() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("192.0.2.1/32", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "192.0.2.1", "2001:db8::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("::ffff:10.0.0.0/104", "10.2.3.4", "11.0.0.1"),
            (" ::1 , 192.0.2.0/24 ", "192.0.2.255", "192.0.3.0"),
        ] {
            assert!(list(text).contains(&tcp(inside)), "{inside} in {text}");
            assert!(list(text).contains(&Address::Ip(inside.parse().unwrap())), "{inside} in {text}");
            assert!(!list(text).contains(&tcp(outside)), "{outside} in {text}");
        }
        assert!(list("unix").contains(&Address::Unix(Some("/run/x".into()))));
        assert!(!list("::1").contains(&Address::Unix(None)));
    }

    #[test]
    fn the_star_is_every_peer_and_no_address_in_a_chain() {
        for peer in [tcp("192.0.2.1"), Address::Unix(None), Address::Unknown] {
            assert!(list("*").contains(&peer), "{peer}");
            assert!(!list("*").names(&peer), "{peer}");
        }
        assert!(list("*,10.0.0.0/8").names(&tcp("10.0.0.1")));
    }

    #[test]
    fn an_empty_list_is_nobody() {
        for text in ["", " ", ",", " , "] {
            assert_eq!(list(text), PeerList::nobody());
        }
        assert!(!PeerList::nobody().contains(&tcp("127.0.0.1")));
    }

    #[test]
    fn empty_elements_are_passed_over() {
        for text in ["127.0.0.1,", ",127.0.0.1", "127.0.0.1,,", " 127.0.0.1 , "] {
            assert_eq!(list(text), list("127.0.0.1"), "{text}");
        }
    }

    #[test]
    fn what_is_no_list() {
        for bad in [
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0",
            "010.0.0.1",
            "fe80::1%eth0",
            "[::1]",
            "127.0.0.1:80",
            "127.0.0.1 ::1",
            "Unix",
            "unix:/run/x",
            "**",
            "10.*",
        ] {
            assert!(matches!(bad.parse::<PeerList>(), Err(ParsePeerError::Element(_))), "{bad}");
        }
        let error = "192.0.2.1,10.0.0.1/8".parse::<PeerList>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"10.0.0.1/8\" is not the beginning of a range; write 10.0.0.0/8 for all of it, or the address alone"
        );
    }
}
