//! Does a thread wait for something? In the model it may or may not, whenever somebody asks.

use shuttle::rand::{Rng, thread_rng};

/// Some thread.
#[derive(Clone, Copy)]
pub(crate) struct Thread;

impl Thread {
    pub(crate) fn current() -> Self {
        Self
    }

    pub(crate) fn is_waiting(self) -> bool {
        thread_rng().gen_bool(0.3)
    }
}
