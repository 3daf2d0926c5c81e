//! One head: a body would only hide what the head's own bytes do.
#![no_main]

#[path = "../../funicorn-http/tests/claims/mod.rs"]
mod claims;
#[path = "../../funicorn-http/tests/replay/mod.rs"]
mod replay;

use funicorn_http::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let head = &bytes[..end];
    claims::check(head, &claims::some_cuts(head), &Limits::default());
    claims::check(head, &claims::some_cuts(head), &claims::small_limits());
});
