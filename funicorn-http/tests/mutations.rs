//! What holds for streams that are almost valid? Streams of the corpus, changed in a few places: lines and bytes are
//! dropped, doubled, swapped, put in from other streams. These reach far deeper than bytes drawn blindly.

mod claims;
mod corpus;
mod replay;

use std::path::Path;
use std::sync::LazyLock;

use claims::{check, small_limits};
use funicorn_http::Limits;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The short streams of the corpus.
static STREAMS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let cases = corpus::corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire"));
    cases.into_iter().map(|case| case.stream).filter(|stream| stream.len() < 600).collect()
});

/// What two readers have been found to see differently.
const TOKENS: &[&[u8]] = &[
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b"\x0c",
    b"\x7f",
    b"\x85",
    b"\xa0",
    b"\xff",
    b":",
    b";",
    b",",
    b"=",
    b"\"",
    b"\\",
    b"_",
    b"+",
    b"-",
    b"0",
    b"1",
    b"00",
    b"0x",
    b"ff",
    b"chunked",
    b", chunked",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// What is no line's end, but has been taken for one.
const ENDINGS: &[&[u8]] = &[b"\n", b"\r", b"\n\r", b"\r\r\n", b" \r\n", b"\0\r\n", b"XX", b""];

/// One change to a stream.
#[derive(Clone, Debug)]
enum Edit {
    Insert(Index, Vec<u8>),
    Overwrite(Index, u8),
    Remove(Index, usize),
    DoubleLine(Index),
    DropLine(Index),
    SwapLines(Index, Index),
    /// Ends a line in another way.
    EndLine(Index, &'static [u8]),
    /// Goes on with another stream from a place in it.
    Splice(Index, Vec<u8>, Index),
    Append(Vec<u8>),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    let stream = || select(&STREAMS[..]);
    prop_oneof![
        4 => (at(), select(TOKENS)).prop_map(|(at, token)| Edit::Insert(at, token.to_vec())),
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Overwrite(at, byte)),
        2 => (at(), 1usize..4).prop_map(|(at, len)| Edit::Remove(at, len)),
        1 => at().prop_map(Edit::DoubleLine),
        1 => at().prop_map(Edit::DropLine),
        1 => (at(), at()).prop_map(|(one, other)| Edit::SwapLines(one, other)),
        3 => (at(), select(ENDINGS)).prop_map(|(at, ending)| Edit::EndLine(at, ending)),
        1 => (at(), stream(), at()).prop_map(|(at, other, from)| Edit::Splice(at, other, from)),
        1 => stream().prop_map(Edit::Append),
    ]
}

impl Edit {
    fn apply(&self, stream: &mut Vec<u8>) {
        let place = |at: &Index, stream: &[u8]| at.index(stream.len() + 1);
        match self {
            Self::Insert(at, bytes) => {
                let at = place(at, stream);
                stream.splice(at..at, bytes.iter().copied());
            }
            Self::Overwrite(at, byte) if !stream.is_empty() => {
                let at = at.index(stream.len());
                stream[at] = *byte;
            }
            Self::Remove(at, len) => {
                let at = place(at, stream);
                stream.drain(at..(at + len).min(stream.len()));
            }
            Self::Splice(at, other, from) => {
                stream.truncate(place(at, stream));
                stream.extend_from_slice(&other[place(from, other)..]);
            }
            Self::Append(other) => stream.extend_from_slice(other),
            _ => self.apply_to_lines(stream),
        }
    }

    fn apply_to_lines(&self, stream: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> =
            stream.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        match self {
            Self::DoubleLine(at) => {
                let at = at.index(lines.len());
                lines.insert(at, lines[at].clone());
            }
            Self::DropLine(at) => {
                lines.remove(at.index(lines.len()));
            }
            Self::SwapLines(one, other) => {
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
            }
            Self::EndLine(at, ending) => {
                let at = at.index(lines.len());
                if let Some(text) = lines[at].strip_suffix(b"\r\n") {
                    lines[at] = [text, ending].concat();
                }
            }
            _ => {}
        }
        *stream = lines.concat();
    }
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
    fn what_is_almost_a_request_has_one_strict_outcome(
        start in select(&STREAMS[..]),
        edits in vec(edit(), 0..5),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let mut stream = start;
        edits.iter().for_each(|edit| edit.apply(&mut stream));
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        check(&stream, &cuts, &Limits::default());
        check(&stream, &cuts, &small_limits());
    }
}
