//! How does one process become two? By fork(2), of a process with one thread.
#![allow(unsafe_code, reason = "fork")]

use std::io;

use rustix::process::Pid;

/// Which of the two processes this one is.
pub(super) enum Forked {
    /// The one that called; the child's process id.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Forks. The caller has made sure that this process has one thread only.
pub(super) fn fork() -> io::Result<Forked> {
    // SAFETY: with a single thread no lock is held by a thread that the child lacks, so that the child may do whatever
    // the parent may. (Were there threads after all, a lock in the child could stay locked: a hang, not undefined.)
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        pid => {
            Pid::from_raw(pid).filter(|_| pid > 0).map(Forked::Parent).ok_or_else(io::Error::last_os_error)
        }
    }
}

/// How many threads this process has, where the system tells.
pub(super) fn thread_count() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}
