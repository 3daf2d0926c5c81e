//! Whose is the file of a Unix socket? Nobody's when no one listens at it; ours from bind to drop, in the process that bound.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::BindError;
use crate::BindAddress;

/// Removes a socket file left by a server that ended without removing it.
pub(super) fn clear(address: &BindAddress, path: &Path) -> Result<(), BindError> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        // A missing directory, or one without rights, shows itself in bind(2), whose error is the one to report.
        Err(_) => return Ok(()),
    };
    if !kind.is_socket() {
        return Err(BindError::NotASocket(address.clone()));
    }
    if is_listened_at(path) {
        return Err(BindError::InUse(address.clone()));
    }
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(super::classify(address, error)),
    }
}

/// Only a refused connection proves that nobody listens; without the right to connect, nothing is known.
fn is_listened_at(path: &Path) -> bool {
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A full backlog is an answer too, not a reason to wait.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match connect() {
        Ok(()) => true,
        Err(error) => error.raw_os_error() != Some(Errno::CONNREFUSED.raw_os_error()),
    }
}

/// A socket file that this process made.
#[derive(Debug)]
pub(super) struct BoundPath {
    path: PathBuf,
    process: u32,
    /// Device and inode, since another server may have put its own file there in the meantime.
    identity: Option<(u64, u64)>,
}

impl BoundPath {
    /// Notes the file that bind(2) has made at `path`, absolute so that a later change of directory does not matter.
    pub(super) fn new(path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let identity = identity(&path);
        Self { path, process: std::process::id(), identity }
    }

    /// Says who may connect: that takes the right to write.
    ///
    /// The file is opened first, without following a link, and changed by its descriptor: somebody who may write to the directory
    /// could have put a link to another file into its place.
    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        let file =
            rustix::fs::open(&self.path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let found = rustix::fs::fstat(&file)?;
        if Some((found.st_dev, found.st_ino)) != self.identity
            || !FileType::from_raw_mode(found.st_mode).is_socket()
        {
            return Err(io::Error::other("the file of the socket was replaced while it was being made"));
        }
        if found.st_mode & 0o777 == mode {
            return Ok(());
        }
        // There is no fchmod for what is opened so; the link in /proc leads to the file itself, whatever its name is by now.
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        fs::set_permissions(link, fs::Permissions::from_mode(mode))
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        if self.process == std::process::id()
            && self.identity.is_some()
            && identity(&self.path) == self.identity
        {
            // Nothing is lost when it stays: the next server replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
