//! The adapter against small Python applications: one test per duty of PEP 3333 and branch of the adapter.
#![allow(missing_docs, clippy::unwrap_used, reason = "test")]

mod call;
mod common;
mod departures;
mod environ;
mod file_wrapper;
mod input;
mod iterable;
mod loading;
mod pool;
mod proxies;
mod start_response;
