//! What does the supervisor know of a worker? Its process id, the lifeline, and whether it has said that it serves.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::Ending;
use crate::Order;
use crate::control::{READY, REOPEN};

/// A worker that has been forked and not yet been waited for, so that its process id is still its own.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    pub(super) pid: Pid,
    pub(super) started: Instant,
    pub(super) is_ready: bool,
    /// `None` once the worker has closed its end.
    lifeline: Option<UnixStream>,
}

impl WorkerProcess {
    pub(super) fn new(pid: Pid, lifeline: UnixStream) -> Self {
        Self { pid, started: Instant::now(), is_ready: false, lifeline: Some(lifeline) }
    }

    /// The process id as programs print it.
    pub(super) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The supervisor's end, readable when the worker has something to say.
    pub(super) fn lifeline(&self) -> Option<BorrowedFd<'_>> {
        self.lifeline.as_ref().map(AsFd::as_fd)
    }

    /// Reads what the worker has said; true when it has just become ready.
    pub(super) fn hear(&mut self) -> bool {
        let was_ready = self.is_ready;
        let mut bytes = [0; 16];
        while let Some(lifeline) = &mut self.lifeline {
            match lifeline.read(&mut bytes) {
                Ok(len) if len > 0 => self.is_ready |= bytes[..len].contains(&READY),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It is about to end; waitpid(2) will tell how.
                _ => self.lifeline = None,
            }
        }
        self.is_ready && !was_ready
    }

    /// Tells the worker to stop: over the lifeline, or by a signal should the application have closed that.
    pub(super) fn order(&mut self, order: Order) {
        let told = self.lifeline.as_mut().map(|lifeline| lifeline.write_all(&[order.to_byte()]));
        if !matches!(told, Some(Ok(()))) {
            let signal = if order == Order::StopGracefully { Signal::TERM } else { Signal::INT };
            self.signal(signal);
        }
    }

    /// Tells the worker to open its log files anew, likewise.
    pub(super) fn reopen(&mut self) {
        let told = self.lifeline.as_mut().map(|lifeline| lifeline.write_all(&[REOPEN]));
        if !matches!(told, Some(Ok(()))) {
            self.signal(Signal::USR1);
        }
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // The only error that can be is that it has ended, which is what we wanted.
        let _ = kill_process(self.pid, signal);
    }

    /// How it has ended, if it has. Afterwards the process id may belong to somebody else.
    pub(super) fn ending(&self) -> Option<Ending> {
        match waitpid(Some(self.pid), WaitOptions::NOHANG) {
            Ok(None) | Err(Errno::INTR) => None,
            Ok(Some((_, status))) => Some(Ending::of(status)),
            Err(_) => Some(Ending::Unseen),
        }
    }
}
