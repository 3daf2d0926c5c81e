//! Each version as it may come and as it may not: addresses, lengths, pieces.

use super::*;

fn read(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, Refusal> {
    let mut input = bytes;
    let header = ProxyProtocol::Auto.read(&mut input)?;
    Ok(header.map(|header| (header, bytes.len() - input.len())))
}

fn tcp(source: &str, destination: &str) -> ProxyHeader {
    let [source, destination] = [source, destination].map(|text| Address::Tcp(text.parse().unwrap()));
    ProxyHeader::Client { source, destination }
}

/// A block of version 2.
fn block(version_and_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[version_and_command, family], &len, body].concat()
}

const IPV4: &[u8] = &[192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 0x01, 0xbb];

#[test]
fn lines() {
    for (line, header) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n", tcp("192.0.2.1:4711", "192.0.2.2:443")),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", tcp("0.0.0.0:0", "255.255.255.255:65535")),
        ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", tcp("[2001:db8::1]:1", "[::1]:2")),
        (
            "PROXY TCP6 ffff:f:F:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            tcp(
                "[ffff:f:f:ffff:ffff:ffff:ffff:ffff]:65535",
                "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
            ),
        ),
        ("PROXY UNKNOWN\r\n", ProxyHeader::Unknown),
        ("PROXY UNKNOWN 192.0.2.1 whatever  it says\r\n", ProxyHeader::Unknown),
    ] {
        let stream = format!("{line}GET / HTTP/1.1\r\n");
        assert_eq!(read(stream.as_bytes()), Ok(Some((header, line.len()))), "{line}");
    }
}

#[test]
fn what_is_no_line() {
    for bad in [
        "GET / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\n",
        "PROPFIND / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        " PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
        "PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 00 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 256.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 [::1] [::1] 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP6 1::2::3 ::1 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY unknown\r\n",
        "PROXY UNKNOWN a\rb\r\n",
        "PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n",
        "PROXY TCP4 \u{e9} 192.0.2.2 1 2\r\n",
    ] {
        assert_eq!(read(bad.as_bytes()), Err(Refusal::ProxyHeader), "{bad:?}");
    }
}

#[test]
fn a_line_has_107_bytes_at_most() {
    let line = |len: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(len - 16));
    assert_eq!(read(line(107).as_bytes()), Ok(Some((ProxyHeader::Unknown, 107))));
    assert_eq!(read(line(108).as_bytes()), Err(Refusal::ProxyHeader));
    assert_eq!(read(&line(120).as_bytes()[..106]), Ok(None));
    assert_eq!(read(&line(120).as_bytes()[..107]), Err(Refusal::ProxyHeader));
}

