//! Replays the corpus of streams in `tests/wire`: one outcome however the bytes are split.

mod corpus;
mod replay;

use std::path::Path;

use corpus::{Case, corpus};
use replay::{pieces, replay, transcript};

/// What came of the stream in these pieces, without what the file says nothing about.
fn outcome<'a>(case: &Case, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let found = transcript(&replay(pieces, &case.limits));
    let compared = |line: &&str| {
        let optional = ["path ", "query ", "field "].iter().find(|kind| line.starts_with(**kind));
        optional.is_none_or(|kind| case.expected.iter().any(|line| line.starts_with(*kind)))
    };
    found.lines().filter(compared).map(str::to_string).collect()
}

/// Says so when the whole stream leads to anything but what its file expects.
fn unexpected(case: &Case) -> Option<String> {
    let found = outcome(case, [&case.stream[..]]);
    (found != case.expected).then(|| format!("{}: {found:?}, not {:?}", case.name, case.expected))
}

fn check<'a>(case: &Case, how: &str, pieces: impl IntoIterator<Item = &'a [u8]>) {
    assert_eq!(outcome(case, pieces), case.expected, "{}, {how}", case.name);
}

/// A generator of numbers that look random and are the same in each run (xorshift).
fn random(seed: &mut u64) -> usize {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed as usize
}

#[test]
fn one_outcome_however_the_bytes_are_split() {
    let cases = corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire"));
    assert!(cases.len() >= 560, "the corpus has {} files", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(unexpected).collect();
    assert!(wrong.is_empty(), "{} files have another outcome:\n{}", wrong.len(), wrong.join("\n"));
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    for case in &cases {
        let stream = &case.stream[..];
        check(case, "line by line", stream.split_inclusive(|&byte| byte == b'\n'));
        check(case, "byte by byte", stream.chunks(1));
        for _ in 0..20 {
            let cuts: Vec<usize> =
                (0..random(&mut seed) % 8).map(|_| random(&mut seed) % (stream.len() + 1)).collect();
            check(case, &format!("cut at {cuts:?}"), pieces(stream, cuts));
        }
    }
}
