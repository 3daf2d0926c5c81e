//! How do new connections come in? Through the listeners in the poller, unless accepting has to pause.
//!
//! When descriptors, memory or places are used up, a listener stays readable and a loop that waits for it would spin. So the
//! listeners leave the poller; clients wait in the kernel's queue until the next sweep.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use funicorn_http::ConnectionInfo;
use rustix::io::Errno;

use crate::listener::Listener;
use crate::poller::Poller;

/// The listeners of a worker.
pub(crate) struct Acceptor {
    listeners: Vec<Listener>,
    /// Whether they are in the poller.
    accepting: bool,
}

impl Acceptor {
    /// Listeners that are not in the poller yet.
    pub(crate) fn new(listeners: Vec<Listener>) -> Self {
        Self { listeners, accepting: false }
    }

    /// How many listeners there are.
    pub(crate) fn len(&self) -> usize {
        self.listeners.len()
    }

    /// Whether there are listeners that wait for better times.
    pub(crate) fn is_paused(&self) -> bool {
        !self.accepting && !self.listeners.is_empty()
    }

    /// Takes one connection; `None` when there is none now, or no descriptor for it.
    pub(crate) fn accept(&mut self, index: usize, poller: &Poller) -> Option<(OwnedFd, ConnectionInfo)> {
        loop {
            let listener = self.listeners.get(index)?;
            match listener.accept() {
                Ok((fd, peer)) => return Some((fd, ConnectionInfo::new(peer, listener.local().clone()))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if is_shortage(&error) => {
                    self.pause(poller, &error.to_string());
                    return None;
                }
                // This client has gone before we came; there may be another.
                Err(error) => log::debug!("a connection could not be accepted: {error}"),
            }
        }
    }

    /// Takes the listeners out of the poller.
    pub(crate) fn pause(&mut self, poller: &Poller, why: &str) {
        if self.accepting {
            log::warn!("accepting pauses: {why}");
            self.leave(poller);
        }
    }

    /// Puts the listeners into the poller.
    pub(crate) fn resume(&mut self, poller: &Poller) -> io::Result<()> {
        for (index, listener) in self.listeners.iter().enumerate() {
            poller.add_listener_exclusive(listener.as_fd(), index as u32)?;
        }
        self.accepting = true;
        Ok(())
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
