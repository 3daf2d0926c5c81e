//! How much of what a socket has taken does it still keep?
#![allow(unsafe_code, reason = "an ioctl")]

use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes that the peer's machine has not acknowledged (tcp(7), `SIOCOUTQ`); of a Unix socket, memory that its peer has not read
/// out. 0 if the system does not tell.
pub(crate) fn unacknowledged(socket: BorrowedFd<'_>) -> u64 {
    let mut len: libc::c_int = 0;
    // SAFETY: this ioctl writes one int, to which the pointer leads.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut len) };
    if outcome < 0 { 0 } else { u64::try_from(len).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn what_the_peer_has_acknowledged_is_not_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(len) = ours.write(&[0; 65536]) {
            written += len;
        }
        let kept = unacknowledged(ours.as_fd());
        assert!(kept > 0 && kept < written as u64, "{kept} of {written}");
        theirs.read_exact(&mut vec![0; written]).unwrap();
        // The last acknowledgement may be on its way.
        while unacknowledged(ours.as_fd()) > 0 {
            std::thread::yield_now();
        }
    }
}
