//! The interpreter's part: one lock that every thread holds while it is attached.

use shuttle::sync::{Condvar, Mutex};
use shuttle::thread::{self, ThreadId};

shuttle::lazy_static! {
    /// The interpreter of the schedule that is being tried.
    pub(crate) static ref INTERPRETER: Interpreter = Interpreter::default();
}

/// See the module.
#[derive(Default)]
pub(crate) struct Interpreter {
    holder: Mutex<Option<ThreadId>>,
    free: Condvar,
}

impl Interpreter {
    pub(crate) fn attach(&self) {
        let mut holder = self.holder.lock().unwrap();
        while holder.is_some() {
            holder = self.free.wait(holder).unwrap();
        }
        *holder = Some(thread::current().id());
    }

    pub(crate) fn detach(&self) {
        *self.holder.lock().unwrap() = None;
        self.free.notify_one();
    }

    pub(crate) fn is_held_by_us(&self) -> bool {
        *self.holder.lock().unwrap() == Some(thread::current().id())
    }

    /// Runs `wait` detached, if this thread is attached.
    pub(crate) fn let_go(&self, wait: &mut dyn FnMut()) {
        if self.is_held_by_us() {
            self.detach();
            wait();
            self.attach();
        } else {
            wait();
        }
    }

    /// The interpreter is never held while the process waits.
    pub(crate) fn assert_free_of_us(&self) {
        assert!(!self.is_held_by_us(), "a thread waits and holds the interpreter");
    }
}
