//! What does the adapter cost? Calls of applications, with the sink in memory; and whole requests from bytes to bytes.
#![allow(missing_docs, reason = "criterion's macros make functions without a word")]
// The making of an environ is private: the smallest public whole that holds it is a call of an application that does nothing
// (`call/...`). What a header adds to it is the difference between the calls with few and many headers.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use funicorn_bench::{Connection, KINDS, load, start_python};
use funicorn_http::{RequestHead, Service};

/// A request head with `count` headers that most clients send under the same names.
fn head(count: usize) -> RequestHead {
    let names = (0..count).map(|number| format!("X-Header-{number}"));
    names.fold(RequestHead::builder("GET", "/"), |head, name| head.header(&name, "some value")).build()
}

fn call(criterion: &mut Criterion) {
    let service = load("nothing").expect("apps.py has it");
    let connection = Connection::default();
    let mut group = criterion.benchmark_group("call");
    for count in [0, 1, 16] {
        let head = head(count);
        group.bench_function(format!("{count} headers"), |bencher| {
            service.thread(&mut || {
                bencher.iter(|| {
                    let (request, response) = connection.request(black_box(&head).clone());
                    service.call(request, response);
                });
            });
        });
    }
    group.finish();
}

fn exchange(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange");
    for kind in KINDS {
        let service = load(kind.app).expect("apps.py has it");
        let (wires, mut connection) = (kind.wires(), Connection::default());
        let mut turns = wires.iter().cycle();
        group.bench_function(kind.name, |bencher| {
            service.thread(&mut || {
                bencher.iter(|| {
                    let wire = turns.next().expect("a cycle has no end");
                    connection.exchange(black_box(wire), &service).expect("a good request")
                });
            });
        });
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    let interpreter = start_python().expect("the Python that this was built for");
    call(criterion);
    exchange(criterion);
    interpreter.finalize();
}

criterion_group!(benches, all);
criterion_main!(benches);
