//! Where do connections come from? From listening sockets, bound once by the supervisor and shared by all workers.

mod inherited;
mod unix_path;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use funicorn_http::Address;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use socket2::{Domain, Socket, Type};

use crate::{BindAddress, fork_guard};
use unix_path::BoundPath;

/// Connections that may wait to be accepted, as gunicorn has it; the kernel caps it at `net.core.somaxconn`.
pub const BACKLOG: i32 = 2048;

/// A listening socket: non-blocking, closed on exec.
///
/// The file of a Unix socket is removed when the listener is dropped in the process that bound it.
///
/// ```
/// use funicorn_net::{BACKLOG, Listener};
///
/// let listener = Listener::bind(&"127.0.0.1:0".parse()?, BACKLOG)?.remove(0);
/// let client = std::net::TcpStream::connect(listener.local().to_string())?;
/// let (socket, peer) = listener.accept()?;
/// assert_eq!(peer.to_string(), client.local_addr()?.to_string());
/// # drop(socket);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    local: Address,
    /// Whether connections may wait that are older than this listener, and have none of its socket options.
    inherited: bool,
    /// The file to remove at the end; `None` for TCP and for inherited sockets.
    _path: Option<BoundPath>,
}

/// Why an address cannot be listened at: the address, and what the operator can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another process listens there.
    #[error("{0} is in use; stop the program that listens there, or choose another address with --bind")]
    InUse(BindAddress),
    /// The system forbids it.
    #[error("no right to listen at {0}: {advice}", advice = advise(.0))]
    Forbidden(BindAddress),
    /// The host name is unknown.
    #[error("the host of {0} cannot be resolved: {1}")]
    Resolve(BindAddress, #[source] io::Error),
    /// The IP address belongs to no interface of this machine.
    #[error("{0} is no address of this machine; 0.0.0.0 stands for all of them")]
    NotOurs(BindAddress),
    /// Something other than a socket lies at the path of a Unix socket.
    #[error("{0}: there is a file that is not a socket; remove it, or choose another path")]
    NotASocket(BindAddress),
    /// The inherited descriptor is no listening stream socket.
    #[error(
        "{0} is not an inherited stream socket that listens; pass one, for example by systemd socket activation"
    )]
    NotListening(BindAddress),
    /// Any other error of the system.
    #[error("cannot listen at {0}: {1}")]
    System(BindAddress, #[source] io::Error),
}

fn advise(address: &BindAddress) -> &'static str {
    match address {
        BindAddress::Tcp { .. } => "ports below 1024 need root or CAP_NET_BIND_SERVICE",
        _ => "check who may write to the directory",
    }
}

impl Listener {
    /// Listens at `address`. A host name that stands for several IP addresses gives a listener for each.
    ///
    /// A socket file that nobody listens at any more is replaced. Everybody may connect to a new one, as with gunicorn's default,
    /// whatever the umask of the process: see [`bind_masked`](Self::bind_masked).
    ///
    /// # Errors
    /// See [`BindError`]; no listener is left behind then.
    pub fn bind(address: &BindAddress, backlog: i32) -> Result<Vec<Self>, BindError> {
        Self::bind_masked(address, backlog, 0)
    }

    /// As [`bind`](Self::bind), with the bits of `umask` taken out of the mode of a Unix socket's file (0 to 0o777): with 0o007 its owner
    /// and its group may connect. Other addresses have no mode.
    ///
    /// # Errors
    /// See [`BindError`]; no listener is left behind then.
    pub fn bind_masked(address: &BindAddress, backlog: i32, umask: u32) -> Result<Vec<Self>, BindError> {
        match address {
            BindAddress::Tcp { host, port } => bind_host(address, host, *port, backlog),
            BindAddress::Unix(path) => Ok(vec![bind_unix(address, path, backlog, 0o777 & !umask)?]),
            BindAddress::Fd(fd) => {
                let socket = inherited::duplicate(*fd).and_then(adopt);
                let socket = socket.map_err(|error| classify(address, error))?;
                let listener = socket.ok_or_else(|| BindError::NotListening(address.clone()))?;
                inherited::close_original(*fd);
                Ok(vec![listener])
            }
        }
    }

    /// The address that it listens at, with the port that the system chose for port 0.
    #[must_use]
    pub fn local(&self) -> &Address {
        &self.local
    }

