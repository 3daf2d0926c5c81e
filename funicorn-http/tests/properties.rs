//! What holds for any bytes at all: no panic, bounded memory, one outcome however they are split, and requests and
//! responses that are read back as they were written.

mod claims;
mod client;
mod replay;

use std::time::SystemTime;

use claims::{check, small_limits};
use client::Read;
use funicorn_http::{
    AfterResponse, BodyLength, HttpDate, Limits, RequestHead, ResponseEncoder, ResponseHead, Version,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use replay::{Received, Rest, pieces, replay, replay_forgetting, transcript};

/// Words of the protocol and near misses, which reach deeper than bytes drawn blindly.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let heads = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\n",
    ];
    let fields = [
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "X: y\r\n",
        " fold\r\n",
    ];
    let chunks = ["5\r\nhello\r\n", "1;a=\"b\"\r\na\r\n", "0\r\n", "0\r\n\r\n", "ff"];
    let bits = [
        "GET", "*", "/", "/a?b", "HTTP/1.1", "HTTP/1.0", "hello", "5", "0", ";", ":", " ", "\t", "\"", "\r",
        "\n", "\r\n", "\r\n\r\n",
    ];
    let all = [&heads[..], &fields[..], &chunks[..], &bits[..]].concat();
    let word =
        prop_oneof![8 => select(all).prop_map(|text| text.as_bytes().to_vec()), 1 => vec(any::<u8>(), 1..4)];
    vec(word, 0..16).prop_map(|words| words.concat())
}

