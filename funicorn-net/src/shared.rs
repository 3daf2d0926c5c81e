//! What do all threads of a worker share? The service, the poller, the two rights, and what finished calls report.

use std::io;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use funicorn_http::{HttpDate, Limits, Service};

use crate::attention::Attention;
use crate::config::WorkerConfig;
use crate::connection::Connection;
use crate::control::{Order, StopHandle};
use crate::fork_guard;
use crate::observer::Observer;
use crate::poller::{Batch, Poller, Seat};
use crate::refusals::Refusals;
use crate::rights::Rights;
use crate::spool::Spool;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// How the worker stands towards new work. Only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Everything is served.
    Serving = 0,
    /// Requests in flight are finished, and each response is the last of its connection.
    Draining = 1,
    /// Nothing is waited for.
    Ending = 2,
}

/// What becomes of a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request may come.
    KeepAlive,
    /// What is pending leaves, then the connection closes.
    Close,
    /// What is pending is dropped, and the peer sees a reset.
    Reset,
}

impl After {
    /// The same when the worker is ending, and no request follows.
    pub(crate) fn at_the_end(self) -> Self {
        if self == Self::KeepAlive { Self::Close } else { self }
    }
}

/// A response has ended; told to the loop by whoever ended it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) seat: Seat,
    pub(crate) after: After,
}

/// See the module.
pub(crate) struct Shared {
    pub(crate) service: Arc<dyn Service>,
    pub(crate) config: WorkerConfig,
    pub(crate) limits: Arc<Limits>,
    pub(crate) spool: Spool,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) poller: Arc<Poller>,
    pub(crate) rights: Rights,
    pub(crate) attention: Attention,
    /// For the service, which may ask to stop.
    stop: StopHandle,
    pub(crate) refusals: Refusals,
    completions: Mutex<Vec<Completion>>,
    /// Whether there are any. Changed under their lock, and asked without it several times a request.
    has_completions: AtomicBool,
    /// Connections with gathered output, which the understudy flushes at its next tick.
    gathered: Mutex<Vec<Weak<Connection>>>,
    /// Whether responses that are whole are to be left to the end of the loop's turn.
    batching: AtomicBool,
    /// The holder of the I/O role waits, or is about to: who gives it work must wake it.
    waiting: AtomicBool,
    stage: AtomicU8,
    /// Calls of the service that are running now.
    in_flight: AtomicUsize,
    /// The last `Date` that was made, and the second that it says.
    date: Mutex<(u64, HttpDate)>,
}

impl Shared {
    pub(crate) fn new(
        service: Arc<dyn Service>,
        config: WorkerConfig,
        observer: Option<Arc<dyn Observer>>,
        poller: Poller,
        stop: StopHandle,
    ) -> io::Result<Self> {
        Ok(Self {
            attention: Attention::new(config.threads, &*service)?,
            stop,
            service,
            limits: Arc::new(config.limits.request.clone()),
            spool: Spool::new(config.spool_dir.clone(), &config.limits),
            config,
            observer,
            poller: Arc::new(poller),
            rights: Rights::default(),
            refusals: Refusals::default(),
            completions: Mutex::default(),
            has_completions: AtomicBool::new(false),
            gathered: Mutex::default(),
            batching: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            stage: AtomicU8::new(Stage::Serving as u8),
            in_flight: AtomicUsize::new(0),
            date: Mutex::new((0, HttpDate::new(SystemTime::UNIX_EPOCH))),
        })
    }

    /// Runs `wait`, which may block, while the service lets go of what the calling thread holds.
    pub(crate) fn blocking(&self, mut wait: impl FnMut()) {
        self.service.blocking(&mut wait);
    }

    /// Runs `act`, a quick system call. While another call is running the service lets go meanwhile: a thread that
    /// comes back from a wait would otherwise be kept out for a switch interval of the interpreter, 5 ms.
    pub(crate) fn unheld(&self, mut act: impl FnMut()) {
        if self.in_flight() > 1 { self.blocking(act) } else { act() }
    }

    /// Has the service do what has come up outside of its calls, and stops the worker if it says so. On the thread that runs the
    /// worker, which must not have the I/O role in hand: a signal handler may take long.
    pub(crate) fn attend(&self) {
        self.attention.begin();
        if self.service.attend().is_break() {
            self.stop.stop(Order::StopGracefully);
        }
        fork_guard::exit_if_forked();
    }

