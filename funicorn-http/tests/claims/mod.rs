//! What must hold for any stream of bytes? Shared by the property tests and the fuzz targets, so that both ask the same.

mod reference;

use funicorn_http::Limits;

use crate::replay::{Replay, pieces, replay, transcript};

/// Small enough to be met by chance.
pub(crate) fn small_limits() -> Limits {
    let mut limits = Limits::default();
    limits.request_line = 40;
    limits.header_field = 40;
    limits.header_count = 6;
    limits.head = 120;
    limits.body = 40;
    limits.chunk_extension = 6;
    limits.trailers = 30;
    limits
}

/// Replays `stream` whole, cut at `cuts` and byte by byte: one outcome, in bounded memory, and what is accepted is
/// strictly valid and ends where a second reader says that it ends. Returns what came of it.
pub(crate) fn check(stream: &[u8], cuts: &[usize], limits: &Limits) -> Replay {
    let whole = replay([stream], limits);
    let words = transcript(&whole);
    assert_eq!(words, transcript(&replay(pieces(stream, cuts.iter().copied()), limits)), "cut at {cuts:?}");
    let single = replay(stream.chunks(1), limits);
    assert_eq!(words, transcript(&single), "byte by byte");
    // A line may have had its CR, or the section its last CRLF but one, when the limit is met.
    let bound = limits.head.max(limits.trailers) + 3;
    assert!(single.most_kept <= bound, "{} bytes were kept, the limit is {bound}", single.most_kept);
    check_boundaries(stream, &whole, limits);
    whole
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
