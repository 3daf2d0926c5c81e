//! What does the understudy do? It looks every few milliseconds whether a call lasts, and sees to it that the role does not wait
//! for its end. It falls asleep, without a timer, only while it holds the lock under which a call is lent, so no wake-up is lost.

use std::sync::PoisonError;
use std::time::Duration;

use super::{Place, Rights, SLOWNESS, State};
use crate::io::Io;
use crate::sync::{MutexGuard, wait_for_tick};

/// How often the understudy looks while calls are being made. A call that is seen twice is long.
const TICK: Duration = Duration::from_millis(2);

/// Ticks without a call after which the understudy sleeps.
const QUIET_TICKS: u32 = 5;

impl Rights {
    /// The understudy's wait: returns the role when it has to take it, `None` when the worker has stopped. `at_tick` runs
    /// every few milliseconds as long as calls are made, and once more after the last.
    pub(crate) fn stand_by(&self, at_tick: impl Fn()) -> Option<Box<Io>> {
        let mut state = self.lock();
        // No call has been seen yet, not even the zeroth.
        let (mut seen, mut quiet) = (u64::MAX, 0);
        loop {
            let caller_waits;
            (state, caller_waits) = self.look_at_caller(state);
            if state.stopped {
                return None;
            }
            let stuck = seen == state.begun || state.urgent;
            match state.place {
                Place::Lent(_) if (stuck || caller_waits) && state.idle > 0 => self.promote_idle(&mut state),
                // No thread is idle; or the role was offered a tick ago, and nobody came.
                Place::Lent(_) | Place::Offered(_) if stuck && !state.is_watched => {
                    return state.promote(Place::Understudy);
                }
                _ => {}
            }
            let in_good_hands = matches!(state.place, Place::Application | Place::Watched(_));
            let resting = in_good_hands && seen == state.begun;
            quiet = if resting { quiet + 1 } else { 0 };
            seen = state.begun;
            if quiet > QUIET_TICKS {
                quiet = 0;
                state.urgent = false;
                state.understudy_sleeps = true;
                while state.understudy_sleeps && !state.stopped {
                    state = self.tick.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            } else {
                drop(wait_for_tick(&self.tick, state, &self.state, TICK));
                at_tick();
                state = self.lock();
            }
        }
    }

    /// Whether an idle thread could go on while the call that is running waits for something. The lock is let go of meanwhile.
    fn look_at_caller<'a>(&'a self, state: MutexGuard<'a, State>) -> (MutexGuard<'a, State>, bool) {
        let is_of_use = state.idle > 0 && matches!(state.place, Place::Lent(_));
        let Some(caller) = state.caller.filter(|_| is_of_use) else { return (state, false) };
        let call = state.begun;
        drop(state);
        let is_waiting = caller.is_waiting();
        let state = self.lock();
        let is_the_same = state.begun == call;
        (state, is_waiting && is_the_same)
    }

    fn promote_idle(&self, state: &mut State) {
        if let Some(io) = state.promote(Place::Application) {
            state.place = Place::Offered(io);
            if state.tell_one() {
                self.duty.notify_one();
            }
        }
    }
}

impl State {
    /// Takes the role out of a call that lasts. From now on calls are taken to be slow.
    fn promote(&mut self, next: Place) -> Option<Box<Io>> {
        self.urgent = false;
        self.slow = SLOWNESS;
        self.place.take(next)
    }
}
