//! Policies over whole heads, also as somebody would write them who wants to be taken for another.

use std::net::IpAddr;

use super::*;
use crate::RequestHead;

fn ip(text: &str) -> Address {
    Address::Ip(text.parse().unwrap())
}

fn tcp(text: &str) -> Address {
    Address::Tcp(text.parse().unwrap())
}

/// What `policy` makes of the lines in a request from `peer`.
fn resolve(
    (trusted, headers): (&str, &str),
    peer: Address,
    lines: &[(&str, &str)],
) -> Result<Option<ConnectionInfo>, Refusal> {
    let policy = ForwardingPolicy::new(trusted.parse().unwrap(), headers.parse().unwrap());
    let head =
        lines.iter().fold(RequestHead::builder("GET", "/"), |head, (name, value)| head.header(name, value));
    policy.resolve(
        head.header("Host", "inner.example").build().headers(),
        &ConnectionInfo::new(peer, tcp("127.0.0.1:8000")),
    )
}

const TRUSTED: &str = "127.0.0.1,::1,unix,10.0.0.0/8";
const X: &str = "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port,x-forwarded-prefix";

fn from_proxy(headers: &str, lines: &[(&str, &str)]) -> Result<ConnectionInfo, Refusal> {
    resolve((TRUSTED, headers), tcp("127.0.0.1:4711"), lines)
        .map(|resolved| resolved.expect("a header that counts"))
}

fn client(chain: &str) -> Result<Address, Refusal> {
    from_proxy(X, &[("X-Forwarded-For", chain)]).map(|resolved| resolved.peer)
}

fn node(element: &str) -> Result<Address, Refusal> {
    from_proxy("forwarded", &[("Forwarded", element)]).map(|resolved| resolved.peer)
}

#[test]
fn the_client_is_the_first_from_the_right_that_is_no_proxy() {
    for (chain, expected) in [
        ("192.0.2.1", ip("192.0.2.1")),
        ("192.0.2.1, 10.0.0.1", ip("192.0.2.1")),
        ("6.6.6.6,192.0.2.1,10.0.0.1 ,\t127.0.0.1", ip("192.0.2.1")),
        // All of them are ours: the request began at the leftmost.
        ("10.0.0.2, 10.0.0.1", ip("10.0.0.2")),
        ("10.0.0.2", ip("10.0.0.2")),
        ("2001:db8::1", ip("2001:db8::1")),
        ("6.6.6.6, ::ffff:192.0.2.1", ip("192.0.2.1")),
        ("192.0.2.1, ::ffff:10.0.0.1", ip("192.0.2.1")),
        ("192.0.2.1:4711", tcp("192.0.2.1:4711")),
        ("[2001:db8::1]:4711", tcp("[2001:db8::1]:4711")),
        ("[2001:db8::1]", ip("2001:db8::1")),
        ("192.0.2.1, 10.0.0.1:80, [::1]:80", ip("192.0.2.1")),
        ("192.0.2.1, unix:", ip("192.0.2.1")),
        ("unix:", Address::Unix(None)),
        ("6.6.6.6, unknown", Address::Unknown),
    ] {
        assert_eq!(client(chain), Ok(expected), "{chain}");
    }
}

#[test]
fn what_the_client_has_put_in_front_is_not_looked_at() {
    for chain in [
        "garbage, 192.0.2.1",
        ",,192.0.2.1",
        "\"open, 192.0.2.1",
        "127.0.0.1, 192.0.2.1",
        "\u{e9}, 192.0.2.1",
    ] {
        assert_eq!(client(chain), Ok(ip("192.0.2.1")), "{chain}");
    }
    let long = "10.0.0.1, ".repeat(5000) + "192.0.2.1";
    assert_eq!(client(&long), Ok(ip("192.0.2.1")));
}

