//! Listeners against the kernel: what is bound, accepted, refused and left behind.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;

fn bind(text: &str) -> Result<Vec<Listener>, BindError> {
    Listener::bind(&text.parse().unwrap(), BACKLOG)
}

fn bind_one(text: &str) -> Listener {
    bind(text).unwrap().pop().unwrap()
}

#[test]
fn a_link_in_the_place_of_the_socket_is_not_followed() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let (path, other) = (directory.path().join("socket"), directory.path().join("other"));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let bound = unix_path::BoundPath::new(&path);
    bound.set_mode(0o770).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o770);
    std::fs::write(&other, "").unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
    for replace in [
        |from: &std::path::Path, to: &std::path::Path| std::os::unix::fs::symlink(from, to),
        |from: &std::path::Path, to: &std::path::Path| std::fs::hard_link(from, to),
    ] {
        std::fs::remove_file(&path).unwrap();
        replace(&other, &path).unwrap();
        bound.set_mode(0o777).unwrap_err();
        assert_eq!(std::fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0o600);
    }
    drop(listener);
}

fn port(listener: &Listener) -> u16 {
    match listener.local() {
        Address::Tcp(addr) => addr.port(),
        other => panic!("{other}"),
    }
}

fn wait_readable(fd: impl AsFd) {
    let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, None).unwrap();
}

#[test]
fn accepts_over_tcp_without_waiting_and_without_delay() {
    let listener = bind_one("127.0.0.1:0");
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let client = TcpStream::connect(("127.0.0.1", port(&listener))).unwrap();
    wait_readable(&listener);
    let (socket, peer) = listener.accept().unwrap();
    assert_eq!(peer, Address::Tcp(client.local_addr().unwrap()));
    assert!(sockopt::tcp_nodelay(&socket).unwrap());
    let flags = rustix::fs::fcntl_getfl(&socket).unwrap();
    assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
    let flags = rustix::io::fcntl_getfd(&socket).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn a_port_in_use_is_refused() {
    let listener = bind_one("127.0.0.1:0");
    let error = bind(&format!("127.0.0.1:{}", port(&listener))).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)), "{error}");
}

#[test]
fn an_address_that_is_not_ours() {
    let error = bind("192.0.2.1:0").unwrap_err();
    assert!(matches!(error, BindError::NotOurs(_)), "{error}");
    let error = bind("no-such-host.invalid:0").unwrap_err();
    assert!(matches!(error, BindError::Resolve(..)), "{error}");
}

#[test]
fn a_name_binds_every_address_it_stands_for() {
    assert!(!bind("localhost:0").unwrap().is_empty());
}

#[test]
fn a_unix_socket_is_removed_by_who_bound_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let listener = bind_one(&format!("unix:{}", path.display()));
    assert_eq!(listener.local(), &Address::Unix(Some(path.clone())));
    let mut client = UnixStream::connect(&path).unwrap();
    wait_readable(&listener);
    let (socket, peer) = listener.accept().unwrap();
    assert_eq!(peer, Address::Unix(None));
    std::fs::File::from(socket).write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_not_ours_any_more_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let listener = bind_one(&format!("unix:{}", path.display()));
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(path.exists());
}

#[test]
fn a_stale_socket_file_is_replaced_and_a_live_one_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let address = format!("unix:{}", path.display());
    let other = UnixListener::bind(&path).unwrap();
    let error = bind(&address).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)), "{error}");
    drop(other);
    assert!(path.exists());
    bind_one(&address);
    std::fs::write(&path, "precious").unwrap();
    let error = bind(&address).unwrap_err();
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn an_inherited_socket_is_taken_by_its_number() {
    let inherited = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = inherited.local_addr().unwrap();
    let _client = TcpStream::connect(addr).unwrap();
    let number = inherited.into_raw_fd();
    let listener = bind_one(&format!("fd://{number}"));
    assert_eq!(listener.local(), &Address::Tcp(addr));
    wait_readable(&listener);
    let (socket, _) = listener.accept().unwrap();
    assert!(
        sockopt::tcp_nodelay(&socket).unwrap(),
        "a client that was there before us is sent to without delay too"
    );
}

#[test]
fn what_does_not_listen_is_not_taken() {
    let (stream, _other) = UnixStream::pair().unwrap();
    let file = OwnedFd::from(tempfile::tempfile().unwrap());
    for number in [stream.as_raw_fd(), file.as_raw_fd(), 1_000_000] {
        let error = bind(&format!("fd://{number}")).unwrap_err();
        assert!(matches!(error, BindError::NotListening(_)), "{error}");
    }
}
