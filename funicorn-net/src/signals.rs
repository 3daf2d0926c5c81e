//! How do signals reach a loop that sleeps? A handler counts them and makes a descriptor readable.
//!
//! Handlers and an eventfd rather than signalfd: that one needs the signals blocked, and the mask would be inherited by
//! every program that the application starts.
#![allow(unsafe_code, reason = "sigaction, and a handler that may only use what is async-signal-safe")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::event::{EventfdFlags, eventfd};

use crate::Order;

/// The signals that are handled: by a worker the first three, by a supervisor all. A worker that was forked keeps USR1 too.
const HANDLED: [i32; 10] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGCHLD,
    libc::SIGUSR1,
    libc::SIGHUP,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// How many of them ask to stop.
const STOPPING: usize = 3;

/// The last ones of them mean something to gunicorn, and nothing here yet: their names, and what to do instead.
const IGNORED: [(&str, &str); 5] = [
    ("HUP", "there is no reload yet; to load the application anew, restart the server"),
    ("USR2", "there is no upgrade in place yet; to run another version, restart the server"),
    ("WINCH", "workers are not stopped alone; to stop the server, send TERM"),
    ("TTIN", "the number of workers is fixed; to have more, restart the server with more"),
    ("TTOU", "the number of workers is fixed; to have fewer, restart the server with fewer"),
];

/// How often each of [`HANDLED`] has come since the last look.
static COUNTS: [AtomicU32; HANDLED.len()] = [const { AtomicU32::new(0) }; HANDLED.len()];

/// The eventfd that the handler writes to; -1 while no handlers are installed.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// The process whose handlers these are.
static OWNER: AtomicI32 = AtomicI32::new(0);

/// The handlers of this process. Dropped, the signals do what they did before, except in a worker.
///
/// ```
/// use funicorn_net::{Control, Signals};
///
/// // A worker that stops at TERM, INT and QUIT, in a process of its own.
/// let control = Control::new(Some(Signals::install(false)?))?;
/// assert_eq!(control.take(), None);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Signals {
    wake: OwnedFd,
    before: Before,
}

/// What has arrived since the last [`Signals::take`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrived {
    /// How many TERM.
    pub term: u32,
    /// How many INT.
    pub int: u32,
    /// How many QUIT.
    pub quit: u32,
    /// Whether a child process has ended.
    pub child: bool,
    /// Whether USR1 has come: log files are to be opened anew.
    pub reopen: bool,
    /// Which of [`IGNORED`] have come.
    ignored: [bool; IGNORED.len()],
}

impl Arrived {
    /// How many signals that ask to stop.
    #[must_use]
    pub fn stops(&self) -> u32 {
        self.term + self.int + self.quit
    }

    /// What they mean after `before` earlier ones: the second, whichever it is, ends at once.
    #[must_use]
    pub fn order_after(&self, before: u32) -> Option<Order> {
        match (before, self.stops()) {
            (_, 0) => None,
            (0, 1) if self.term == 1 => Some(Order::StopGracefully),
            (0, 1) => Some(Order::StopNow),
            _ => Some(Order::EndAtOnce),
        }
    }

    /// The names of the signals that mean nothing here, and what to do instead.
    pub(crate) fn ignored(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        IGNORED.into_iter().zip(self.ignored).filter_map(|(words, has_come)| has_come.then_some(words))
    }

    /// The number of one of the stop signals, for an exit code as shells make it.
    pub(crate) fn number(&self) -> i32 {
        match self {
            Self { int: 1.., .. } => libc::SIGINT,
            Self { quit: 1.., .. } => libc::SIGQUIT,
            _ => libc::SIGTERM,
        }
    }
}