#[test]
fn blocks() {
    let ipv4 = tcp("192.0.2.1:4711", "192.0.2.2:443");
    let [one, two] = ["2001:db8::1", "::1"].map(|ip| ip.parse::<Ipv6Addr>().unwrap().octets());
    let ipv6 = [&one[..], &two, &[0, 1, 0, 2]].concat();
    let mut unix = [0; 216];
    unix[..5].copy_from_slice(b"/a\0b/");
    unix[109..112].copy_from_slice(b"abs");
    let paths =
        ProxyHeader::Client { source: Address::Unix(Some("/a".into())), destination: Address::Unix(None) };
    let vectors = [1, 0, 2, b'h', b'2', 4, 0, 0];
    for (command, family, body, header) in [
        (0x21, 0x11, IPV4.to_vec(), ipv4.clone()),
        (0x21, 0x11, [IPV4, &vectors].concat(), ipv4),
        (0x21, 0x21, ipv6, tcp("[2001:db8::1]:1", "[::1]:2")),
        (0x21, 0x31, unix.to_vec(), paths),
        (0x21, 0x00, Vec::new(), ProxyHeader::Unknown),
        (0x21, 0x00, b"whatever it says".to_vec(), ProxyHeader::Unknown),
        (0x20, 0x00, Vec::new(), ProxyHeader::Local),
        (0x20, 0x11, IPV4.to_vec(), ProxyHeader::Local),
        (0x20, 0xff, b"whatever it says".to_vec(), ProxyHeader::Local),
    ] {
        let block = block(command, family, &body);
        let stream = [&block[..], b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(read(&stream), Ok(Some((header, block.len()))), "{command:x} {family:x}");
    }
}

#[test]
fn what_is_no_block() {
    let cut = &IPV4[..11];
    for (command, family, body) in [
        (0x11, 0x11, IPV4),
        (0x31, 0x11, IPV4),
        (0x22, 0x11, IPV4),
        (0x01, 0x11, IPV4),
        (0x21, 0x12, IPV4),
        (0x21, 0x10, IPV4),
        (0x21, 0x01, IPV4),
        (0x21, 0x22, &[0; 36]),
        (0x21, 0x32, &[0; 216]),
        (0x21, 0x41, IPV4),
        (0x21, 0x11, cut),
        (0x21, 0x11, b""),
        (0x21, 0x21, &[0; 35]),
        (0x21, 0x31, &[0; 215]),
        (0x21, 0x11, &[IPV4, &[1]].concat()),
        (0x21, 0x11, &[IPV4, &[1, 0]].concat()),
        (0x21, 0x11, &[IPV4, &[1, 0, 1]].concat()),
        (0x21, 0x11, &[IPV4, &[1, 0xff, 0xff, 0]].concat()),
    ] {
        assert_eq!(read(&block(command, family, body)), Err(Refusal::ProxyHeader), "{command:x} {family:x}");
    }
    let wrong_signature = [b"\r\n\r\n\0\r\nQUIT\r", &block(0x21, 0x11, IPV4)[12..]].concat();
    assert_eq!(read(&wrong_signature), Err(Refusal::ProxyHeader));
}

#[test]
fn a_block_that_is_too_large_is_refused_at_its_head() {
    let mut largest = block(0x20, 0, &vec![0; MAX_BLOCK - BLOCK_HEAD]);
    assert_eq!(read(&largest), Ok(Some((ProxyHeader::Local, MAX_BLOCK))));
    largest[15] += 1;
    assert_eq!(read(&largest[..BLOCK_HEAD]), Err(Refusal::ProxyHeader));
}

#[test]
fn only_the_versions_that_are_spoken() {
    let (line, block) = (&b"PROXY UNKNOWN\r\n"[..], &block(0x20, 0, b"")[..]);
    for (spoken, stream, is_read) in [
        (ProxyProtocol::Off, line, false),
        (ProxyProtocol::Off, block, false),
        (ProxyProtocol::V1, line, true),
        (ProxyProtocol::V1, block, false),
        (ProxyProtocol::V2, line, false),
        (ProxyProtocol::V2, block, true),
        (ProxyProtocol::Auto, line, true),
        (ProxyProtocol::Auto, block, true),
    ] {
        assert_eq!(spoken.read(&mut &stream[..]).is_ok(), is_read, "{spoken:?}");
    }
    assert_eq!("auto".parse(), Ok(ProxyProtocol::Auto));
    assert!("V1".parse::<ProxyProtocol>().is_err());
}

#[test]
fn who_speaks_and_whom_the_connection_names() {
    let proxy: Address = Address::Tcp("127.0.0.1:4711".parse().unwrap());
    let socket = ConnectionInfo::new(proxy.clone(), Address::Tcp("127.0.0.1:8000".parse().unwrap()));
    let path = Address::Unix(Some("/a".into()));
    let unix = ProxyHeader::Client { source: path.clone(), destination: path.clone() };
    let client = tcp("192.0.2.1:1", "192.0.2.2:443");
    let address = Address::Tcp("192.0.2.1:1".parse().unwrap());
    for (header, speaker, peer) in [
        (ProxyHeader::Local, &proxy, &proxy),
        (ProxyHeader::Unknown, &Address::Unknown, &proxy),
        (unix, &Address::Unknown, &path),
        (client, &address, &address),
    ] {
        assert_eq!(header.speaker(&socket), speaker, "{header:?}");
        assert_eq!(&header.connection(&socket).peer, peer, "{header:?}");
    }
}
