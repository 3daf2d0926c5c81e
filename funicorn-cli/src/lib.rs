//! The `funicorn` command as a library: it composes the layers, and that is all it does.
//!
//! From the outside in:
//!
//! 1. [`main`] is the command: [`Config::from_args`] reads the flags, a [`Supervisor`](funicorn_net::Supervisor) keeps
//!    the workers, and each worker serves as a [`Funicorn`] does. Its end is an [`Exit`] code.
//! 2. [`Funicorn`] is a server in the calling process, for programs that are not servers by trade.
//! 3. [`Config`] is everything that can be set; [`Flags`] is how it is typed.
//! 4. [`AccessLog`] is a line per request, [`logging`] everything else that there is to say.
//!
//! What another embedder would want is in the layers below: [`funicorn_net`] serves any
//! [`Service`](funicorn_http::Service), [`funicorn_wsgi`] is one.

mod access_log;
mod base64;
mod clock;
mod command;
mod config;
mod exit;
mod flags;
mod freed_memory;
mod funicorn;
mod gunicorn;
mod limit_flags;
pub mod logging;
mod paths;
mod size;
pub mod version;

pub use access_log::{AccessLog, AccessLogTarget};
pub use command::main;
pub use config::{Config, ConfigError};
pub use exit::Exit;
pub use flags::Flags;
pub use funicorn::{Funicorn, ServeError};

use std::io;
use std::os::fd::BorrowedFd;

/// Writes all of `bytes`, in one write(2) where the system allows: what logs need, so that lines stay whole.
fn write_whole(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The README's example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are the chapter's.
#[cfg(doctest)]
#[doc = include_str!("../../docs/book/4-composition.md")]
struct Chapter;