impl Signals {
    /// Installs handlers for TERM, INT and QUIT, and if `children` for what a supervisor hears too: CHLD, USR1, and the other signals by
    /// which gunicorn's is told something (HUP, USR2, WINCH, TTIN, TTOU), so that none of them ends or stops it. XFSZ is
    /// ignored, as Python does it: that a spooled body or a log is longer than files may be is an error of the write and
    /// not the end of the process.
    ///
    /// # Errors
    /// `AlreadyExists` when they are installed already (signals belong to the process, so there can be one of these
    /// only); else what the system says.
    pub fn install(children: bool) -> io::Result<Self> {
        let wake = new_wake()?;
        if WAKE.compare_exchange(-1, wake.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "signal handlers are installed already",
            ));
        }
        OWNER.store(std::process::id() as i32, Ordering::SeqCst);
        let mut before = Before::default();
        for (index, &signal) in HANDLED.iter().enumerate() {
            COUNTS[index].store(0, Ordering::SeqCst);
            if index < STOPPING || children {
                before.handled[index] = Some(set_action(signal, &action(on_signal as *const () as usize)));
            }
        }
        before.file_size = Some(set_action(libc::SIGXFSZ, &action(libc::SIG_IGN)));
        Ok(Self { wake, before })
    }

    /// What has arrived; makes the descriptor unreadable.
    #[must_use]
    pub fn take(&self) -> Arrived {
        drain(self.wake.as_fd());
        let [term, int, quit, child, reopen, ignored @ ..] =
            std::array::from_fn::<u32, { HANDLED.len() }, _>(|index| COUNTS[index].swap(0, Ordering::SeqCst));
        let ignored = ignored.map(|count| count > 0);
        Arrived { term, int, quit, child: child > 0, reopen: reopen > 0, ignored }
    }

    /// Makes the handlers this process's own after a fork: no signal of the parent counts, and what wakes one of them
    /// does not wake the other. What is the supervisor's alone does again what it did before; TERM, INT, QUIT and USR1 stay handled
    /// to the end of the process, also when this is dropped. For whoever stops a whole group of processes (a terminal, an init system) signals one after the other: a worker may
    /// hear from its supervisor first, and its own copy must not kill it while it tidies up.
    ///
    /// # Errors
    /// When there is no room for another descriptor.
    pub fn renew_after_fork(&mut self) -> io::Result<()> {
        let wake = new_wake()?;
        WAKE.store(wake.as_raw_fd(), Ordering::SeqCst);
        OWNER.store(std::process::id() as i32, Ordering::SeqCst);
        self.wake = wake;
        for (index, &signal) in HANDLED.iter().enumerate() {
            COUNTS[index].store(0, Ordering::SeqCst);
            if let Some(before) = self.before.handled[index].take()
                && index >= STOPPING
                && signal != libc::SIGUSR1
            {
                set_action(signal, &before);
            }
        }
        self.before.file_size = None;
        Ok(())
    }
}

impl AsFd for Signals {
    /// Readable while there is something to take.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (index, &signal) in HANDLED.iter().enumerate() {
            if let Some(before) = &self.before.handled[index]
                && is_ours(signal)
            {
                set_action(signal, before);
            }
        }
        if let Some(before) = &self.before.file_size
            && handler(libc::SIGXFSZ) == libc::SIG_IGN
        {
            set_action(libc::SIGXFSZ, before);
        }
        WAKE.store(-1, Ordering::SeqCst);
    }
}

/// Puts our signals back to their defaults, where the application has not put handlers of its own. Async-signal-safe:
/// it is called in a child that the application has forked.
pub(crate) fn reset_in_forked_child() {
    WAKE.store(-1, Ordering::SeqCst);
    for signal in HANDLED {
        if is_ours(signal) {
            set_action(signal, &action(libc::SIG_DFL));
        }
    }
}

/// Sends `signal` to this process if the application has a handler of its own for it.
pub(crate) fn pass_on(signal: i32) {
    let handler = handler(signal);
    if handler != libc::SIG_DFL && handler != libc::SIG_IGN && !is_ours(signal) {
        // SAFETY: kill and getpid have no preconditions. To the process, as from outside: the kernel prefers its main thread.
        unsafe { libc::kill(libc::getpid(), signal) };
    }
}

/// Blocks every signal in this thread until it is dropped, in both processes if there is a fork in between.
pub(crate) struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    pub(crate) fn new() -> Self {
        let mut all = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: both sets are written before they are read; pthread_sigmask cannot fail with a valid `how`.
        let before = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            before.assume_init()
        };
        Self { before }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: `before` is the mask that pthread_sigmask gave us.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}

