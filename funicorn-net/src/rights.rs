//! Who may poll, and who may call the application? The two rights of a worker, and how they pass from thread to thread.
//!
//! The *I/O role* is the [`Io`] itself: whoever has it polls, reads, flushes and watches deadlines. While calls are quick an
//! application thread has the role and calls the application inline: no hand-over, no wake-up. For the
//! length of the call it *lends* the role, that is, puts it where others find it. The *understudy*, a thread that never
//! calls, looks every few milliseconds whether the role has been lent for long, or to a call that waits for something; then it
//! passes the role to an idle application thread, or takes it itself, and queues the requests that are complete. From then on
//! calls are taken to be slow, and the role passes to an idle thread *before* each, until enough of them were quick. When a
//! queued call was quick, the understudy gives the role back.
//!
//! An application thread that waits for events, the *watcher*, puts the role down meanwhile: a thread that comes out of a call takes
//! it up for one look at the sockets, and with what it finds goes on without another thread having to wake up.
//!
//! The ready list belongs to the [`Io`] and travels with it, so no connection is stranded on the stack of a call that sticks.

mod understudy;

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::io::Io;
use crate::poller::{Batch, Event};
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::thread_state::Thread;

/// What quick calls have to be worth together until, after a promotion, calls are taken to be quick again.
const SLOWNESS: u32 = 256;

/// A call that takes less is quick: waking another thread for its time would not have paid.
pub(crate) const QUICK: Duration = Duration::from_millis(1);

/// What a call of this length is worth: sixteen of the quickest show that calls are quick, but so many that may have waited for
/// something do not.
fn worth(time: Duration) -> u32 {
    match time.as_micros() {
        ..60 => SLOWNESS / 16,
        60..250 => SLOWNESS / 64,
        _ if time < QUICK => 1,
        _ => 0,
    }
}

/// What an application thread does next.
pub(crate) enum Duty {
    /// Hold the I/O role, after a call that waited, if one does.
    Io(Box<Io>, Option<Box<Call>>),
    /// Run a call that waited.
    Call(Box<Call>),
    /// The worker has stopped.
    End,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Rights {
    state: Mutex<State>,
    /// Told when an idle application thread may find something to do.
    duty: Condvar,
    /// Told when the understudy should look.
    tick: Condvar,
    /// Told when an application thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    place: Place,
    /// Counts the calls begun; a call that lasts leaves it unchanged.
    begun: u64,
    /// Who has begun the last one inline.
    caller: Option<Thread>,
    calls: VecDeque<Box<Call>>,
    /// Application threads that wait for something to do.
    idle: usize,
    /// Those of them that have been told to come, and are on their way.
    told: usize,
    /// Application threads that have not ended.
    alive: usize,
    /// An application thread waits for events, and is back at the latest when there are any.
    is_watched: bool,
    /// Events that the watcher came back with while the role was elsewhere. Its holder hears of them when it puts it down.
    heard: Vec<Event>,
    understudy_sleeps: bool,
    /// An application thread will soon be able to hold the role again, and calls are quick.
    wanted: bool,
    /// What calls have to be worth until they are taken to be quick again.
    slow: u32,
    /// The role is wanted out of a call now, without waiting for a tick.
    urgent: bool,
    stopped: bool,
}

/// Where the I/O role is.
#[derive(Default)]
enum Place {
    /// An application thread has it.
    #[default]
    Application,
    /// The understudy has it.
    Understudy,
    /// Its holder is in a call and takes it again if the call is quick.
    Lent(Box<Io>),
    /// For whoever comes first.
    Offered(Box<Io>),
    /// For the watcher when it comes back, or for a thread that comes out of a call before.
    Watched(Box<Io>),
}

/// What a thread does that has put the role down since there was nothing to do.
pub(crate) enum Next {
    /// Wait for events, as the watcher.
    Watch,
    /// Wait for a duty: another thread is the watcher.
    Rest,
    /// Nothing of it: there is something to do.
    GoOn(Box<Io>),
}

impl Place {
    /// The role for a thread that has nothing else to do; never from under the eyes of the watcher.
    fn take(&mut self, next: Self) -> Option<Box<Io>> {
        if matches!(self, Self::Watched(_)) { None } else { self.take_any(next) }
    }

