//! What holds for any bytes at all: no panic, bounded memory, one outcome however they are split, and requests and
//! responses that are read back as they were written.

mod claims;
mod replay;

use std::time::SystemTime;

use claims::{check, small_limits};
use funicorn_http::{
    AfterResponse, BodyLength, HttpDate, Limits, RequestHead, ResponseEncoder, ResponseHead, Version,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use replay::{Rest, pieces, replay};

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

/// A request as a well-behaved client writes it: its bytes, its target and its body.
fn request() -> impl Strategy<Value = (Vec<u8>, String, Vec<u8>)> {
    let field = "X-[A-Za-z0-9-]{1,12}: [!-~]{0,20}\r\n";
    let parts = (
        "[A-Z]{1,7}",
        "/[a-z0-9/%?=&]{0,20}",
        vec(field, 0..5),
        vec(any::<u8>(), 0..60),
        vec(1usize..20, 0..6),
        any::<bool>(),
    );
    parts.prop_filter_map("no method or path of its own", |(method, target, fields, body, sizes, chunked)| {
        if method == "CONNECT" || target.contains("%00") {
            return None;
        }
        let mut wire = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{}", fields.concat()).into_bytes();
        if chunked {
            wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            let mut rest = &body[..];
            for len in sizes.into_iter().chain([body.len()]) {
                let (chunk, after) = rest.split_at(len.min(rest.len()));
                rest = after;
                if !chunk.is_empty() {
                    wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                    wire.extend_from_slice(chunk);
                    wire.extend_from_slice(b"\r\n");
                }
            }
            wire.extend_from_slice(b"0\r\n\r\n");
        } else {
            wire.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            wire.extend_from_slice(&body);
        }
        Some((wire, target, body))
    })
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
        let stream: Vec<u8> = requests.iter().flat_map(|(wire, ..)| wire.clone()).collect();
        let found = replay(pieces(&stream, places(&stream, &cuts)), &Limits::default());
        prop_assert_eq!(found.rest, Rest::Nothing);
        prop_assert_eq!(found.requests.len(), requests.len());
        for (found, (_, target, body)) in found.requests.iter().zip(&requests) {
            prop_assert_eq!(found.head.head.target(), target.as_bytes());
            prop_assert_eq!(&found.body, body);
            prop_assert!(found.complete);
        }
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

/// A response as a small client reads it that shares no code with the encoder.
#[derive(Debug)]
struct Read {
    status: u16,
    reason: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    keeps_alive: bool,
    ends_with_close: bool,
    /// Bytes behind the response.
    rest: usize,
}

impl Read {
    fn response(wire: &[u8], to_head: bool) -> Self {
        let mut slots = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Response::new(&mut slots);
        let head_len = parsed.parse(wire).expect("a valid head").unwrap();
        let field = |name: &str| {
            let mut found = parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
            let value = found.next().map(|header| String::from_utf8_lossy(header.value).into_owned());
            assert!(found.next().is_none(), "{name} is said once");
            value
        };
        assert!(field("Server").is_some() && field("Date").is_some());
        let status = parsed.code.expect("a status");
        let (length, coding) = (field("Content-Length"), field("Transfer-Encoding"));
        assert!(length.is_none() || coding.is_none(), "one framing");
        let behind = &wire[head_len..];
        let mut ends_with_close = false;
        let (body, rest) = match (length, coding) {
            _ if to_head || matches!(status, 204 | 304) => (Vec::new(), behind.len()),
            (Some(length), _) => {
                let len: usize = length.parse().expect("a number");
                (behind[..len].to_vec(), behind.len() - len)
            }
            (None, Some(coding)) => {
                assert_eq!(coding, "chunked");
                read_chunks(behind)
            }
            (None, None) => {
                ends_with_close = true;
                (behind.to_vec(), 0)
            }
        };
        Self {
            status,
            reason: parsed.reason.unwrap_or_default().to_string(),
            keeps_alive: field("Connection").as_deref() != Some("close"),
            fields: parsed
                .headers
                .iter()
                .map(|header| (header.name.to_string(), String::from_utf8_lossy(header.value).into_owned()))
                .collect(),
            body,
            ends_with_close,
            rest,
        }
    }
}

/// The body inside well-formed chunks, and how many bytes follow it.
fn read_chunks(mut rest: &[u8]) -> (Vec<u8>, usize) {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|pair| pair == b"\r\n").expect("a size");
        let size = std::str::from_utf8(&rest[..line]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("hexadecimal digits");
        let (chunk, after) = rest[line + 2..].split_at(size);
        assert_eq!(&after[..2], b"\r\n", "a chunk ends in CRLF, and so does the last one");
        body.extend_from_slice(chunk);
        rest = &after[2..];
        if size == 0 {
            return (body, rest.len());
        }
    }
}