/// Does what a handler may do: count, write(2), leave errno as it was.
extern "C" fn on_signal(signal: libc::c_int, info: *const libc::siginfo_t, _: *const libc::c_void) {
    // SAFETY: getpid has no preconditions.
    if OWNER.load(Ordering::SeqCst) != unsafe { libc::getpid() } {
        return die_of(signal);
    }
    // SAFETY: for a handler with SA_SIGINFO the kernel passes a valid one.
    if is_of_terminal(signal, unsafe { (*info).si_code }) {
        if signal != libc::SIGWINCH {
            // The call that was interrupted would be interrupted again and again.
            set_action(signal, &action(libc::SIG_IGN));
        }
        return;
    }
    if let Some(index) = HANDLED.iter().position(|&handled| handled == signal) {
        COUNTS[index].fetch_add(1, Ordering::SeqCst);
    }
    let wake = WAKE.load(Ordering::SeqCst);
    if wake < 0 {
        return;
    }
    let one = 1u64.to_ne_bytes();
    // SAFETY: errno belongs to this thread; write(2) reads 8 bytes of a live array. A full eventfd is readable anyway.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(wake, one.as_ptr().cast(), one.len());
        *libc::__errno_location() = errno;
    }
}

/// Whether the kernel tells something about the terminal (that it was resized, or written to from the background), which is nobody's order.
fn is_of_terminal(signal: libc::c_int, code: libc::c_int) -> bool {
    code > 0 && matches!(signal, libc::SIGWINCH | libc::SIGTTIN | libc::SIGTTOU)
}

/// For a child that the application has just forked, before its handlers are back at their defaults: the signal is meant
/// for the child (`Process.terminate()` of multiprocessing may be that quick), and must neither be lost nor wake its parent.
fn die_of(signal: libc::c_int) {
    set_action(signal, &action(libc::SIG_DFL));
    // SAFETY: raise(3) is async-signal-safe; the signal is delivered when this handler returns.
    unsafe { libc::raise(signal) };
}

/// What the signals did before, for those that are to do it again.
#[derive(Default)]
struct Before {
    handled: [Option<libc::sigaction>; HANDLED.len()],
    file_size: Option<libc::sigaction>,
}

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Before")
    }
}

fn action(handler: usize) -> libc::sigaction {
    // SAFETY: all zeroes is a valid sigaction: an empty mask, no flags, the default handler.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    // Neither the server nor the application has to expect EINTR because of us.
    action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
    action
}

fn set_action(signal: i32, action: &libc::sigaction) -> libc::sigaction {
    let mut before = MaybeUninit::zeroed();
    // SAFETY: `action` is whole and its handler async-signal-safe; `before` is zeroed, which is valid should the call fail.
    unsafe {
        libc::sigaction(signal, action, before.as_mut_ptr());
        before.assume_init()
    }
}

fn is_ours(signal: i32) -> bool {
    handler(signal) == on_signal as *const () as usize
}

/// What the signal does now.
fn handler(signal: i32) -> usize {
    let mut current = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes `current`, which is valid as zeroes too.
    let current = unsafe {
        libc::sigaction(signal, ptr::null(), current.as_mut_ptr());
        current.assume_init()
    };
    current.sa_sigaction
}

fn new_wake() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Makes an eventfd unreadable.
pub(crate) fn drain(wake: BorrowedFd<'_>) {
    // WouldBlock says that it is already.
    let _ = rustix::io::read(wake, &mut [0u8; 8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_signal_ends_at_once() {
        let none = Arrived::default();
        let term = Arrived { term: 1, ..none };
        let int = Arrived { int: 1, ..none };
        let two = Arrived { term: 1, quit: 1, ..none };
        for (before, arrived, order) in [
            (0, none, None),
            (0, Arrived { child: true, ..none }, None),
            (0, term, Some(Order::StopGracefully)),
            (0, int, Some(Order::StopNow)),
            (0, Arrived { quit: 1, ..none }, Some(Order::StopNow)),
            (0, two, Some(Order::EndAtOnce)),
            (1, none, None),
            (1, term, Some(Order::EndAtOnce)),
            (1, int, Some(Order::EndAtOnce)),
        ] {
            assert_eq!(arrived.order_after(before), order, "{before} {arrived:?}");
        }
    }
}