    /// The role, if nobody has it in hand.
    fn take_any(&mut self, next: Self) -> Option<Box<Io>> {
        match std::mem::replace(self, next) {
            Self::Lent(io) | Self::Offered(io) | Self::Watched(io) => Some(io),
            held => {
                *self = held;
                None
            }
        }
    }
}

impl State {
    /// Whether an idle thread is to be told that there is something to do. Not if as many are on their way as there is: to tell
    /// is a system call, and where calls are slow somebody mostly is.
    fn tell_one(&mut self) -> bool {
        let duties = self.calls.len() + usize::from(matches!(self.place, Place::Offered(_)));
        let is_due = self.told < duties.min(self.idle);
        self.told += usize::from(is_due);
        is_due
    }
}

impl Rights {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; and if it did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the role where application threads find it.
    pub(crate) fn offer(&self, io: Box<Io>) {
        let mut state = self.lock();
        state.place = Place::Offered(io);
        self.tell_idle(state);
    }

    /// Tells an idle thread of a new duty, if one has to be told.
    fn tell_idle(&self, mut state: MutexGuard<'_, State>) {
        if state.tell_one() {
            drop(state);
            self.duty.notify_one();
        }
    }

    /// Before an inline call: the role can be taken if the call lasts. The watcher finds it when it comes back, if there is one;
    /// while recent calls were slow it goes to an idle thread at once. `has_work` says whether there is something to do, and
    /// `wake_watcher` is called when the watcher has to come back for it. Returns whether the call's time is wanted in
    /// [`reclaim`](Self::reclaim).
    pub(crate) fn lend(&self, mut io: Box<Io>, has_work: bool, wake_watcher: impl Fn()) -> bool {
        let mut state = self.lock();
        let has_work = has_work || !state.heard.is_empty() || !state.calls.is_empty();
        io.hear(&mut state.heard);
        state.begun += 1;
        state.caller = Some(Thread::current());
        let slow = state.slow > 0;
        if state.idle > 0 && if state.is_watched { has_work } else { slow } {
            state.place = Place::Offered(io);
            self.tell_idle(state);
            return slow;
        }
        if state.is_watched {
            state.place = Place::Watched(io);
            if has_work {
                wake_watcher();
            }
            return slow;
        }
        state.place = Place::Lent(io);
        if state.understudy_sleeps {
            state.understudy_sleeps = false;
            drop(state);
            self.tick.notify_one();
        }
        slow
    }

    /// Whether a call is running under the eyes of the understudy, which ticks as long as this holds.
    pub(crate) fn is_lent(&self) -> bool {
        matches!(self.lock().place, Place::Lent(_))
    }

    /// After an inline call, which took `time` if that was wanted: the role again, unless somebody has it in hand.
    pub(crate) fn reclaim(&self, time: Option<Duration>) -> Option<Duty> {
        let mut state = self.lock();
        state.slow = state.slow.saturating_sub(time.map_or(0, worth));
        let io = state.place.take_any(Place::Application)?;
        Some(Duty::Io(io, state.calls.pop_front()))
    }

    /// Puts the role down, since its holder has found nothing to do.
    pub(crate) fn put_down(&self, mut io: Box<Io>) -> Next {
        let mut state = self.lock();
        if !state.heard.is_empty() {
            io.hear(&mut state.heard);
            return Next::GoOn(io);
        }
        state.place = Place::Watched(io);
        if std::mem::replace(&mut state.is_watched, true) { Next::Rest } else { Next::Watch }
    }

    /// Whether there is a watcher.
    pub(crate) fn is_watched(&self) -> bool {
        self.lock().is_watched
    }

    /// The watcher is back, with `events`: the role, unless somebody has it in hand, who hears of them then.
    pub(crate) fn end_watch(&self, events: &Batch) -> Option<Box<Io>> {
        let mut state = self.lock();
        state.is_watched = false;
        let io = state.place.take_any(Place::Application);
        if io.is_none() {
            state.heard.extend(events.iter().copied());
        }
        io
    }

    /// What the calling application thread does next, if that is known without waiting.
    pub(crate) fn duty(&self) -> Option<Duty> {
        self.duty_in(&mut self.lock())
    }

