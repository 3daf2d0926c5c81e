//! Who lets go of a block that has left, when nobody is attached?
//!
//! What a client does not take at once is not copied: the application's own object is kept until it has left. The thread that sends
//! the last byte of it has the sockets in hand and must not wait for the interpreter, so the object goes to a list (pyo3's),
//! which the next thread that attaches empties. That may be for the next request, in an hour.
//!
//! So there is a *releaser*, a thread that attaches for the list alone, shortly after an object has gone to it. The moment that it
//! waits leaves the list to the threads of a busy worker, and bounds the cost: twenty attachments a second, however many
//! blocks leave. It is started by the first such block.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

/// How long others have time to empty the list.
const MOMENT: Duration = Duration::from_millis(50);

/// The releaser of this process, which has one interpreter.
static RELEASER: Releaser = Releaser {
    is_due: AtomicBool::new(false),
    state: Mutex::new(State { thread: None, has_ended: false }),
    told: Condvar::new(),
};

struct Releaser {
    /// Whether there may be something in the list that the thread has not attached for.
    is_due: AtomicBool,
    state: Mutex<State>,
    told: Condvar,
}

struct State {
    thread: Option<JoinHandle<()>>,
    has_ended: bool,
}

/// The bytes of `block`, which is kept as long as they are. They may be dropped on any thread.
pub(crate) fn keep(block: &Bound<'_, PyBytes>) -> Bytes {
    Bytes::from_owner(KeptBlock(Some(PyBackedBytes::from(block.clone()))))
}

/// Ends the releaser, before the interpreter ends. The calling thread is not attached.
pub(crate) fn end_releaser() {
    RELEASER.end();
}

/// A block that waits for its client.
struct KeptBlock(Option<PyBackedBytes>);

impl AsRef<[u8]> for KeptBlock {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Drop for KeptBlock {
    fn drop(&mut self) {
        // First to the list, then the word.
        self.0 = None;
        RELEASER.tell();
    }
}

impl Releaser {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something may have gone to the list.
    fn tell(&'static self) {
        if self.is_due.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut state = self.lock();
        if state.thread.is_none() && !state.has_ended {
            match self.start() {
                Ok(thread) => state.thread = Some(thread),
                // Whoever attaches next empties the list, and the next block tries again.
                Err(error) => {
                    self.is_due.store(false, Ordering::SeqCst);
                    log::debug!("nobody lets go of blocks that have left: {error}");
                }
            }
        }
        self.told.notify_one();
    }

    fn start(&'static self) -> io::Result<JoinHandle<()>> {
        Builder::new().name("releaser".to_owned()).spawn(|| {
            while self.wait() {
                // Attaching empties the list. Where there is no interpreter any more there is nothing to free.
                let _ = Python::try_attach(|_| ());
            }
        })
    }

    /// Waits until there may be something in the list; false at the end.
    fn wait(&self) -> bool {
        let is_idle = |state: &mut State| !state.has_ended && !self.is_due.load(Ordering::SeqCst);
        let state = self.told.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let others = self.told.wait_timeout_while(state, MOMENT, |state| !state.has_ended);
        let (state, _) = others.unwrap_or_else(PoisonError::into_inner);
        // What comes from here on is for the next time.
        self.is_due.store(false, Ordering::SeqCst);
        !state.has_ended
    }

    fn end(&self) {
        let thread = {
            let mut state = self.lock();
            state.has_ended = true;
            self.told.notify_one();
            state.thread.take()
        };
        if let Some(thread) = thread {
            // A panic was logged where it happened.
            let _ = thread.join();
        }
    }
}
