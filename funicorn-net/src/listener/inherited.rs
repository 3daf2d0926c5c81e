//! How does the server take over a socket that it was started with? By its number, once.
#![allow(unsafe_code, reason = "a descriptor that is only known by its number has no owner to borrow from")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A duplicate of descriptor `fd`, owned, closed on exec; `fd` itself stays open and is marked close-on-exec, so that
/// programs which the application starts do not inherit the socket.
///
/// # Errors
/// When no descriptor has this number, or there is no room for another one.
pub(super) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with these commands touches no memory and changes at most a flag; a bad number is an error.
    let duplicate = unsafe {
        let duplicate = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3);
        if duplicate >= 0 && fd > libc::STDERR_FILENO {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
        duplicate
    };
    if duplicate < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was made just now and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(duplicate) })
}