    fn duty_in(&self, state: &mut State) -> Option<Duty> {
        if let Some(role) = self.role_in(state) {
            return Some(role);
        }
        if let Some(call) = state.calls.pop_front() {
            state.begun += 1;
            return Some(Duty::Call(call));
        }
        state.stopped.then_some(Duty::End)
    }

    /// The role, if nobody has it, for a thread that is free.
    fn role_in(&self, state: &mut State) -> Option<Duty> {
        let io = state.place.take(Place::Application)?;
        Some(Duty::Io(io, state.calls.pop_front()))
    }

    /// After a quick call that had waited in the queue: its thread could as well hold the role. `wake_understudy` is
    /// called when the understudy holds it and should pass it on.
    pub(crate) fn want_role(&self, wake_understudy: impl Fn()) {
        let mut state = self.lock();
        if matches!(state.place, Place::Understudy) && !state.wanted {
            state.wanted = true;
            wake_understudy();
        }
    }

    /// Waits for what the calling application thread does next. `wake_understudy` is called when the understudy holds
    /// the role and should pass it on.
    pub(crate) fn wait_for_duty(&self, wake_understudy: impl Fn()) -> Duty {
        let mut state = self.lock();
        loop {
            if let Some(duty) = self.duty_in(&mut state) {
                return duty;
            }
            state.idle += 1;
            if matches!(state.place, Place::Understudy) {
                wake_understudy();
            }
            state = self.duty.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
            // If it was not this thread that was told, it comes in the other's place.
            state.told = state.told.saturating_sub(1);
        }
    }

    /// Whether an application thread is, or will soon be, able to hold the role.
    pub(crate) fn wants_role(&self) -> bool {
        let state = self.lock();
        state.idle > 0 || state.wanted
    }

    /// The understudy passes the role on: to an idle application thread, or to the next one that is free.
    pub(crate) fn yield_role(&self, io: Box<Io>) {
        let mut state = self.lock();
        state.wanted = false;
        if state.idle > 0 {
            state.place = Place::Offered(io);
            self.tell_idle(state);
        } else {
            state.place = Place::Lent(io);
        }
    }

    /// Queues a complete request for the next application thread that is free. `wake_watcher` is called when that is the watcher.
    pub(crate) fn enqueue(&self, call: Box<Call>, wake_watcher: impl Fn()) {
        let mut state = self.lock();
        state.calls.push_back(call);
        if state.is_watched && state.idle == 0 {
            wake_watcher();
        }
        self.tell_idle(state);
    }

    /// Takes the requests off the queue that wait behind `most` others and were complete `before` then.
    pub(crate) fn shed(&self, most: usize, before: Instant) -> VecDeque<Box<Call>> {
        let mut state = self.lock();
        if state.calls.len() <= most {
            return VecDeque::new();
        }
        let behind = state.calls.split_off(most);
        let (late, rest): (VecDeque<_>, VecDeque<_>) =
            behind.into_iter().partition(|call| call.received_at <= before);
        state.calls.extend(rest);
        late
    }

    /// The calling thread is about to wait within a call: the role must not wait with it.
    pub(crate) fn promote_now(&self) {
        let mut state = self.lock();
        state.urgent = true;
        state.understudy_sleeps = false;
        drop(state);
        self.tick.notify_one();
    }

    /// The worker has stopped: every thread ends when it is free, and calls that have not begun are dropped.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        let calls = std::mem::take(&mut state.calls);
        drop(state);
        self.duty.notify_all();
        self.tick.notify_all();
        drop(calls);
    }

    /// Whether [`stop`](Self::stop) has been called.
    pub(crate) fn has_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// An application thread is about to be started.
    pub(crate) fn thread_starts(&self) {
        self.lock().alive += 1;
    }

    /// An application thread has ended.
    pub(crate) fn thread_ended(&self) {
        self.lock().alive -= 1;
        self.ended.notify_all();
    }

    /// Waits until every application thread has ended. Returns whether they have within `timeout`.
    pub(crate) fn wait_for_threads(&self, timeout: Duration) -> bool {
        let state = self.lock();
        let (state, _) = self
            .ended
            .wait_timeout_while(state, timeout, |state| state.alive > 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.alive == 0
    }
}

#[cfg(test)]
#[cfg(not(funicorn_model))]
mod tests;