#[test]
fn a_word_that_is_no_address_is_somebody_unknown() {
    for chain in [
        "6.6.6.6, garbage",
        "6.6.6.6 10.0.0.1",
        "6.6.6.6; 10.0.0.1",
        "010.0.0.1",
        "6.6.6.6:",
        "6.6.6.6:65536",
        "6.6.6.6:080",
        "6.6.6.6:+80",
        "6.6.6.6:80:80",
        "[6.6.6.6]",
        "[2001:db8::1",
        "2001:db8::1]",
        "[2001:db8::1]80",
        "fe80::1%eth0",
        "6.6.6.6, _hidden",
        "localhost",
        "127.0.0.1\u{a0}",
        "unix:/run/x",
        "\"127.0.0.1\"",
        "10.0.0.0/8",
        "6.6.6.6, garbage, 10.0.0.1",
        "6.6.6.6, unknown, 10.0.0.1",
    ] {
        assert_eq!(client(chain), Ok(Address::Unknown), "{chain:?}");
    }
}

#[test]
fn an_entry_that_says_nothing_ends_the_walk_at_the_proxy_that_wrote_it() {
    for (chain, expected) in [
        ("", tcp("127.0.0.1:4711")),
        ("-", tcp("127.0.0.1:4711")),
        (",", tcp("127.0.0.1:4711")),
        ("6.6.6.6,", tcp("127.0.0.1:4711")),
        ("6.6.6.6, -", tcp("127.0.0.1:4711")),
        ("6.6.6.6, ,10.0.0.1", ip("10.0.0.1")),
        ("6.6.6.6, -, 10.0.0.2, 10.0.0.1", ip("10.0.0.2")),
    ] {
        assert_eq!(client(chain), Ok(expected), "{chain:?}");
    }
}

#[test]
fn empty_elements_at_the_beginning_mean_nothing() {
    assert_eq!(client(", 10.0.0.2"), Ok(ip("10.0.0.2")));
    assert_eq!(client(" ,, 10.0.0.2, 10.0.0.1"), Ok(ip("10.0.0.2")));
    assert_eq!(node(", for=10.0.0.2"), Ok(ip("10.0.0.2")));
}

#[test]
fn all_lines_are_one_chain() {
    let lines = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("Via", "x"),
        ("x-forwarded-FOR", "192.0.2.1"),
        ("X-Forwarded-For", "10.0.0.1"),
    ];
    assert_eq!(from_proxy(X, &lines).unwrap().peer, ip("192.0.2.1"));
    let lines = [("Forwarded", "for=6.6.6.6"), ("FORWARDED", "for=192.0.2.1, for=10.0.0.1")];
    assert_eq!(from_proxy("forwarded", &lines).unwrap().peer, ip("192.0.2.1"));
    // A string that the client leaves open cannot reach into the proxy's line.
    let lines = [("Forwarded", "for=\"6.6.6.6"), ("Forwarded", "for=\"192.0.2.1\"")];
    assert_eq!(from_proxy("forwarded", &lines).unwrap_err(), Refusal::Forwarded);
}

#[test]
fn the_star_believes_its_peer_and_nobody_behind_it() {
    let lines = [("X-Forwarded-For", "6.6.6.6, 192.0.2.1")];
    let resolved = resolve(("*", X), tcp("198.51.100.1:80"), &lines).unwrap().unwrap();
    assert_eq!(resolved.peer, ip("192.0.2.1"));
    let lines = [("X-Forwarded-For", "6.6.6.6, 192.0.2.1, 10.0.0.1")];
    let resolved = resolve(("*,10.0.0.0/8", X), Address::Unix(None), &lines).unwrap().unwrap();
    assert_eq!(resolved.peer, ip("192.0.2.1"));
}

