//! What may a process do that the *application* has forked (`os.fork`, `multiprocessing`)? Anything but serve.
//!
//! Such a child has copies of the listeners, the poller and every client connection. They are closed at the fork, with
//! close(2) alone: shutdown or a removal from the poller would act on the parent's connections. When the child
//! comes back from the application into the server, it ends.
//!
//! Programs started by `subprocess` need none of this: all our descriptors are closed on exec.
#![allow(unsafe_code, reason = "pthread_atfork, and a child handler that closes descriptors by number")]

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// One bit per descriptor number, up to the usual hard limit of 2^20; the pages that no number falls into cost nothing.
static WATCHED: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];
const WORDS: usize = (1 << 20) / 64;

/// One past the highest word of [`WATCHED`] that was ever used.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Whether this process is a child that the application has forked.
static FORKED: AtomicBool = AtomicBool::new(false);

/// Whether the fork that is about to happen is the supervisor's, whose children are meant to serve.
static IS_OURS: AtomicBool = AtomicBool::new(false);

/// Begins to watch for forks of this process; the second call and later ones do nothing.
///
/// A worker calls this at its start, after the supervisor has forked it.
pub fn arm() {
    static ARMED: Once = Once::new();
    ARMED.call_once(|| {
        // SAFETY: the handler is async-signal-safe, as it must be in the child of a process with threads.
        let code = unsafe { libc::pthread_atfork(None, None, Some(in_forked_child)) };
        if code != 0 {
            log::warn!("forks of the application cannot be watched: no memory for the handler");
        }
    });
}

/// Has `fd` closed in every child that the application forks.
pub fn watch(fd: BorrowedFd<'_>) {
    if let Some((index, bit)) = place(fd.as_raw_fd()) {
        USED.fetch_max(index + 1, Ordering::Relaxed);
        WATCHED[index].fetch_or(bit, Ordering::Relaxed);
    }
}

/// Ends what [`watch`] began. To be called before the descriptor is closed, since its number may be given away at once.
pub fn unwatch(fd: RawFd) {
    if let Some((index, bit)) = place(fd) {
        WATCHED[index].fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Runs `fork`, whose child is a worker and not the application's.
pub(crate) fn of_our_own<T>(fork: impl FnOnce() -> T) -> T {
    IS_OURS.store(true, Ordering::Relaxed);
    let forked = fork();
    IS_OURS.store(false, Ordering::Relaxed);
    forked
}

/// Ends this process, without any clean-up, if it is a child that the application has forked.
///
/// To be called whenever the application gives control back.
pub fn exit_if_forked() {
    if FORKED.load(Ordering::Relaxed) {
        exit_process(0);
    }
}

/// Ends this process with `code` and without any clean-up.
pub fn exit_process(code: i32) -> ! {
    // SAFETY: _exit has no preconditions; what it skips is lost or belongs to the parent, as the caller wants.
    unsafe { libc::_exit(code) }
}

fn place(fd: RawFd) -> Option<(usize, u64)> {
    let number = usize::try_from(fd).ok()?;
    (number < WORDS * 64).then_some((number / 64, 1 << (number % 64)))
}

/// Runs in the child, before fork(2) returns there. Async-signal-safe: atomics, close(2) and sigaction(2) only.
extern "C" fn in_forked_child() {
    if IS_OURS.load(Ordering::Relaxed) {
        return;
    }
    FORKED.store(true, Ordering::Relaxed);
    for (index, word) in WATCHED.iter().enumerate().take(USED.load(Ordering::Relaxed)) {
        // Emptied, so that a grandchild does not close descriptors that the child has opened under these numbers.
        let mut bits = word.swap(0, Ordering::Relaxed);
        while bits != 0 {
            let fd = (index * 64) as RawFd + bits.trailing_zeros() as RawFd;
            bits &= bits - 1;
            // SAFETY: a watched number is an open descriptor of the server, which never uses it in this process again.
            unsafe { libc::close(fd) };
        }
    }
    crate::signals::reset_in_forked_child();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_place_each() {
        assert_eq!(place(0), Some((0, 1)));
        assert_eq!(place(63), Some((0, 1 << 63)));
        assert_eq!(place(64), Some((1, 1)));
        assert_eq!(place((1 << 20) - 1), Some((WORDS - 1, 1 << 63)));
        assert_eq!(place(1 << 20), None);
        assert_eq!(place(-1), None);
    }
}
