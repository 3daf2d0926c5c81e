//! The network server.

mod address;
mod config;
mod connection;
mod control;
pub mod fork_guard;
mod io;
mod lifecycle;
mod listener;
mod observer;
mod outbox;
mod peer;
mod poller;
mod rights;
mod shared;
mod signals;
mod sink;
mod spool;
mod supervisor;
mod transport;
mod worker;

pub use address::{BindAddress, ParseAddressError};
pub use config::{Deadlines, WorkerConfig};
pub use control::{Control, Order, ReadyNotice, StopHandle};
pub use lifecycle::Lifecycle;
pub use listener::{BACKLOG, BindError, Listener};
pub use observer::{Exchange, Observer};
pub use signals::{Arrived, Signals};
pub use supervisor::{Ending, SuperviseError, Supervisor, SupervisorConfig, WorkerContext};
pub use worker::Worker;
