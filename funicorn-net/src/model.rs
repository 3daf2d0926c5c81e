//! Can a wake-up be lost, a request be stranded, a byte reach the wrong client? A model check of the worker's own code.
//!
//! With `--cfg funicorn_model` the locks, condition variables, atomics and threads of a worker are those of shuttle, which runs
//! the same scenario under thousands of schedules, and a schedule that failed again. The sockets, the poller and the
//! listener are replaced by the [`network`] here, which behaves as the kernel's do in what matters: an edge is told once, a closed number is
//! given to the next connection, a buffer has an end. All between them is what runs in production: `worker.rs`, `rights.rs`, `io.rs`, `peer.rs`,
//! `sink.rs`, `outbox.rs`, `shared.rs`. A wait that nobody ends is a deadlock, which shuttle reports.
//!
//! What it does not try: weak memory orders (shuttle takes every atomic for sequentially consistent), and time. A tick of the
//! understudy comes whenever the scheduler likes, and deadlines never.
//!
//! `scripts/model` runs it.

mod interpreter;
mod network;
mod scenarios;
mod services;

pub(crate) use network::{NETWORK, Poller};
