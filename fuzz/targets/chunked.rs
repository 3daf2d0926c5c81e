//! A chunked body behind a valid head, and what follows it.
#![no_main]

#[path = "../../funicorn-http/tests/claims/mod.rs"]
mod claims;
#[path = "../../funicorn-http/tests/replay/mod.rs"]
mod replay;

use funicorn_http::Limits;
use libfuzzer_sys::fuzz_target;

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fuzz_target!(|bytes: &[u8]| {
    let stream = [HEAD, bytes].concat();
    claims::check(&stream, &claims::some_cuts(&stream), &Limits::default());
    claims::check(&stream, &claims::some_cuts(&stream), &claims::small_limits());
});
