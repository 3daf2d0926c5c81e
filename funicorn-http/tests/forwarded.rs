//! Whatever a client writes, a proxy that appends to it has the last word.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use funicorn_http::{Address, ConnectionInfo, ForwardingPolicy, PeerList, Refusal, RequestHead, Scheme};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const PROXY: &str = "127.0.0.1:4711";
const CLIENT: &str = "192.0.2.1";

/// What a client might put into a forwarding header: words of both forms and near misses.
fn lies() -> impl Strategy<Value = Vec<u8>> {
    let bits = [
        "6.6.6.6",
        "127.0.0.1",
        "10.0.0.1",
        "::1",
        "[::1]",
        "[::1]:80",
        "unknown",
        "_x",
        "unix:",
        "for=",
        "proto=",
        "host=",
        "https",
        "for=6.6.6.6",
        "for=127.0.0.1",
        "for=\"[::1]:80\"",
        ";",
        ",",
        ", ",
        "\"",
        "\\",
        "\\\"",
        " ",
        "=",
        "x=\"",
    ];
    let word = prop_oneof![
        8 => select(bits.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>().prop_filter("no control", |byte| *byte == b'\t' || *byte >= b' '), 1..4),
    ];
    vec(word, 0..12).prop_map(|words| words.concat())
}

/// Who the client is when `name` has these lines, of which the proxy has written the end.
fn client(headers: &str, name: &str, lines: &[Vec<u8>]) -> Result<Address, Refusal> {
    let trusted: PeerList = "127.0.0.1,::1,unix,10.0.0.0/8".parse().unwrap();
    let policy = ForwardingPolicy::new(trusted, headers.parse().unwrap());
    let head = lines.iter().fold(RequestHead::builder("GET", "/"), |head, line| head.header(name, line));
    let [peer, local] = [PROXY, "127.0.0.1:8000"].map(|text| Address::Tcp(text.parse().unwrap()));
    let resolved = policy.resolve(head.build().headers(), &ConnectionInfo::new(peer, local))?;
    Ok(resolved.expect("a header that counts").peer)
}

/// The client's `lies`, and behind them what the proxy appends: to the last line, or as one of its own.
fn appended(lies: &[Vec<u8>], own_line: bool, entry: &str) -> Vec<Vec<u8>> {
    let mut lines = lies.to_vec();
    match lines.last_mut().filter(|_| !own_line) {
        Some(last) => last.extend_from_slice(format!(", {entry}").as_bytes()),
        None => lines.push(entry.as_bytes().to_vec()),
    }
    lines
}

proptest! {
    #[test]
    fn behind_an_appending_proxy_the_client_is_whom_the_proxy_names(
        lies in vec(lies(), 0..4),
        own_line in any::<bool>(),
        hops in select(vec!["", ", 10.0.0.1", ",10.0.0.1 , ::1", ", unix:"]),
    ) {
        let lines = appended(&lies, own_line, &format!("{CLIENT}{hops}"));
        prop_assert_eq!(client("x-forwarded-for", "X-Forwarded-For", &lines), Ok(Address::Ip(CLIENT.parse().unwrap())));
    }

    #[test]
    fn with_the_standard_header_the_client_is_that_one_or_the_request_is_refused(
        lies in vec(lies(), 0..4),
        own_line in any::<bool>(),
        entry in select(vec![
            "for=192.0.2.1",
            "for=192.0.2.1;proto=https, for=10.0.0.1",
            "for=\"192.0.2.1\";host=\"a.example\";by=_x, for=\"[::1]:80\"",
        ]),
    ) {
        match client("forwarded", "Forwarded", &appended(&lies, own_line, entry)) {
            Ok(client) => prop_assert_eq!(client, Address::Ip(CLIENT.parse().unwrap())),
            Err(refusal) => prop_assert_eq!(refusal, Refusal::Forwarded),
        }
    }

    #[test]
    fn behind_a_proxy_that_appends_a_scheme_it_is_that_one(
        lies in vec(lies(), 0..4),
        own_line in any::<bool>(),
        scheme in select(vec!["http", "https"]),
    ) {
        let lines = appended(&lies, own_line, scheme);
        let policy = ForwardingPolicy::default();
        let head = RequestHead::builder("GET", "/");
        let head = lines.iter().fold(head, |head, line| head.header("X-Forwarded-Proto", line)).build();
        let [peer, local] = [PROXY, "127.0.0.1:8000"].map(|text| Address::Tcp(text.parse().unwrap()));
        let resolved = policy.resolve(head.headers(), &ConnectionInfo::new(peer, local)).unwrap().unwrap();
        prop_assert_eq!(resolved.scheme == Scheme::Https, scheme == "https");
    }

    #[test]
    fn any_values_at_all_are_understood_or_refused(
        names in vec(select(vec![
            "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "Forwarded",
        ]), 1..6),
        values in vec(prop_oneof![lies(), vec(any::<u8>(), 0..20)], 6),
        standard in any::<bool>(),
    ) {
        let set = if standard {
            "forwarded"
        } else {
            "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port,x-forwarded-prefix"
        };
        let policy = ForwardingPolicy::new(PeerList::default(), set.parse().unwrap());
        let head = RequestHead::builder("GET", "/");
        let head = names.iter().zip(&values).fold(head, |head, (name, value)| head.header(name, value)).build();
        let [peer, local] = [PROXY, "127.0.0.1:8000"].map(|text| Address::Tcp(text.parse().unwrap()));
        if let Ok(Some(resolved)) = policy.resolve(head.headers(), &ConnectionInfo::new(peer, local)) {
            // What reaches the environ can end no line and name no other host.
            let proxied = resolved.proxied.unwrap_or_default();
            for text in proxied.host.iter().chain(&proxied.prefix) {
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\",".contains(&byte)), "{text}");
            }
            prop_assert!(!proxied.prefix.unwrap_or_default().starts_with("//"));
        }
    }
}
