//! The PROXY header: the corpus in `tests/wire-proxy`, and what holds for any bytes at all.

mod corpus;
mod proxy_claims;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use corpus::corpus;
use funicorn_http::{Address, ProxyHeader, Refusal};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proxy_claims::{Outcome, check};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

#[test]
fn the_corpus_has_the_outcomes_that_it_names() {
    let cases = corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire-proxy"));
    assert!(cases.len() >= 40, "the corpus has {} files", cases.len());
    for case in &cases {
        let cuts: Vec<usize> = (0..case.stream.len()).step_by(7).collect();
        let found = check(&case.stream, &cuts).transcript(&case.stream);
        assert_eq!(found, case.expected, "{}", case.name);
    }
}

/// Two ends of one family.
fn ends() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let ipv4 = any::<[u32; 2]>().prop_map(|ips| ips.map(|ip| IpAddr::from(Ipv4Addr::from(ip))));
    let ipv6 = any::<[u128; 2]>().prop_map(|ips| ips.map(|ip| IpAddr::from(Ipv6Addr::from(ip))));
    let ips = prop_oneof![ipv4, ipv6];
    (ips, any::<[u16; 2]>()).prop_map(|(ips, ports)| ((ips[0], ports[0]).into(), (ips[1], ports[1]).into()))
}

fn line((source, destination): (SocketAddr, SocketAddr)) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.port(), destination.port());
    format!("PROXY {family} {} {} {from} {to}\r\n", source.ip(), destination.ip()).into_bytes()
}

fn block((source, destination): (SocketAddr, SocketAddr), vectors: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let mut body = [octets(source.ip()), octets(destination.ip())].concat();
    body.extend_from_slice(&source.port().to_be_bytes());
    body.extend_from_slice(&destination.port().to_be_bytes());
    for (kind, value) in vectors {
        body.push(*kind);
        body.extend_from_slice(&(value.len() as u16).to_be_bytes());
        body.extend_from_slice(value);
    }
    let family = if source.is_ipv4() { 0x11 } else { 0x21 };
    [SIGNATURE, &[0x21, family], &(body.len() as u16).to_be_bytes(), &body].concat()
}

/// Headers of both versions.
fn header() -> impl Strategy<Value = (Vec<u8>, (SocketAddr, SocketAddr))> {
    let vectors = vec((any::<u8>(), vec(any::<u8>(), 0..40)), 0..4);
    (ends(), vectors, any::<bool>())
        .prop_map(|(ends, vectors, is_line)| (if is_line { line(ends) } else { block(ends, &vectors) }, ends))
}

/// Words of both versions and near misses.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let bits: [&[u8]; 22] = [
        b"PROXY ",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 ",
        b"TCP4",
        b"TCP6",
        b"UNKNOWN",
        b"192.0.2.1",
        b"::1",
        b"1",
        b"65535",
        b"0",
        b" ",
        b"\r\n",
        b"\r",
        b"\n",
        SIGNATURE,
        b"\x20",
        b"\x21",
        b"\x11",
        b"\x00\x0c",
        b"\x00",
        b"\x31\x00\xd8",
        b"GET / HTTP/1.1\r\n",
    ];
    let word = prop_oneof![8 => select(bits.to_vec()).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 1..40)];
    vec(word, 0..12).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_bytes_have_one_outcome(
        bytes in prop_oneof![vec(any::<u8>(), 0..300), words()],
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        check(&bytes, &cuts);
    }

    #[test]
    fn what_an_encoder_writes_is_read(
        (header, (source, destination)) in header(),
        rest in vec(any::<u8>(), 0..40),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let stream = [&header[..], &rest].concat();
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        let client = ProxyHeader::Client { source: Address::Tcp(source), destination: Address::Tcp(destination) };
        prop_assert_eq!(check(&stream, &cuts), Outcome::Header(client, header.len()));
        prop_assert_eq!(check(&header[..header.len() - 1], &[]), Outcome::Incomplete);
    }

    #[test]
    fn a_changed_byte_of_a_line_is_never_a_client_that_another_line_names(
        ends in ends(),
        at in any::<Index>(),
        byte in any::<u8>(),
    ) {
        let mut changed = line(ends);
        let at = at.index(changed.len());
        changed[at] = byte;
        // There is one spelling of a port and of an IPv4 address; those of IPv6 are many.
        if let Outcome::Header(ProxyHeader::Client { source: Address::Tcp(source), destination: Address::Tcp(destination) }, len) =
            check(&changed, &[])
            && source.is_ipv4()
        {
            prop_assert_eq!(&changed[..len], &line((source, destination))[..]);
        }
    }
}

#[test]
fn an_empty_stream_waits() {
    assert_eq!(check(b"", &[]), Outcome::Incomplete);
    assert_eq!(check(b"G", &[]), Outcome::Refused(Refusal::ProxyHeader));
}