/// A request as a well-behaved client writes it.
#[derive(Clone, Debug)]
struct Sent {
    wire: Vec<u8>,
    method: String,
    target: String,
    /// All fields but Host and the one that frames the body.
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// A field: any token that means nothing to the server, and any value that has no blanks at its ends.
fn field() -> impl Strategy<Value = (String, Vec<u8>)> {
    let visible = || (0x21..=0xffu8).prop_filter("no control byte", |&byte| byte != 0x7f);
    let inner = prop_oneof![6 => visible(), 1 => Just(b' '), 1 => Just(b'\t')];
    let value = (visible(), vec(inner, 0..20), visible());
    let value = prop_oneof![
        1 => Just(Vec::new()),
        9 => value.prop_map(|(first, inner, last)| [&[first][..], &inner, &[last]].concat())
    ];
    ("X[!#$%&'*+.^_`|~A-Za-z0-9-]{1,12}", value)
}

/// `body` in chunks of these sizes and one for the rest, with extensions and trailers here and there.
fn chunked(body: &[u8], sizes: &[usize], odd: bool) -> Vec<u8> {
    let (extension, trailer) = if odd { (" ;a=\"b;\\\"c\";d", "X-Sum: 1\r\n") } else { ("", "") };
    let (mut wire, mut rest) = (Vec::new(), body);
    for len in sizes.iter().copied().chain([body.len()]) {
        let (chunk, after) = rest.split_at(len.min(rest.len()));
        rest = after;
        if !chunk.is_empty() {
            wire.extend_from_slice(format!("{:X}{extension}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
    }
    wire.extend_from_slice(format!("0{extension}\r\n{trailer}\r\n").as_bytes());
    wire
}

fn request() -> impl Strategy<Value = Sent> {
    let target = "/[a-z0-9/%?=&]{0,20}".prop_filter("no NUL", |target: &String| !target.contains("%00"));
    let method = "[A-Z]{1,7}".prop_filter("no method of proxies", |method| method != "CONNECT");
    let framing = (any::<bool>(), any::<bool>(), vec(1usize..20, 0..6));
    let parts = (method, target, vec(field(), 0..5), vec(any::<u8>(), 0..60), framing);
    parts.prop_map(|(method, target, fields, body, (in_chunks, odd, sizes))| {
        let mut wire = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n").into_bytes();
        for (name, value) in &fields {
            wire.extend_from_slice(&[name.as_bytes(), b": ", value, b"\t \r\n"].concat());
        }
        if in_chunks {
            wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            wire.extend_from_slice(&chunked(&body, &sizes, odd));
        } else {
            wire.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            wire.extend_from_slice(&body);
        }
        Sent { wire, method, target, fields, body }
    })
}

/// Heads of one connection which are equal, or nearly so: other request lines, a byte or a line more or less.
fn similar_requests() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let line =
        select(vec!["GET / HTTP/1.1", "GET / HTTP/1.0", "PUT /a?b HTTP/1.1", "GET http://b/ HTTP/1.1"]);
    let long_target = (0..27usize).prop_map(|len| format!("GET /{} HTTP/1.1", "a".repeat(len)));
    let line = prop_oneof![4 => line.prop_map(str::to_owned), 2 => long_target];
    let host = prop_oneof![1 => Just(vec![]), 4 => Just(vec!["Host: a"])];
    let others = vec(select(vec!["X: y", "x: y", "Connection: keep-alive", "Y: of twenty letters"]), 0..6);
    let lines = (host, others).prop_map(|(host, others)| [host, others].concat());
    let change = prop_oneof![4 => Just(None), 1 => (any::<Index>(), any::<u8>()).prop_map(Some)];
    (lines, vec((line, any::<Index>(), change), 1..8)).prop_map(|(lines, requests)| {
        let request = |(line, left, change): (String, Index, Option<(Index, u8)>)| {
            // Mostly all lines, and sometimes the first of them only.
            let count = left.index(2 * lines.len() + 1).min(lines.len());
            let fields: String = lines[..count].iter().map(|line| format!("{line}\r\n")).collect();
            let mut wire = format!("{line}\r\n{fields}\r\n").into_bytes();
            if let Some((place, byte)) = change {
                let place = place.index(wire.len());
                wire[place] = byte;
            }
            wire
        };
        requests.into_iter().map(request).collect()
    })
}

/// Whether `found` is what was sent, to the last byte of each of its parts.
fn check_received(found: &Received, sent: &Sent) {
    let head = &found.head.head;
    assert!(found.complete);
    assert_eq!(head.method(), sent.method.as_bytes());
    assert_eq!(head.target(), sent.target.as_bytes());
    assert_eq!(found.body, sent.body);
    let own = head.headers().iter().filter(|(name, _)| name.starts_with(b"X"));
    assert!(own.eq(sent.fields.iter().map(|(name, value)| (name.as_bytes(), &value[..]))), "{sent:?}");
}

fn places(bytes: &[u8], cuts: &[Index]) -> Vec<usize> {
    cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect()
}

/// 2,000 cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(2000),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_have_one_outcome_in_bounded_memory(
        bytes in prop_oneof![3 => words(), 1 => vec(any::<u8>(), 0..200)],
        cuts in vec(any::<Index>(), 0..10),
    ) {
        check(&bytes, &places(&bytes, &cuts), &small_limits());
    }

    #[test]
    fn requests_in_one_stream_keep_their_boundaries(
        requests in vec(request(), 1..6),
        cuts in vec(any::<Index>(), 0..10),
    ) {
        let stream: Vec<u8> = requests.iter().flat_map(|sent| sent.wire.clone()).collect();
        let found = replay(pieces(&stream, places(&stream, &cuts)), &Limits::default());
        prop_assert_eq!(found.rest, Rest::Nothing);
        prop_assert_eq!(found.requests.len(), requests.len());
        found.requests.iter().zip(&requests).for_each(|(found, sent)| check_received(found, sent));
    }

    #[test]
    fn what_follows_a_request_does_not_change_it(
        sent in request(),
        tail in prop_oneof![3 => words(), 1 => vec(any::<u8>(), 0..60)],
        cuts in vec(any::<Index>(), 0..10),
    ) {
        let stream = [&sent.wire[..], &tail].concat();
        let found = replay(pieces(&stream, places(&stream, &cuts)), &Limits::default());
        check_received(&found.requests[0], &sent);
        prop_assert_eq!(found.requests[0].taken, sent.wire.len());
    }

    #[test]
    fn a_limit_refuses_and_changes_nothing_else(stream in words()) {
        let small = replay([&stream[..]], &small_limits());
        let large = replay([&stream[..]], &Limits::default());
        for (small, large) in small.requests.iter().zip(&large.requests) {
            prop_assert_eq!(small.head.head.target(), large.head.head.target());
            prop_assert!(!small.complete || small.body == large.body && small.taken == large.taken);
        }
        prop_assert!(small.requests.len() <= large.requests.len());
    }

    #[test]
    fn what_came_before_a_request_does_not_change_it(
        requests in similar_requests(),
        cuts in vec(any::<Index>(), 0..10),
    ) {
        let stream = requests.concat();
        let pieces = pieces(&stream, places(&stream, &cuts));
        let remembering = replay(pieces.iter().copied(), &small_limits());
        let forgetting = replay_forgetting(pieces, &small_limits());
        prop_assert!(forgetting.requests.iter().all(|found| !found.head.head.headers().is_repeated()));
        prop_assert_eq!(transcript(&remembering), transcript(&forgetting));
    }

    #[test]
    fn chunks_of_the_encoder_are_read_by_the_decoder(
        blocks in vec(vec(any::<u8>(), 0..300), 0..6),
        cuts in vec(any::<Index>(), 0..10),
    ) {
        let mut stream = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let mut encoder = ResponseEncoder::new(&RequestHead::builder("GET", "/").build());
        let head = ResponseHead::new(200, b"OK").expect("a valid status");
        let date = HttpDate::new(SystemTime::UNIX_EPOCH);
        encoder.head(&head, BodyLength::Unknown, &date, b"test", &mut Vec::new());
        put_blocks(&mut encoder, &blocks, &mut stream);
        stream.extend_from_slice(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
        let found = replay(pieces(&stream, places(&stream, &cuts)), &Limits::default());
        prop_assert_eq!(found.rest, Rest::Nothing);
        prop_assert_eq!(&found.requests[0].body, &blocks.concat());
        prop_assert_eq!(found.requests[1].head.head.target(), b"/b");
    }

    #[test]
    fn no_bytes_of_an_application_split_a_response(
        reason in splitting(),
        fields in vec((prop_oneof!["[A-Za-z-]{1,6}".prop_map(String::into_bytes), splitting()], splitting()), 0..4),
    ) {
        let mut head = ResponseHead::new(200, &reason).or(ResponseHead::new(200, b"OK")).expect("a valid status");
        let taken: Vec<_> =
            fields.iter().filter(|(name, value)| head.append(name, value).is_ok()).collect();
        let mut wire = Vec::new();
        let mut encoder = ResponseEncoder::new(&RequestHead::builder("GET", "/").build());
        encoder.head(&head, BodyLength::Known(0), &HttpDate::new(SystemTime::UNIX_EPOCH), b"test", &mut wire);
        let text = wire.strip_suffix(b"\r\n\r\n").expect("an empty line ends the head");
        let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).collect();
        prop_assert_eq!(count_of(b'\n', text), count_of(b'\r', text), "{}", text.escape_ascii());
        prop_assert!(lines.iter().all(|line| !line.is_empty()), "an empty line within {}", text.escape_ascii());
        // Our own: the status, Server, Date and Content-Length. An application may replace the last three.
        prop_assert!(lines.len() <= taken.len() + 4, "{} lines in {}", lines.len(), text.escape_ascii());
    }

    #[test]
    fn a_response_is_read_back_as_it_was_written(exchange in exchange()) {
        let (wire, after) = exchange.encode();
        let read = Read::response(&wire, exchange.method == "HEAD");
        prop_assert_eq!(read.status, exchange.status);
        prop_assert_eq!(&read.reason, &exchange.reason);
        prop_assert_eq!(&read.body, &exchange.expected_body());
        let own: Vec<_> = read.fields.iter().filter(|(name, _)| name.starts_with("X-")).cloned().collect();
        prop_assert_eq!(&own, &exchange.fields);
        prop_assert_eq!(read.keeps_alive, after == AfterResponse::KeepAlive);
        prop_assert!(!(read.ends_with_close && read.keeps_alive), "only a close ends this body");
        prop_assert_eq!(read.rest, 0, "bytes behind the response");
    }
}

/// Bytes of which some would end a line, or a head.
fn splitting() -> impl Strategy<Value = Vec<u8>> {
    let bits =
        select(vec!["\r", "\n", "\r\n", "\r\n\r\n", "\0", "\t", " ", ":", "a", "Set-Cookie: a=b", "\u{10d}"]);
    let bit = prop_oneof![4 => bits.prop_map(|text| text.as_bytes().to_vec()), 1 => vec(any::<u8>(), 1..4)];
    vec(bit, 0..4).prop_map(|bits| bits.concat())
}

fn count_of(byte: u8, text: &[u8]) -> usize {
    text.iter().filter(|&&found| found == byte).count()
}

/// Appends the body in `blocks` and its end to `wire`.
fn put_blocks(encoder: &mut ResponseEncoder, blocks: &[Vec<u8>], wire: &mut Vec<u8>) -> AfterResponse {
    for block in blocks {
        let frame = encoder.block(block.len() as u64);
        wire.extend_from_slice(frame.prefix());
        wire.extend_from_slice(&block[..frame.take as usize]);
        wire.extend_from_slice(frame.suffix);
    }
    let (end, after) = encoder.finish().expect("every byte was sent");
    wire.extend_from_slice(end);
    after
}

/// A request and the response that an application makes to it.
#[derive(Clone, Debug)]
struct Exchange {
    method: &'static str,
    version: Version,
    connection: Option<&'static str>,
    status: u16,
    reason: String,
    fields: Vec<(String, String)>,
    own_length: bool,
    known_length: bool,
    blocks: Vec<Vec<u8>>,
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let request = (
        select(vec!["GET", "HEAD", "POST"]),
        select(vec![Version::Http10, Version::Http11]),
        select(vec![None, Some("close"), Some("keep-alive"), Some("x, Keep-Alive")]),
    );
    let field = ("X-[A-Za-z0-9_]{0,8}", "([!-~]([ -~]{0,10}[!-~])?)?");
    let head =
        (prop_oneof![200u16..1000, select(vec![200, 204, 205, 304])], "[A-Za-z ]{0,10}", vec(field, 0..4));
    let body = (any::<bool>(), any::<bool>(), vec(vec(any::<u8>(), 0..300), 0..5));
    (request, head, body).prop_map(
        |((method, version, connection), (status, reason, fields), (own_length, known_length, blocks))| {
            Exchange { method, version, connection, status, reason, fields, own_length, known_length, blocks }
        },
    )
}

impl Exchange {
    fn encode(&self) -> (Vec<u8>, AfterResponse) {
        let mut request = RequestHead::builder(self.method, "/").version(self.version);
        if let Some(value) = self.connection {
            request = request.header("Connection", value);
        }
        let len: usize = self.blocks.iter().map(Vec::len).sum();
        let mut head = ResponseHead::new(self.status, self.reason.as_bytes()).expect("a valid status");
        for (name, value) in &self.fields {
            head.append(name.as_bytes(), value.as_bytes()).expect("a valid field");
        }
        if self.own_length {
            head.append(b"Content-Length", len.to_string().as_bytes()).expect("a number");
        }
        let length = if self.known_length { BodyLength::Known(len as u64) } else { BodyLength::Unknown };
        let mut encoder = ResponseEncoder::new(&request.build());
        let mut wire = Vec::new();
        encoder.head(&head, length, &HttpDate::new(SystemTime::UNIX_EPOCH), b"test", &mut wire);
        let after = put_blocks(&mut encoder, &self.blocks, &mut wire);
        (wire, after)
    }

    fn expected_body(&self) -> Vec<u8> {
        let has_none = self.method == "HEAD" || matches!(self.status, 204 | 205 | 304);
        if has_none { Vec::new() } else { self.blocks.concat() }
    }
}
