//! When does the service get the attention of the thread that runs the worker? (See [`Service::attend`].)
//!
//! An interpreter runs signal handlers on its main thread only, and that one may be waiting. Two things tell that a handler is due:
//! a signal interrupts the thread's wait, or the descriptor that the interpreter writes to when a signal comes
//! ([`Control::attend_to`](crate::Control::attend_to)) becomes readable, which whoever has the I/O role notices. The second misses
//! nothing that comes between two waits; the first works if an application has taken that descriptor for itself.
//!
//! With one application thread, the thread that runs the worker is that thread, and attends between calls. With several the
//! service may want it for nothing else ([`Service::attends_apart`]): then it waits for a *bell*.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use funicorn_http::Service;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::fork_guard;
use crate::sync::atomic::{AtomicBool, Ordering};

/// See the module.
pub(crate) struct Attention {
    attendant: Attendant,
    is_due: AtomicBool,
}

/// What the thread that runs the worker does beside attending.
enum Attendant {
    /// It calls, and attends in between.
    BetweenCalls,
    /// Nothing. The eventfd is its bell.
    Apart(OwnedFd),
    /// It calls as others do, and the service asks for no attention.
    Nobody,
}

impl Attention {
    /// For a worker with so many application threads.
    pub(crate) fn new(threads: usize, service: &dyn Service) -> io::Result<Self> {
        let attendant = if threads <= 1 {
            Attendant::BetweenCalls
        } else if service.attends_apart() {
            let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            fork_guard::watch(bell.as_fd());
            Attendant::Apart(bell)
        } else {
            Attendant::Nobody
        };
        Ok(Self { attendant, is_due: AtomicBool::new(false) })
    }

    /// Whether the thread that runs the worker does nothing but attend.
    pub(crate) fn is_apart(&self) -> bool {
        matches!(self.attendant, Attendant::Apart(_))
    }

    /// Has the service attended to. From any thread.
    pub(crate) fn ask(&self) {
        self.is_due.store(true, Ordering::Release);
        if let Attendant::Apart(bell) = &self.attendant {
            // An eventfd that is full is readable already.
            let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
        }
    }

    /// Whether the only application thread is to attend before its next call.
    pub(crate) fn is_due_between_calls(&self) -> bool {
        self.is_due.load(Ordering::Relaxed) && self.is_between_calls()
    }

    /// Whether it is the only application thread that attends.
    pub(crate) fn is_between_calls(&self) -> bool {
        matches!(self.attendant, Attendant::BetweenCalls)
    }

    /// Takes note that the calling thread attends now.
    pub(crate) fn begin(&self) {
        self.is_due.store(false, Ordering::Release);
    }

    /// Waits until the bell rings or a signal interrupts. Does not wait where there is no bell.
    pub(crate) fn wait(&self) {
        let Attendant::Apart(bell) = &self.attendant else { return };
        match poll(&mut [PollFd::new(bell, PollFlags::IN)], None) {
            Ok(_) => crate::signals::drain(bell.as_fd()),
            Err(Errno::INTR) => {}
            Err(error) => log::error!("waiting for signals failed: {error}"),
        }
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        if let Attendant::Apart(bell) = &self.attendant {
            fork_guard::unwatch(bell.as_raw_fd());
        }
    }
}
