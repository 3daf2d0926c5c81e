//! How has a worker ended? In words for the log.

use std::fmt;

use rustix::process::WaitStatus;

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// Somebody else in this process has waited for it.
    Unseen,
}

impl Ending {
    /// Reads what waitpid(2) reports of a process that has ended.
    pub(super) fn of(status: WaitStatus) -> Self {
        match status.terminating_signal() {
            Some(signal) => Self::Killed(signal),
            None => Self::Exited(status.exit_status().unwrap_or_default()),
        }
    }
}

impl fmt::Display for Ending {
    /// Completes a sentence that begins with the worker: "ended with exit code 1", "was killed by SIGKILL (out of memory?)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(code) => write!(f, "ended with exit code {code}"),
            Self::Killed(signal) => match signal_name(signal) {
                Some(name) => write!(f, "was killed by {name}{}", likely_cause(signal)),
                None => write!(f, "was killed by signal {signal}"),
            },
            Self::Unseen => f.write_str("ended unseen"),
        }
    }
}

fn likely_cause(signal: i32) -> &'static str {
    match signal {
        libc::SIGKILL => " (out of memory?)",
        libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE => {
            " (a crash in C code; with PYTHONFAULTHANDLER=1 Python shows where)"
        }
        libc::SIGABRT => " (abort() in C code, or Python's fatal error above)",
        _ => "",
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_in_words() {
        for (ending, words) in [
            (Ending::Exited(0), "ended with exit code 0"),
            (Ending::Killed(libc::SIGKILL), "was killed by SIGKILL (out of memory?)"),
            (Ending::Killed(libc::SIGTERM), "was killed by SIGTERM"),
            (Ending::Killed(64), "was killed by signal 64"),
        ] {
            assert_eq!(ending.to_string(), words);
        }
    }
}
