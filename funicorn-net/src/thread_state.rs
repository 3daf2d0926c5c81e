//! Does a thread wait for something? Asked of the kernel about a thread that is in a call.
//!
//! A call that waits, for a database, say, leaves the processor to others, however short it is; one that computes does not,
//! however long. No clock tells them apart. The kernel does, for some ten microseconds (proc(5), `/proc/pid/task/tid/stat`).

use std::fs::File;
use std::io::Read;

use rustix::thread::gettid;

/// A thread of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thread(u32);

impl Thread {
    /// The calling thread.
    pub(crate) fn current() -> Self {
        thread_local!(static CURRENT: Thread = Thread(gettid().as_raw_nonzero().get().unsigned_abs()));
        CURRENT.with(|thread| *thread)
    }

    /// Whether it waits for something and is neither running nor about to. False if that cannot be known.
    pub(crate) fn is_waiting(self) -> bool {
        let mut stat = [0; 256];
        let path = format!("/proc/self/task/{}/stat", self.0);
        let len = File::open(path).and_then(|mut file| file.read(&mut stat)).unwrap_or(0);
        is_waiting(&stat[..len])
    }
}

/// What a `stat` line says, of which the third field is the state: behind a name in parentheses, which may hold any others.
fn is_waiting(stat: &[u8]) -> bool {
    let end = stat.iter().rposition(|&byte| byte == b')');
    matches!(end.map(|end| &stat[end + 1..]), Some([b' ', b'S' | b'D', ..]))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_state_stands_behind_the_name() {
        assert!(is_waiting(b"12 (application-1) S 1 2 3"));
        assert!(is_waiting(b"12 (a) R (b) D 1 2 3"));
        assert!(!is_waiting(b"12 (a) S (b) R 1 2 3"));
        assert!(!is_waiting(b"12 (application-1)") && !is_waiting(b""));
    }

    #[test]
    fn who_runs_does_not_wait_and_who_waits_does() {
        assert!(!Thread::current().is_waiting());
        let (tell, told) = channel();
        let (end, ended) = channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                tell.send(Thread::current()).unwrap();
                ended.recv().unwrap_err();
            });
            let other = told.recv().unwrap();
            while !other.is_waiting() {
                std::thread::yield_now();
            }
            drop(end);
        });
    }
}
