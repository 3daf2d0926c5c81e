//! The beginning of a connection on which a PROXY header is required.
#![no_main]

#[path = "../../funicorn-http/tests/proxy_claims/mod.rs"]
mod proxy_claims;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let third = bytes.len() / 3;
    proxy_claims::check(bytes, &[third, 2 * third]);
});
