//! The network server.

mod address;
mod control;
pub mod fork_guard;
mod lifecycle;
mod listener;
mod signals;
mod supervisor;

pub use address::{BindAddress, ParseAddressError};
pub use control::{Control, Order, ReadyNotice, StopHandle};
pub use lifecycle::Lifecycle;
pub use listener::{BACKLOG, BindError, Listener};
pub use signals::{Arrived, Signals};
pub use supervisor::Ending;
