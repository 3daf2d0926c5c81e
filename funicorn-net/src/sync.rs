//! Whose locks and threads? The standard library's; in the [model](crate::model), shuttle's, which tries out their orders.

#[cfg(not(funicorn_model))]
mod primitives {
    use std::time::Duration;

    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};
    pub(crate) use std::thread;

    /// Waits to be told, or for `tick`.
    pub(crate) fn wait_for_tick<'a, T>(
        told: &Condvar,
        guard: MutexGuard<'a, T>,
        _lock: &'a Mutex<T>,
        tick: Duration,
    ) -> MutexGuard<'a, T> {
        told.wait_timeout(guard, tick).unwrap_or_else(std::sync::PoisonError::into_inner).0
    }
}

#[cfg(funicorn_model)]
mod primitives {
    use std::time::Duration;

    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, atomic};
    pub(crate) use shuttle::thread;

    /// In the model a tick comes whenever the scheduler likes.
    pub(crate) fn wait_for_tick<'a, T>(
        _told: &Condvar,
        guard: MutexGuard<'a, T>,
        lock: &'a Mutex<T>,
        _tick: Duration,
    ) -> MutexGuard<'a, T> {
        drop(guard);
        thread::yield_now();
        lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub(crate) use primitives::*;
