//! How do new connections come in? Through the listeners in the poller, unless accepting has to pause.
//!
//! When descriptors, memory or places are used up, a listener stays readable and a loop that waits for it would spin. So the
//! listeners leave the poller; clients wait in the kernel's queue until a connection closes, or the next sweep.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use funicorn_http::ConnectionInfo;
use rustix::io::Errno;

use crate::listener::Listener;
use crate::poller::Poller;

/// A server at its limit pauses at every other connection, but need not say so each time.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// What accepting led to.
pub(crate) enum Accepted {
    Connection(OwnedFd, ConnectionInfo),
    /// Nobody has come.
    Nobody,
    /// Somebody has come, but there is no descriptor or memory for the connection.
    Shortage(io::Error),
}

/// The listeners of a worker.
pub(crate) struct Acceptor {
    listeners: Vec<Listener>,
    /// Whether they are in the poller.
    accepting: bool,
    warned_at: Option<Instant>,
}

impl Acceptor {
    /// Listeners that are not in the poller yet.
    pub(crate) fn new(listeners: Vec<Listener>) -> Self {
        Self { listeners, accepting: false, warned_at: None }
    }

    /// How many listeners there are.
    pub(crate) fn len(&self) -> usize {
        self.listeners.len()
    }

    /// Whether there are listeners that wait for better times.
    pub(crate) fn is_paused(&self) -> bool {
        !self.accepting && !self.listeners.is_empty()
    }

    /// Takes one connection from the listener at `index`.
    pub(crate) fn accept(&self, index: usize) -> Accepted {
        let Some(listener) = self.listeners.get(index) else { return Accepted::Nobody };
        loop {
            match listener.accept() {
                Ok((fd, peer)) => {
                    return Accepted::Connection(fd, ConnectionInfo::new(peer, listener.local().clone()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Accepted::Nobody,
                Err(error) if is_shortage(&error) => return Accepted::Shortage(error),
                // This client has gone before we came; there may be another.
                Err(error) => log::debug!("a connection could not be accepted: {error}"),
            }
        }
    }

    /// Takes the listeners out of the poller.
    pub(crate) fn pause(&mut self, poller: &Poller, why: &str) {
        if !self.accepting {
            return;
        }
        if self.warned_at.is_none_or(|at| at.elapsed() >= BETWEEN_WARNINGS) {
            self.warned_at = Some(Instant::now());
            log::warn!("accepting pauses: {why}");
        }
        self.leave(poller);
    }

    /// Puts the listeners into the poller.
    pub(crate) fn resume(&mut self, poller: &Poller) {
        for (index, listener) in self.listeners.iter().enumerate() {
            if let Err(error) = poller.add_listener_exclusive(listener.as_fd(), index as u32) {
                log::error!("a listener could not be added to the poller: {error}");
            }
        }
        self.accepting = true;
    }

    /// Closes the listeners.
    pub(crate) fn close(&mut self, poller: &Poller) {
        if self.accepting {
            self.leave(poller);
        }
        self.listeners.clear();
    }

    fn leave(&mut self, poller: &Poller) {
        self.accepting = false;
        for listener in &self.listeners {
            if let Err(error) = poller.remove(listener.as_fd()) {
                log::error!("a listener could not be taken out of the poller: {error}");
            }
        }
    }
}

/// Whether no descriptor or memory is left for a new connection.
fn is_shortage(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}
