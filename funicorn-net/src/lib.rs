//! The network server: it moves bytes between sockets and any [`Service`](funicorn_http::Service). It knows no Python.
//!
//! Read it from the outside in:
//!
//! 1. [`BindAddress`], [`Listener`]: where connections come from.
//! 2. [`Supervisor`]: the process that forks workers, replaces the dead and ends last. [`Lifecycle`] is told about it.
//! 3. [`Worker`]: one server in one process. [`WorkerLimits`] and [`Deadlines`] bound its memory and its time.
//! 4. [`Control`]: what tells a worker to stop: [`Signals`], its supervisor, or a [`StopHandle`].
//! 5. [`Observer`]: who is told about each exchange.
//!
//! Inside a worker, `worker.rs` has the life of the threads, `rights.rs` who may poll and who may call, `io.rs` the loop,
//! `peer.rs` one connection in it, and `outbox.rs` the way out.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use funicorn_http::{BodyLength, Request, ResponseHead, ResponseWriter, Service};
//! use funicorn_net::{BACKLOG, Control, Listener, Signals, Worker, WorkerConfig};
//!
//! struct Hello;
//!
//! impl Service for Hello {
//!     fn call(&self, _request: Request, mut response: ResponseWriter) {
//!         let head = ResponseHead::new(200, b"OK").expect("a valid status");
//!         // An error means that the client has gone; there is nobody left to tell.
//!         let _ = response
//!             .start(head, BodyLength::Known(5))
//!             .and_then(|()| response.send(b"hello"))
//!             .and_then(|()| response.finish());
//!     }
//! }
//!
//! let listeners = Listener::bind(&"127.0.0.1:8000".parse()?, BACKLOG)?;
//! let control = Control::new(Some(Signals::install(false)?))?;
//! Worker::new(listeners, Arc::new(Hello), WorkerConfig::default(), control, None)?.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg_attr(funicorn_model, path = "model/acceptor.rs")]
mod acceptor;
mod address;
mod arriving;
mod attention;
mod bound;
mod budget;
mod call;
mod config;
mod connection;
mod control;
mod descriptors;
pub mod fork_guard;
mod io;
mod lifecycle;
mod listener;
#[cfg(all(test, funicorn_model))]
mod model;
mod observer;
mod origin;
mod outbox;
mod overflow;
mod pace;
mod peer;
mod peers;
mod poller;
mod refusals;
mod rights;
mod shared;
mod signals;
mod sink;
mod spool;
mod supervisor;
mod sync;
#[cfg_attr(funicorn_model, path = "model/thread_state.rs")]
mod thread_state;
#[cfg_attr(funicorn_model, path = "model/transport.rs")]
mod transport;
#[cfg(not(funicorn_model))]
mod unacknowledged;
mod worker;

pub use address::{BindAddress, ParseAddressError};
pub use bound::Bound;
pub use config::{Deadlines, WorkerConfig, WorkerLimits};
pub use control::{Control, Order, ReadyNotice, StopHandle};
pub use descriptors::raise_descriptor_limit;
pub use lifecycle::Lifecycle;
pub use listener::{BACKLOG, BindError, Listener};
pub use observer::{Exchange, Observer};
pub use signals::{Arrived, Signals};
pub use supervisor::{Ending, SuperviseError, Supervisor, SupervisorConfig, WorkerContext};
pub use worker::Worker;

/// The README's example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are the chapter's.
#[cfg(doctest)]
#[doc = include_str!("../../docs/book/1-network.md")]
struct Chapter;
