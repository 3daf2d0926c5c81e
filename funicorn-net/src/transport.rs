//! How do bytes get to the peer and from it? Through a [`Transport`], the owner of a connection's descriptor.
//!
//! Plain sockets now; TLS will be a second variant. Nothing here waits: a call that would block gives `WouldBlock`.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, send, sendmsg, shutdown};

use crate::fork_guard;
use crate::unacknowledged::unacknowledged;

/// A connection's socket. Dropping it closes the descriptor, and nothing else ever does.
#[derive(Debug)]
pub(crate) enum Transport {
    /// TCP or a Unix stream, without TLS.
    Plain(OwnedFd),
}

impl Transport {
    /// Takes over an accepted, non-blocking socket.
    pub(crate) fn plain(fd: OwnedFd) -> Self {
        // An application that has closed a standard stream has made its number free: under it, the next line of the
        // log, with whatever traceback, would go to this client.
        let fd = moved_up(fd, libc::STDERR_FILENO + 1);
        fork_guard::watch(fd.as_fd());
        Self::Plain(fd)
    }

    fn fd(&self) -> &OwnedFd {
        match self {
            Self::Plain(fd) => fd,
        }
    }

    /// Reads what has arrived; 0 is the peer's end.
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let (read, _) = retry_on_intr(|| recv(self.fd(), &mut *buf, RecvFlags::empty()))?;
        Ok(read)
    }

    /// Writes the start of `bytes`.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| send(self.fd(), bytes, SendFlags::NOSIGNAL))?)
    }

    /// Writes the start of `bytes`, for a caller that ends our sending side next: over TCP the end leaves in the same packet.
    pub(crate) fn write_before_end(&self, bytes: &[u8]) -> io::Result<usize> {
        // What is left over makes no difference: when the socket is full, the kernel sends what it has.
        Ok(retry_on_intr(|| send(self.fd(), bytes, SendFlags::NOSIGNAL | SendFlags::MORE))?)
    }

    /// Writes the start of `parts`, one after the other.
    pub(crate) fn write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(retry_on_intr(|| {
            sendmsg(self.fd(), parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
        })?)
    }

    /// Sends up to `len` bytes of `file` from `offset` on, without their passing through this process.
    /// 0 means that the file is shorter than that.
    pub(crate) fn send_file(&self, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        let mut offset = offset;
        Ok(retry_on_intr(|| rustix::fs::sendfile(self.fd(), file, Some(&mut offset), len))?)
    }

    /// Bytes that were written and that the peer's machine has not acknowledged.
    pub(crate) fn unacknowledged(&self) -> u64 {
        unacknowledged(self.as_fd())
    }

    /// Ends our sending side, so that the peer reads an end after what was written.
    pub(crate) fn shutdown_write(&self) {
        // It fails only when the peer has gone first.
        let _ = shutdown(self.fd(), Shutdown::Write);
    }

    /// Ends both sides; threads that hold the connection see errors from now on.
    pub(crate) fn shutdown_both(&self) {
        let _ = shutdown(self.fd(), Shutdown::Both);
    }

    /// Ends the connection at once with a reset, although others still hold it: their next use of it fails.
    pub(crate) fn reset(&self) {
        // A TCP socket that is connected to nothing resets what it was connected to (tcp(7): `AF_UNSPEC`); others just end.
        if rustix::net::connect_unspec(self.fd()).is_err() {
            self.shutdown_both();
        }
    }

    /// Lets the close of the descriptor send a reset, so that the peer sees a failure where an end would look like success.
    pub(crate) fn reset_on_close(&self) {
        // On a Unix socket there is no reset; there the end has to do.
        let _ = socket2::SockRef::from(self.fd()).set_linger(Some(Duration::ZERO));
    }
}

/// Moves a socket whose number is below `first` to a free one from there on.
fn moved_up(fd: OwnedFd, first: RawFd) -> OwnedFd {
    if fd.as_raw_fd() >= first {
        return fd;
    }
    // If no number is free it stays: the client is served all the same.
    rustix::io::fcntl_dupfd_cloexec(&fd, first).unwrap_or(fd)
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd().as_fd()
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        // In a forked child the number may already stand for another file of the child's.
        fork_guard::exit_if_forked();
        fork_guard::unwatch(self.fd().as_raw_fd());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_moves_up_and_stays_the_same_socket() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let number = ours.as_raw_fd();
        let moved = moved_up(ours.into(), number + 1);
        assert!(moved.as_raw_fd() > number);
        let flags = rustix::io::fcntl_getfd(&moved).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        let stays = moved.as_raw_fd();
        let transport = Transport::plain(moved_up(moved, stays));
        assert_eq!(transport.as_fd().as_raw_fd(), stays);
        transport.write(b"x").unwrap();
        drop(transport);
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"x");
    }
}
