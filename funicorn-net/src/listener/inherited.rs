//! How does the server take over a socket that it was started with? By its number, once.
#![allow(unsafe_code, reason = "a descriptor that is only known by its number has no owner to borrow from")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A duplicate of descriptor `fd`, owned, closed on exec.
///
/// # Errors
/// When no descriptor has this number, or there is no room for another one.
pub(super) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with this command touches no memory; a bad number is an error.
    let duplicate = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if duplicate < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made just now and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(duplicate) })
}

/// Closes descriptor `fd`, of which a [`duplicate`] is in use: the socket is to be closed when its listener is, and programs
/// which the application starts are not to inherit it. The standard streams stay.
pub(super) fn close_original(fd: RawFd) {
    if fd > libc::STDERR_FILENO {
        // SAFETY: whoever names a descriptor as an address hands it over (see `BindAddress::Fd`).
        unsafe { libc::close(fd) };
    }
}