#[test]
fn headers_of_others_have_no_effect_however_malformed() {
    let lines = [
        ("X-Forwarded-For", "garbage"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Proto", "ftp"),
        ("X-Forwarded-Host", "evil.example, b"),
        ("X-Forwarded-Port", "x"),
        ("X-Forwarded-Prefix", "//evil"),
        ("Forwarded", "for=\""),
    ];
    for peer in ["192.0.2.7:80", "[2001:db8::1]:80", "127.0.0.2:80", "[::ffff:11.0.0.1]:80"] {
        assert!(resolve((TRUSTED, X), tcp(peer), &lines).unwrap().is_none(), "{peer}");
        assert!(resolve((TRUSTED, "forwarded"), tcp(peer), &lines).unwrap().is_none(), "{peer}");
    }
    assert!(resolve(("127.0.0.1", X), Address::Unix(None), &lines).unwrap().is_none());
    assert!(resolve((TRUSTED, X), Address::Unknown, &lines).unwrap().is_none());
    assert!(resolve(("", X), tcp("127.0.0.1:80"), &lines).unwrap().is_none());
    assert!(resolve((TRUSTED, ""), tcp("127.0.0.1:80"), &lines).unwrap().is_none());
}

#[test]
fn the_peer_is_compared_as_what_it_is() {
    let lines = [("X-Forwarded-For", "192.0.2.1")];
    for peer in [tcp("[::ffff:127.0.0.1]:80"), tcp("[::1]:80"), tcp("10.1.2.3:80"), Address::Unix(None)] {
        assert_eq!(resolve((TRUSTED, X), peer, &lines).unwrap().unwrap().peer, ip("192.0.2.1"));
    }
}

#[test]
fn a_header_outside_of_the_set_has_no_effect() {
    let lines = [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Host", "worse.example"),
        ("X-Forwarded-Port", "1"),
        ("X-Forwarded-Prefix", "/evil"),
        ("Forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
        ("X-Forwarded-Proto", "https"),
    ];
    let resolved = from_proxy("x-forwarded-for,x-forwarded-proto", &lines).unwrap();
    assert_eq!((resolved.peer, resolved.scheme), (tcp("127.0.0.1:4711"), Scheme::Https));
    assert_eq!(resolved.proxied, None);
    let lines =
        [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("Forwarded", "for=192.0.2.1")];
    let resolved = from_proxy("forwarded", &lines).unwrap();
    assert_eq!((resolved.peer, resolved.scheme), (ip("192.0.2.1"), Scheme::Http));
}

#[test]
fn names_that_resemble_those_of_the_set_have_no_effect() {
    for name in [
        "X_Forwarded_For",
        "X-Forwarded_For",
        "HTTP_X_FORWARDED_FOR",
        "X-Forwarded-Fo",
        "X-Forwarded-For-",
        "XX-Forwarded-For",
    ] {
        let resolved = resolve((TRUSTED, X), tcp("127.0.0.1:80"), &[(name, "6.6.6.6")]);
        assert!(resolved.unwrap().is_none(), "{name}");
    }
}

#[test]
fn the_scheme() {
    for (value, scheme) in [
        ("https", Scheme::Https),
        ("HTTPS", Scheme::Https),
        ("wss", Scheme::Https),
        ("http", Scheme::Http),
        ("ws", Scheme::Http),
    ] {
        assert_eq!(from_proxy(X, &[("X-Forwarded-Proto", value)]).unwrap().scheme, scheme);
    }
    for unknown in ["", "-", "on", "ftp", "https:", "\"https\"", "https,", "https, javascript"] {
        let resolved = from_proxy(X, &[("X-Forwarded-Proto", unknown)]).unwrap();
        assert_eq!(resolved.scheme, Scheme::Http, "{unknown}");
    }
}

#[test]
fn a_list_is_read_from_its_end_in_one_line_or_several() {
    for (name, entries, last) in [
        ("X-Forwarded-Proto", ["http", "https"], "https - - -"),
        ("X-Forwarded-Proto", ["https", "http"], "http - - -"),
        ("X-Forwarded-Host", ["user@evil", "a.example"], "http a.example - -"),
        ("X-Forwarded-Port", ["x", "443"], "http - 443 -"),
        ("X-Forwarded-Prefix", ["//evil", "/a"], "http - - /a"),
    ] {
        let words = |lines: &[(&str, &str)]| {
            let resolved = from_proxy(X, lines).unwrap();
            let proxied = resolved.proxied.unwrap_or_default();
            let or_dash = |word: Option<String>| word.unwrap_or_else(|| "-".to_owned());
            format!(
                "{} {} {} {}",
                if resolved.scheme == Scheme::Https { "https" } else { "http" },
                or_dash(proxied.host),
                or_dash(proxied.port.map(|port| port.to_string())),
                or_dash(proxied.prefix)
            )
        };
        let [first, end] = entries;
        for list in [format!("{first},{end}"), format!("{first} ,\t{end} "), format!(",{first},, {end}")] {
            assert_eq!(words(&[(name, &list)]), last, "{name}: {list}");
        }
        assert_eq!(words(&[(name, first), (&name.to_lowercase(), end)]), last, "{name} twice");
    }
}

#[test]
fn an_end_that_says_nothing_leaves_what_is_known_without_it() {
    for name in ["X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix"] {
        for value in ["", "-", "https,", "a.example ,", "443,", "/evil, "] {
            let resolved = from_proxy(X, &[(name, value)]).unwrap();
            assert_eq!((resolved.scheme, resolved.proxied), (Scheme::Http, None), "{name}: {value}");
        }
    }
}

#[test]
fn host_port_and_prefix() {
    let proxied = |name: &str, value: &str| from_proxy(X, &[(name, value)]).map(|it| it.proxied.unwrap());
    for host in ["a.example", "a.example:8443", "[2001:db8::1]:80", "192.0.2.1"] {
        assert_eq!(proxied("X-Forwarded-Host", host).unwrap().host.as_deref(), Some(host));
    }
    for bad in ["a b", "user@a", "http://a", "a/b", "a:x", ":80", "::1"] {
        assert_eq!(proxied("X-Forwarded-Host", bad).unwrap_err(), Refusal::Forwarded, "{bad}");
    }
    assert_eq!(proxied("X-Forwarded-Port", "8443").unwrap().port, Some(8443));
    for bad in ["0", "00", "0443", "+443", "-1", "65536", "4 4", "https"] {
        assert_eq!(from_proxy(X, &[("X-Forwarded-Port", bad)]).unwrap().proxied, None, "{bad}");
    }
    for (value, prefix) in [("/shop", "/shop"), ("/a/b/", "/a/b"), ("/", ""), ("/~a.b-c_d", "/~a.b-c_d")] {
        assert_eq!(proxied("X-Forwarded-Prefix", value).unwrap().prefix.as_deref(), Some(prefix));
    }
    for bad in [
        "shop",
        "//evil.example",
        "/a//b",
        "/a//",
        "//",
        "/..",
        "/a/../b",
        "/.",
        "/a?b",
        "/a#b",
        "/a,b",
        "/%2e%2e",
        "/a\\b",
        "/a b",
        "/\u{e9}",
        "http://a/",
        "/a;b",
    ] {
        assert_eq!(proxied("X-Forwarded-Prefix", bad).unwrap_err(), Refusal::Forwarded, "{bad}");
    }
}

#[test]
fn nodes_of_the_standard() {
    for (element, expected) in [
        ("for=192.0.2.1", ip("192.0.2.1")),
        ("for=\"192.0.2.1:4711\"", tcp("192.0.2.1:4711")),
        ("for=\"[2001:db8::1]\"", ip("2001:db8::1")),
        ("for=\"[2001:db8::1]:4711\"", tcp("[2001:db8::1]:4711")),
        ("for=\"[2001:db8::1]:_port\"", ip("2001:db8::1")),
        ("for=\"192.0.2.1:_p\"", ip("192.0.2.1")),
        ("for=unknown", Address::Unknown),
        ("for=Unknown, for=10.0.0.1", Address::Unknown),
        ("for=\"unknown:4711\"", Address::Unknown),
        ("for=_hidden", Address::Unknown),
        ("for=\"_a.b-c:_d\"", Address::Unknown),
        ("for=6.6.6.6, for=_hidden", Address::Unknown),
        ("for=6.6.6.6, for=192.0.2.1;by=10.0.0.1, for=10.0.0.1", ip("192.0.2.1")),
        ("for=6.6.6.6, proto=https", tcp("127.0.0.1:4711")),
        ("for=6.6.6.6, by=_x, for=10.0.0.1", ip("10.0.0.1")),
        ("for=10.0.0.2, for=10.0.0.1", ip("10.0.0.2")),
    ] {
        assert_eq!(node(element), Ok(expected), "{element}");
    }
    for unknown in [
        "for=\"2001:db8::1\"",
        "for=\"[2001:db8::1\"",
        "for=\"[192.0.2.1]\"",
        "for=hidden",
        "for=_",
        "for=\"_a:\"",
        "for=\"192.0.2.1:_\"",
        "for=\"192.0.2.1:0x50\"",
        "for=\"unix:\"",
        "for=6.6.6.6, for=hidden, for=10.0.0.1",
    ] {
        assert_eq!(node(unknown), Ok(Address::Unknown), "{unknown:?}");
    }
    for (silent, expected) in [
        ("", tcp("127.0.0.1:4711")),
        ("for=\"\"", tcp("127.0.0.1:4711")),
        ("for=-", tcp("127.0.0.1:4711")),
        ("for=6.6.6.6,", tcp("127.0.0.1:4711")),
        ("for=6.6.6.6, , for=10.0.0.1", ip("10.0.0.1")),
    ] {
        assert_eq!(node(silent), Ok(expected), "{silent:?}");
    }
    for bad in ["for=192.0.2.1;for=192.0.2.2", "for=192.0.2.1, x", "192.0.2.1", "for=\"192.0.2.1"] {
        assert_eq!(node(bad), Err(Refusal::Forwarded), "{bad:?}");
    }
}

#[test]
fn scheme_and_host_come_from_the_element_of_the_client() {
    let line = "for=6.6.6.6;proto=http;host=evil.example, for=192.0.2.1;proto=https;host=\"a.example:8443\", for=10.0.0.1;proto=http;host=b";
    let resolved = from_proxy("forwarded", &[("Forwarded", line)]).unwrap();
    assert_eq!((resolved.peer, resolved.scheme), (ip("192.0.2.1"), Scheme::Https));
    assert_eq!(resolved.proxied.unwrap().host.as_deref(), Some("a.example:8443"));
    // What it does not say is not taken from the elements beside it.
    let line = "for=6.6.6.6;proto=https;host=evil.example, for=192.0.2.1, for=10.0.0.1;proto=https";
    let resolved = from_proxy("forwarded", &[("Forwarded", line)]).unwrap();
    assert_eq!((resolved.scheme, resolved.proxied), (Scheme::Http, None));
    for silent in ["for=192.0.2.1;proto=ftp", "for=192.0.2.1;host=\"\""] {
        let resolved = from_proxy("forwarded", &[("Forwarded", silent)]).unwrap();
        assert_eq!((resolved.scheme, resolved.proxied), (Scheme::Http, None), "{silent}");
    }
    for bad in ["for=192.0.2.1;host=\"a,b\"", "for=192.0.2.1;host=\"user@a\""] {
        assert_eq!(from_proxy("forwarded", &[("Forwarded", bad)]).unwrap_err(), Refusal::Forwarded, "{bad}");
    }
}

#[test]
fn addresses_are_read_as_the_list_reads_them() {
    for text in ["127.0.0.1", "::1", "10.9.8.7", "::ffff:10.0.0.1"] {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(client(&format!("192.0.2.1, {address}")), Ok(ip("192.0.2.1")));
    }
}
