//! The outbox over real sockets: order, back-pressure, a peer that vanishes.

use super::*;
use std::io::{Read, Seek, Write};
use std::os::unix::net::UnixStream;

fn pair() -> (Transport, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Transport::plain(ours.into()), theirs)
}

fn read_exactly(peer: &mut UnixStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    peer.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn what_fits_leaves_at_once() {
    let (transport, mut peer) = pair();
    let outbox = Outbox::default();
    let block =
        Block { front: b"head ", body: b"body", own: &mut |_| panic!("nothing is kept"), back: b" end" };
    assert_eq!(outbox.write_block(&transport, block), Ok(0));
    assert_eq!(read_exactly(&mut peer, 13), b"head body end");
    assert_eq!(outbox.flush(&transport, usize::MAX), Flush::Done);
}

#[test]
fn what_does_not_fit_is_kept_in_order() {
    let (transport, mut peer) = pair();
    let outbox = Outbox::default();
    let large: Vec<u8> = (0..4_000_000u32).map(|at| at as u8).collect();
    let large = Bytes::from(large);
    let block = Block { front: b"<", body: &large, own: &mut |taken| large.slice(taken..), back: b">" };
    assert!(outbox.write_block(&transport, block).unwrap() > 0);
    assert_eq!(outbox.flush(&transport, usize::MAX), Flush::Pending);
    outbox.write(&transport, b"next").unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    file.rewind().unwrap();
    outbox.write_file(&transport, FileRange { file, offset: 2, len: 5 }, usize::MAX).unwrap();

    let reader = std::thread::spawn(move || read_exactly(&mut peer, 4_000_011));
    while outbox.flush(&transport, 1 << 16) != Flush::Done {
        std::thread::yield_now();
    }
    let got = reader.join().unwrap();
    assert_eq!(got[0], b'<');
    assert_eq!(&got[1..4_000_001], &large[..]);
    assert_eq!(&got[4_000_001..], b">next23456");
    assert_eq!(outbox.lock().memory, 0);
    assert_eq!((outbox.waiting(&transport), outbox.lock().pieces.capacity()), (None, 0));
}

#[test]
fn a_vanished_peer_breaks_the_outbox() {
    let (transport, peer) = pair();
    drop(peer);
    let outbox = Outbox::default();
    assert_eq!(outbox.write(&transport, b"x"), Err(Broken));
    assert_eq!(outbox.flush(&transport, usize::MAX), Flush::Broken);
    assert_eq!(outbox.wait_for_room(0, None), Err(Broken));
}

#[test]
fn room_is_waited_for() {
    let (transport, mut peer) = pair();
    let outbox = Outbox::default();
    let large = Bytes::from(vec![7; 4_000_000]);
    let block = Block { front: b"", body: &large, own: &mut |taken| large.slice(taken..), back: b"" };
    outbox.write_block(&transport, block).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| outbox.wait_for_room(1000, None));
        scope.spawn(|| read_exactly(&mut peer, 4_000_000));
        while outbox.flush(&transport, usize::MAX) != Flush::Done {
            std::thread::yield_now();
        }
        assert_eq!(waiting.join().unwrap(), Ok(Room::Made));
    });
}

#[test]
fn gathered_blocks_leave_at_the_flush_and_in_order() {
    let (transport, mut peer) = pair();
    let outbox = Outbox::default();
    assert_eq!(outbox.gather(&mut b"a".to_vec()), Ok(1));
    assert_eq!(outbox.gather(&mut b"b".to_vec()), Ok(2));
    assert_eq!(outbox.memory(), 2);
    peer.set_nonblocking(true).unwrap();
    assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    peer.set_nonblocking(false).unwrap();
    assert_eq!(outbox.flush(&transport, usize::MAX), Flush::Done);
    assert_eq!(read_exactly(&mut peer, 2), b"ab");
    assert_eq!(outbox.gather(&mut b"c".to_vec()), Ok(1));
    outbox.write(&transport, b"d").unwrap();
    assert_eq!(read_exactly(&mut peer, 2), b"cd");
    assert_eq!(outbox.gather(&mut b"e".to_vec()), Ok(1));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"f").unwrap();
    outbox.write_file(&transport, FileRange { file, offset: 0, len: 1 }, usize::MAX).unwrap();
    assert_eq!(read_exactly(&mut peer, 2), b"ef");
    assert_eq!(outbox.memory(), 0);
}

#[test]
fn gathered_blocks_wait_from_the_moment_at_which_the_socket_refuses_them() {
    let (transport, mut peer) = pair();
    let mut written = 0;
    while let Ok(len) = transport.write(&[0; 1000]) {
        written += len;
    }
    let outbox = Outbox::default();
    outbox.gather(&mut b"a".to_vec()).unwrap();
    assert_eq!(outbox.waiting(&transport), None, "nobody has tried to send it");
    assert_eq!(outbox.flush(&transport, usize::MAX), Flush::Pending);
    let waiting = outbox.waiting(&transport).unwrap();
    assert!(waiting.sent == 0 && waiting.unacknowledged > 0, "{waiting:?}");
    read_exactly(&mut peer, written);
    assert_eq!(outbox.flush(&transport, usize::MAX), Flush::Done);
    assert_eq!((outbox.waiting(&transport), outbox.lock().sent), (None, 1));
}

#[test]
fn what_is_gathered_is_dropped_with_the_rest() {
    let outbox = Outbox::default();
    outbox.gather(&mut b"a".to_vec()).unwrap();
    outbox.break_off();
    assert_eq!(outbox.gather(&mut b"b".to_vec()), Err(Broken));
    assert_eq!(outbox.memory(), 0);
}
