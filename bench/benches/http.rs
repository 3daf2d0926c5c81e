//! What do the layers of HTTP cost? Head, framing, whole requests, responses.
#![allow(missing_docs, reason = "criterion's macros make functions without a word")]
// The readers of heads and the decision about framing are private: the smallest public whole that holds them is the first
// event of a session. `framing` shows what the decision adds by what a body's announcement costs.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use funicorn_bench::{Kind, date, feed};
use funicorn_http::{BodyLength, Event, Limits, RequestHead, ResponseEncoder, ResponseHead, Session};

fn wire(kind: &str) -> Vec<u8> {
    Kind::named(kind).expect("a kind that exists").wire()
}

fn head(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head");
    for kind in ["hello", "browser"] {
        let wire = wire(kind);
        bench_head(&mut group, kind, &wire);
    }
    group.finish();
}

fn framing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("framing");
    let announcements = [
        ("none", "X-Content-Len: 1024"),
        ("length", "Content-Length: 1024"),
        ("chunked", "Transfer-Encoding: chunked"),
    ];
    for (name, line) in announcements {
        let wire = format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
        bench_head(&mut group, name, wire.as_bytes());
    }
    group.finish();
}

/// From bytes to the event that says what the head is and how long the body will be.
fn bench_head(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    wire: &[u8],
) {
    let limits = Arc::new(Limits::default());
    group.bench_function(name, |bencher| {
        bencher.iter_batched_ref(
            || Session::new(Arc::clone(&limits)),
            |session| {
                let event = session.receive(&mut black_box(wire)).expect("a good head");
                assert!(matches!(event, Event::Head(_)));
            },
            BatchSize::SmallInput,
        );
    });
}

fn session(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session");
    for kind in ["hello", "browser", "post1k"] {
        let wire = wire(kind);
        let mut session = Session::new(Arc::new(Limits::default()));
        group.bench_function(kind, |bencher| {
            bencher.iter(|| {
                let request = feed(&mut session, black_box(&wire)).expect("a good request");
                session.next_request();
                request
            });
        });
    }
    group.finish();
}

/// Head, block and end of one response; a hundred blocks in chunks.
fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let request = RequestHead::builder("GET", "/").header("Host", "a").build();
    let (date, mut out) = (date(), Vec::with_capacity(4096));
    for (name, blocks, length) in
        [("small", 1, BodyLength::Known(13)), ("chunked100", 100, BodyLength::Unknown)]
    {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_response(&request, blocks, length, &date, &mut out);
                black_box(&out).len()
            });
        });
    }
    group.finish();
}

fn encode_response(
    request: &RequestHead,
    blocks: usize,
    length: BodyLength,
    date: &funicorn_http::HttpDate,
    out: &mut Vec<u8>,
) {
    const BLOCK: &[u8] = b"Hello, World!";
    let mut head = ResponseHead::new(200, b"OK").expect("a good status");
    head.append(b"Content-Type", b"text/plain").expect("a good header");
    let mut encoder = ResponseEncoder::new(request);
    encoder.head(&head, length, date, b"funicorn", out);
    for _ in 0..blocks {
        let frame = encoder.block(BLOCK.len() as u64);
        out.extend_from_slice(frame.prefix());
        out.extend_from_slice(&BLOCK[..frame.take as usize]);
        out.extend_from_slice(frame.suffix);
    }
    let (end, _after) = encoder.finish().expect("a whole body");
    out.extend_from_slice(end);
}

criterion_group!(benches, head, framing, session, encode);
criterion_main!(benches);
