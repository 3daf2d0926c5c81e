//! What does the command's exit code say?

use std::process::ExitCode;

/// Why the command has ended. Scripts and service managers may rely on the numbers.
///
/// After a second signal the code is 128 and the number of that signal, as shells have it: 130 for INT, 143 for TERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Exit {
    /// It was told to stop and has.
    Success = 0,
    /// Something in Funicorn itself, or in the system, went wrong.
    Internal = 1,
    /// A flag is wrong, or names a file or directory that cannot be used.
    Usage = 2,
    /// The application cannot be loaded.
    Application = 3,
    /// An address cannot be listened at.
    Bind = 4,
    /// The Python environment is unusable.
    Python = 5,
}

impl Exit {
    /// The exit codes of a worker after which another one would fail alike.
    pub(crate) const FATAL: [Self; 2] = [Self::Application, Self::Python];

    /// The number.
    #[must_use]
    pub fn code(self) -> i32 {
        i32::from(self as u8)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
