//! How much memory can a stream of any bytes cost? No more than the limits say, counted at the allocator.
//!
//! One test alone in its process: another would allocate beside it.

#[path = "claims/limits.rs"]
mod limits;

use std::sync::Arc;

use funicorn_http::{Event, Limits, Refusal, Session};
use limits::{most_kept, small_limits};
use peak_alloc::PeakAlloc;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes of one arrival, as a server would read them.
const ARRIVAL: usize = 4096;

/// What a stream cost and how it ended.
#[derive(Debug)]
struct Cost {
    /// The most bytes that the session had allocated at one time, what its events own included.
    allocated: usize,
    /// The most bytes that it left with its caller when it asked for more.
    kept: usize,
    refused: Option<Refusal>,
}

/// Feeds `stream` to a session through a buffer that holds what was left and one arrival. Events are dropped at once.
fn feed(stream: &[u8], limits: &Limits) -> Cost {
    let room = most_kept(limits) + ARRIVAL;
    let limits = Arc::new(limits.clone());
    let mut buf = Vec::with_capacity(room);
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let mut session = Session::new(limits);
    let (mut kept, mut refused) = (0, None);
    for arrival in stream.chunks(ARRIVAL) {
        assert!(buf.len() + arrival.len() <= room, "{} bytes wait for more", buf.len());
        buf.extend_from_slice(arrival);
        let mut input = &buf[..];
        refused = loop {
            match session.receive(&mut input) {
                Ok(Event::Incomplete) => break None,
                Ok(Event::End) => session.next_request(),
                Ok(Event::Head(_) | Event::Data(_)) => {}
                Err(refusal) => break Some(refusal),
            }
        };
        if refused.is_some() {
            break;
        }
        let left = input.len();
        kept = kept.max(left);
        buf.drain(..buf.len() - left);
    }
    Cost { allocated: ALLOCATOR.peak_usage().saturating_sub(before), kept, refused }
}

/// What a session may allocate: the head once, for each header line its place and a slot of the parser, and both but for the
/// slots once more for a last section of up to 4 KiB.
fn most_allocated(limits: &Limits) -> usize {
    let last = limits.head.min(4096) + 16 * limits.header_count;
    limits.head + 64 * limits.header_count.max(32) + last + 1024
}

fn check_cost(stream: &[u8], limits: &Limits) -> Cost {
    let cost = feed(stream, limits);
    assert!(cost.allocated <= most_allocated(limits), "{cost:?}");
    assert!(cost.kept <= most_kept(limits), "{cost:?}");
    cost
}

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const LAST: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";

/// What an attacker repeats without end behind a beginning: each is refused, and long before it has cost a limit twice.
const ENDLESS: &[(&str, &str)] = &[
    ("", "\r\n"),
    ("", "A"),
    ("GET /", "a"),
    ("GET / HTTP/1.1", " "),
    (POST, "A"),
    (POST, "A:"),
    (POST, "A: b\r\n"),
    (POST, "A:\r\n"),
    ("POST / HTTP/1.1\r\nHost: a\r\nA: ", " "),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ", "0"),
    (CHUNKED, "0"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", "a"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1", " "),
    (LAST, "A: b\r\n"),
    (LAST, "A"),
];

fn what_never_ends_is_refused() {
    for limits in [Limits::default(), small_limits()] {
        for (beginning, unit) in ENDLESS {
            let stream =
                [beginning.as_bytes(), &unit.as_bytes().repeat(2 * limits.head / unit.len() + 1)].concat();
            let cost = check_cost(&stream, &limits);
            assert!(
                cost.refused.is_some(),
                "{} and {} for ever",
                beginning.escape_debug(),
                unit.escape_debug()
            );
        }
    }
}

/// The counter counts: a head up to its limits costs at least its own bytes.
fn a_large_head_is_counted() {
    let limits = Limits::default();
    let line = format!("A: {}\r\n", "b".repeat(8000));
    let stream = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", line.repeat(8));
    let cost = check_cost(stream.as_bytes(), &limits);
    assert!(cost.refused.is_none() && cost.allocated >= stream.len(), "{cost:?}");
}

/// Streams of words of the protocol, each repeated often enough to meet a limit.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        POST,
        CHUNKED,
        LAST,
        "Content-Length: 9\r\n",
        "A: b\r\n",
        "A:",
        "\r\n",
        "5\r\nhello\r\n",
        "1;a=b\r\na\r\n",
        "0\r\n\r\n",
        "0",
        ";a",
        "a",
        " ",
        "\0",
    ];
    let word = select(words.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    let any_word = prop_oneof![6 => word, 1 => vec(any::<u8>(), 1..4)];
    vec((any_word, prop_oneof![4 => 1..3usize, 1 => 1..3000usize]), 0..8)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, times)| word.repeat(times)).collect())
}

#[test]
fn no_stream_costs_more_memory_than_the_limits() {
    a_large_head_is_counted();
    what_never_ends_is_refused();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(cases));
    let checked = runner.run(&streams(), |stream| {
        check_cost(&stream, &Limits::default());
        check_cost(&stream, &small_limits());
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}
