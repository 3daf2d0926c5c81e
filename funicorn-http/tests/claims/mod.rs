//! What must hold for any stream of bytes? Shared by the property tests and the fuzz targets, so that both ask the same.

mod limits;
mod reference;

use funicorn_http::Limits;
pub(crate) use limits::small_limits;

use crate::replay::{Replay, pieces, replay, transcript};

/// Replays `stream` whole, cut at `cuts` and byte by byte: one outcome, in bounded memory, and what is accepted is
/// strictly valid and ends where a second reader says that it ends. Returns what came of it.
pub(crate) fn check(stream: &[u8], cuts: &[usize], limits: &Limits) -> Replay {
    let whole = replay([stream], limits);
    let words = transcript(&whole);
    let cut = replay(pieces(stream, cuts.iter().copied()), limits);
    assert_eq!(words, transcript(&cut), "cut at {cuts:?}");
    let single = replay(stream.chunks(1), limits);
    assert_eq!(words, transcript(&single), "byte by byte");
    let bound = limits::most_kept(limits);
    for found in [&whole, &cut, &single] {
        assert!(found.most_kept <= bound, "{} bytes were kept, the limit is {bound}", found.most_kept);
    }
    check_boundaries(stream, &whole, limits);
    whole
}

/// Places to cut `stream`, which look random and follow from its bytes alone, so that a finding can be played again.
#[allow(dead_code, reason = "the property tests draw their own")]
pub(crate) fn some_cuts(stream: &[u8]) -> Vec<usize> {
    let step = |seed: u64, byte: u8| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut seed = stream.iter().fold(0xcbf2_9ce4_8422_2325, |seed, &byte| step(seed, byte));
    let cuts = seed % 8;
    let mut cut = || {
        seed = step(seed, 1);
        (seed >> 20) as usize % (stream.len() + 1)
    };
    (0..cuts).map(|_| cut()).collect()
}

fn check_boundaries(stream: &[u8], found: &Replay, limits: &Limits) {
    let mut start = 0;
    for request in &found.requests {
        assert!(request.body.len() as u64 <= limits.body, "a body of {} bytes", request.body.len());
        if !request.complete {
            break;
        }
        let rest = &stream[start..];
        let read = reference::read(rest).unwrap_or_else(|| panic!("accepted: {}", rest.escape_ascii()));
        assert_eq!(request.head.head.method(), read.method);
        assert_eq!(request.head.head.target(), read.target);
        assert_eq!(request.body, read.body);
        assert_eq!(request.taken - start, read.len, "the boundary behind {}", rest.escape_ascii());
        start = request.taken;
    }
}
