//! Everything on one connection: heads, bodies, and requests one behind the other.
#![no_main]

#[path = "../../funicorn-http/tests/claims/mod.rs"]
mod claims;
#[path = "../../funicorn-http/tests/replay/mod.rs"]
mod replay;

use funicorn_http::Limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    claims::check(bytes, &claims::some_cuts(bytes), &Limits::default());
    claims::check(bytes, &claims::some_cuts(bytes), &claims::small_limits());
});