    /// Takes the next waiting connection and the address of its peer, without waiting.
    ///
    /// The socket is non-blocking, closed on exec and, over TCP, sends small segments at once (it inherits
    /// `TCP_NODELAY` from the listener, which saves a system call per connection; but a client may have connected to an
    /// inherited listener before the option was set).
    ///
    /// # Errors
    /// `WouldBlock` when no connection waits; otherwise what the system says, for example that there is no descriptor left.
    /// Errors that belong to a connection which failed while it waited are skipped (accept(2), "Error handling").
    pub fn accept(&self) -> io::Result<(OwnedFd, Address)> {
        loop {
            match rustix::net::acceptfrom_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((socket, peer)) => {
                    if self.inherited && matches!(self.local, Address::Tcp(_)) {
                        // It fails only when the peer has gone already.
                        let _ = sockopt::set_tcp_nodelay(&socket, true);
                    }
                    return Ok((socket, peer.map_or(Address::Unix(None), to_address)));
                }
                Err(error) if belongs_to_the_connection(error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn new(socket: OwnedFd, path: Option<BoundPath>, inherited: bool) -> io::Result<Self> {
        let local = to_address(rustix::net::getsockname(&socket)?);
        if matches!(local, Address::Tcp(_)) {
            sockopt::set_tcp_nodelay(&socket, true)?;
        }
        fork_guard::watch(socket.as_fd());
        Ok(Self { socket, local, inherited, _path: path })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        fork_guard::unwatch(self.socket.as_raw_fd());
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn belongs_to_the_connection(error: Errno) -> bool {
    matches!(
        error,
        Errno::INTR
            | Errno::CONNABORTED
            | Errno::NETDOWN
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH
    )
}

/// A client's Unix socket usually has no name, which the kernel reports as an address of no family or an empty path.
fn to_address(address: SocketAddrAny) -> Address {
    if let Ok(addr) = SocketAddr::try_from(address.clone()) {
        return Address::Tcp(addr);
    }
    let path = SocketAddrUnix::try_from(address).ok();
    let path = path.as_ref().and_then(SocketAddrUnix::path);
    Address::Unix(path.map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes()))))
}

fn bind_host(address: &BindAddress, host: &str, port: u16, backlog: i32) -> Result<Vec<Listener>, BindError> {
    let resolved =
        (host, port).to_socket_addrs().map_err(|error| BindError::Resolve(address.clone(), error))?;
    let mut listeners = Vec::new();
    let mut seen: Vec<SocketAddr> = Vec::new();
    let mut absent = None;
    for addr in resolved {
        if seen.contains(&addr) {
            continue;
        }
        seen.push(addr);
        match bind_tcp(addr, backlog) {
            Ok(listener) => listeners.push(listener),
            // `localhost` stands for ::1 too on machines without IPv6.
            Err(error) if is_absent(&error) => absent = Some(error),
            Err(error) => return Err(classify(address, error)),
        }
    }
    match absent {
        Some(error) if listeners.is_empty() => Err(classify(address, error)),
        _ if listeners.is_empty() => Err(BindError::NotOurs(address.clone())),
        _ => Ok(listeners),
    }
}

fn is_absent(error: &io::Error) -> bool {
    let absent = [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| absent.contains(&code))
}

fn bind_tcp(addr: SocketAddr, backlog: i32) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    // So that a restart need not wait for the connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Listener::new(socket.into(), None, false)
}

fn bind_unix(address: &BindAddress, path: &Path, backlog: i32, mode: u32) -> Result<Listener, BindError> {
    unix_path::clear(address, path)?;
    let bind = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&socket2::SockAddr::unix(path)?)?;
        let path = BoundPath::new(path);
        // Before anybody can connect; the umask of the process, which other threads have a part in, is left alone.
        path.set_mode(mode)?;
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        Listener::new(socket.into(), Some(path), false)
    };
    bind().map_err(|error| classify(address, error))
}

/// Makes an inherited socket a listener; `None` if it is not a stream socket that listens.
fn adopt(socket: OwnedFd) -> io::Result<Option<Listener>> {
    let is_ours = || {
        let family = sockopt::socket_domain(&socket)?;
        let known = [AddressFamily::INET, AddressFamily::INET6, AddressFamily::UNIX].contains(&family);
        Ok::<_, Errno>(
            known
                && sockopt::socket_type(&socket)? == SocketType::STREAM
                && sockopt::socket_acceptconn(&socket)?,
        )
    };
    match is_ours() {
        Ok(true) => {
            rustix::io::ioctl_fionbio(&socket, true)?;
            Listener::new(socket, None, true).map(Some)
        }
        Ok(false) | Err(Errno::NOTSOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn classify(address: &BindAddress, error: io::Error) -> BindError {
    let address = address.clone();
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::ADDRINUSE) => BindError::InUse(address),
        Some(Errno::ACCESS | Errno::PERM) => BindError::Forbidden(address),
        Some(Errno::ADDRNOTAVAIL) => BindError::NotOurs(address),
        Some(Errno::BADF) => BindError::NotListening(address),
        _ => BindError::System(address, error),
    }
}

#[cfg(test)]
mod tests;
