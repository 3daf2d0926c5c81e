//! How do new connections come in? Through the listeners in the poller, unless accepting has to pause.
//!
//! When descriptors, memory or places are used up, a listener stays readable and a loop that waits for it would spin. So the
//! listeners leave the poller; clients wait in the kernel's queue until a connection closes, or the next sweep.
//!
//! A worker whose threads are all in calls *stands aside*: a new request would wait behind those calls, although another
//! worker may be idle, and the kernel wakes whoever has waited first. Only when clients go on waiting, because all workers
//! are busy, does it take them in.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use funicorn_http::ConnectionInfo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
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
    standing: Standing,
    /// Events in a row at which somebody had come for each place that was offered.
    run: u32,
    warned_at: Option<Instant>,
}

/// Why the listeners are, or are not, in the poller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Accepting,
    /// Out of the poller until there is room.
    Paused,
    /// Out of the poller in favour of other workers; clients have waited at so many looks in a row.
    Aside {
        waiting: u32,
    },
}

/// How often a worker that stands aside looks whether clients wait.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Looks in a row that have found clients waiting, after which they are taken in.
const PATIENCE: u32 = 5;

impl Acceptor {
    /// Listeners that are not in the poller yet.
    pub(crate) fn new(listeners: Vec<Listener>) -> Self {
        Self { listeners, standing: Standing::Paused, run: 0, warned_at: None }
    }

    /// How many listeners there are.
    pub(crate) fn len(&self) -> usize {
        self.listeners.len()
    }

    /// Whether there are listeners that wait for better times.
    pub(crate) fn is_paused(&self) -> bool {
        self.standing == Standing::Paused && !self.listeners.is_empty()
    }

    /// Whether there are listeners that are left to other workers.
    pub(crate) fn is_aside(&self) -> bool {
        matches!(self.standing, Standing::Aside { .. }) && !self.listeners.is_empty()
    }

    /// Leaves new connections to other workers.
    pub(crate) fn stand_aside(&mut self, poller: &Poller) {
        if self.standing == Standing::Accepting {
            self.leave(poller, Standing::Aside { waiting: 0 });
        }
    }

    /// Accepts again after having stood aside.
    pub(crate) fn come_back(&mut self, poller: &Poller) {
        if self.is_aside() {
            self.resume(poller);
        }
    }

    /// For a worker that stands aside: whether clients have waited in vain for others.
    pub(crate) fn must_help(&mut self) -> bool {
        let Standing::Aside { waiting } = self.standing else { return false };
        let mut sources: Vec<_> =
            self.listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)).collect();
        let somebody_waits = poll(&mut sources, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        let waiting = if somebody_waits { waiting.saturating_add(1) } else { 0 };
        self.standing = Standing::Aside { waiting };
        waiting > PATIENCE
    }

    /// How many connections to take at one event. To look for another when nobody has come costs about half as much as
    /// to take one, since the kernel makes the socket before it looks; and whoever waits is told of again. So it is one, until a
    /// crowd comes: every eighth event of a run doubles it.
    pub(crate) fn appetite(&self) -> usize {
        1 << (self.run / 8).min(6)
    }

    /// Notes whether somebody had come for each place that was offered at an event.
    pub(crate) fn note_event(&mut self, all_taken: bool) {
        self.run = if all_taken { self.run.saturating_add(1) } else { 0 };
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
        if self.standing == Standing::Paused {
            return;
        }
        if self.warned_at.is_none_or(|at| at.elapsed() >= BETWEEN_WARNINGS) {
            self.warned_at = Some(Instant::now());
            log::warn!("accepting pauses: {why}");
        }
        self.leave(poller, Standing::Paused);
    }

    /// Puts the listeners into the poller.
    pub(crate) fn resume(&mut self, poller: &Poller) {
        for (index, listener) in self.listeners.iter().enumerate() {
            if let Err(error) = poller.add_listener_exclusive(listener.as_fd(), index as u32) {
                log::error!("a listener could not be added to the poller: {error}");
            }
        }
        self.standing = Standing::Accepting;
    }

    /// Closes the listeners.
    pub(crate) fn close(&mut self, poller: &Poller) {
        self.leave(poller, Standing::Paused);
        self.listeners.clear();
    }

    fn leave(&mut self, poller: &Poller, standing: Standing) {
        let before = std::mem::replace(&mut self.standing, standing);
        if before != Standing::Accepting {
            return;
        }
        for listener in &self.listeners {
            if let Err(error) = poller.remove_listener(listener.as_fd()) {
                log::error!("a listener could not be taken out of the poller: {error}");
            }
        }
    }
}

/// Whether no descriptor or memory is left for a new connection.
fn is_shortage(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_appetite_grows_with_a_crowd_and_ends_with_it() {
        let mut acceptor = Acceptor::new(Vec::new());
        let mut offered = Vec::new();
        for _ in 0..64 {
            offered.push(acceptor.appetite());
            acceptor.note_event(true);
        }
        assert!(offered[..8].iter().all(|&most| most == 1), "{offered:?}");
        assert!(offered.is_sorted_by(|before, after| after == before || *after == 2 * before), "{offered:?}");
        assert_eq!(offered.last(), Some(&64));
        acceptor.note_event(false);
        assert_eq!(acceptor.appetite(), 1);
    }
}
