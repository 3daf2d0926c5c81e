//! A worker serves a Rust service over real sockets: no Python, no command.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod attention;
mod exchanges;
mod harness;
mod limits;
mod proxies;
mod slow_readers;