    /// Counts a call of the service for as long as `call` runs.
    pub(crate) fn counted(&self, call: impl FnOnce()) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        call();
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a response that is whole need not be written by the thread that made it: the loop is about to call the service
    /// for others, and then to write them all.
    pub(crate) fn is_batching(&self) -> bool {
        // A hint: what is gathered is flushed whether others have seen it or not.
        self.batching.load(Ordering::Relaxed)
    }

    pub(crate) fn set_batching(&self, batching: bool) {
        self.batching.store(batching, Ordering::Relaxed);
    }

    /// How many calls are running.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Reports the end of a response to the holder of the I/O role. It is to be woken for that if `is_urgent` says so, which is
    /// asked after the report can be found.
    pub(crate) fn complete(&self, completion: Completion, is_urgent: impl FnOnce() -> bool) {
        let mut completions = self.completions.lock().unwrap_or_else(PoisonError::into_inner);
        completions.push(completion);
        self.has_completions.store(true, Ordering::SeqCst);
        drop(completions);
        if is_urgent() {
            self.wake_waiting();
        }
    }

    /// Moves all reports into `taken`.
    pub(crate) fn take_completions(&self, taken: &mut Vec<Completion>) {
        if self.has_completions() {
            let mut completions = self.completions.lock().unwrap_or_else(PoisonError::into_inner);
            self.has_completions.store(false, Ordering::SeqCst);
            taken.append(&mut completions);
        }
    }

    /// Has the understudy flush `connection` at its next tick. Only while the role is lent, for only then it ticks.
    pub(crate) fn flush_soon(&self, connection: &Arc<Connection>) {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(connection));
    }

    /// Ends what has lasted for a tick of the understudy: flushes what [`flush_soon`](Self::flush_soon) was asked for, and has the
    /// loop look at its batch before the next call.
    pub(crate) fn flush_gathered(&self) {
        self.set_batching(false);
        let gathered = std::mem::take(&mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in gathered.iter().filter_map(Weak::upgrade) {
            // What is left over waits for an event, and a broken connection is noticed by whoever uses it next.
            connection.flush(usize::MAX);
        }
    }

    /// Asks the poller for events, and waits for some up to `timeout`.
    pub(crate) fn ask_poller(&self, batch: &mut Batch, timeout: Option<Duration>) {
        match self.poller.wait(batch, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.attention.ask(),
            // Only a bug of ours makes epoll fail; a loop that goes round is still better than a dead worker.
            Err(error) => log::error!("waiting for events failed: {error}"),
        }
    }

    /// Wakes the holder of the I/O role if it waits. Call it after the work to be found has been stored.
    pub(crate) fn wake_waiting(&self) {
        // Pairs with `wait_for_events`, all four accesses being in one order (or under one lock): either the waiter sees the work,
        // or we see that it waits.
        if self.waiting.load(Ordering::SeqCst) {
            self.poller.wake();
        }
    }

    /// Waits for events up to `timeout`, or only asks for them if a response has ended or there `is_work`, which is asked once the
    /// wait has been announced to [`wake_waiting`](Self::wake_waiting).
    pub(crate) fn wait_for_events(
        &self,
        batch: &mut Batch,
        timeout: Option<Duration>,
        is_work: impl FnOnce() -> bool,
    ) {
        self.waiting.store(true, Ordering::SeqCst);
        let timeout = if self.has_completions() || is_work() { Some(Duration::ZERO) } else { timeout };
        self.ask_poller(batch, timeout);
        // Who sees that late wakes once too often.
        self.waiting.store(false, Ordering::Release);
    }

    /// Whether a response has ended that the loop has not seen.
    pub(crate) fn has_completions(&self) -> bool {
        self.has_completions.load(Ordering::SeqCst)
    }

    /// The worker has stopped: every thread of it is to end.
    pub(crate) fn stop(&self) {
        self.rights.stop();
        self.attention.ask();
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Draining,
            _ => Stage::Ending,
        }
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
    }

    /// The `Date` of now, made anew once a second.
    pub(crate) fn date(&self) -> HttpDate {
        let now = SystemTime::now();
        let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut date = self.date.lock().unwrap_or_else(PoisonError::into_inner);
        if date.0 != second {
            *date = (second, HttpDate::new(now));
        }
        date.1
    }
}
