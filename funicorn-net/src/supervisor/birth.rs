//! How does a worker come into the world? By a fork, after which it gives up all that is its supervisor's.

use std::io;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fork::{Forked, fork};
use super::worker_process::WorkerProcess;
use super::{Supervisor, WorkerContext};
use crate::signals::Blocked;
use crate::{Control, ReadyNotice, fork_guard};

/// The exit code of a worker that panicked, or could not begin.
const FAILED: i32 = 1;

impl Supervisor {
    /// Starts a worker in every place where one is due.
    pub(super) fn start_due(&mut self, worker: &mut dyn FnMut(WorkerContext) -> i32) {
        let now = Instant::now();
        for index in 0..self.places.len() {
            if self.places[index].worker.is_none()
                && self.places[index].due <= now
                && let Err(error) = self.start(index, worker)
            {
                let place = &mut self.places[index];
                let pause = place.back_off.after(Duration::ZERO);
                place.due = now + pause;
                log::error!("cannot start a worker: {error}; trying again in {} s", pause.as_secs_f32());
            }
        }
    }

    fn start(&mut self, index: usize, worker: &mut dyn FnMut(WorkerContext) -> i32) -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        self.lifecycle.before_fork();
        // No handler may run in the child before its signals are its own.
        let blocked = Blocked::new();
        match fork_guard::of_our_own(fork) {
            Ok(Forked::Child) => {
                drop(ours);
                self.become_worker(index, theirs, blocked, worker)
            }
            Ok(Forked::Parent(pid)) => {
                let worker = WorkerProcess::new(pid, ours);
                log::debug!("worker {} started", worker.id());
                self.lifecycle.after_fork_parent(Some(worker.id()));
                self.places[index].worker = Some(worker);
                Ok(())
            }
            Err(error) => {
                self.lifecycle.after_fork_parent(None);
                Err(error)
            }
        }
    }

    /// The life of the child. It never returns into the supervisor's code, not even by a panic.
    fn become_worker(
        &mut self,
        index: usize,
        lifeline: UnixStream,
        blocked: Blocked,
        worker: &mut dyn FnMut(WorkerContext) -> i32,
    ) -> ! {
        // The other workers' lifelines, which would hide the supervisor's death from them.
        self.places.clear();
        let code = catch_unwind(AssertUnwindSafe(|| {
            let context = self.worker_context(index, lifeline);
            drop(blocked);
            self.lifecycle.after_fork_child();
            context.map(worker).unwrap_or_else(|error| {
                log::error!("a worker cannot watch its supervisor: {error}");
                FAILED
            })
        }));
        // With C's exit handlers, since libraries that the application has loaded may count on theirs.
        std::process::exit(code.unwrap_or(FAILED));
    }

    fn worker_context(&mut self, index: usize, lifeline: UnixStream) -> io::Result<WorkerContext> {
        let mut signals = self.signals.take();
        if let Some(signals) = &mut signals {
            signals.renew_after_fork()?;
        }
        fork_guard::arm();
        let lifeline = Arc::new(lifeline);
        let control = Control::with_lifeline(signals, Some(Arc::clone(&lifeline)))?;
        Ok(WorkerContext { index, control, ready: ReadyNotice::new(lifeline) })
    }
}
