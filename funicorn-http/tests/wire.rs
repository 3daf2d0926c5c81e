//! Replays the corpus of streams in `tests/wire`: one outcome however the bytes are split.

mod corpus;
mod replay;

use std::path::Path;

use corpus::{Case, corpus};
use replay::{pieces, replay, transcript};

/// Replays the stream in these pieces and compares.
fn check<'a>(case: &Case, how: &str, pieces: impl IntoIterator<Item = &'a [u8]>) {
    let found = transcript(&replay(pieces, &case.limits));
    let compared = |line: &&str| {
        let optional = ["path ", "query ", "field "].iter().find(|kind| line.starts_with(**kind));
        optional.is_none_or(|kind| case.expected.iter().any(|line| line.starts_with(*kind)))
    };
    let found: Vec<&str> = found.lines().filter(compared).collect();
    assert_eq!(found, case.expected, "{}, {how}", case.name);
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
    assert!(cases.len() >= 200, "the corpus has {} files", cases.len());
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    for case in &cases {
        let stream = &case.stream[..];
        check(case, "whole", [stream]);
        check(case, "line by line", stream.split_inclusive(|&byte| byte == b'\n'));
        check(case, "byte by byte", stream.chunks(1));
        for _ in 0..20 {
            let cuts: Vec<usize> =
                (0..random(&mut seed) % 8).map(|_| random(&mut seed) % (stream.len() + 1)).collect();
            check(case, &format!("cut at {cuts:?}"), pieces(stream, cuts));
        }
    }
}
