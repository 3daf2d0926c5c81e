//! What is still on its way to the peer? The [`Outbox`]: ordered output, and the only thing that writes to a transport.
//!
//! Two threads meet here: the one that runs the application, which writes, and the holder of the I/O role, which flushes
//! what the socket did not take. Neither holds the lock during a system call: it marks the outbox *busy*,
//! unlocks, writes, locks again and puts what is left back in front. While it is busy the other only appends, or
//! notes that the socket has become writable *again*, so that no edge of the poller is lost.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{Buf, Bytes};
use funicorn_http::FileRange;

use crate::transport::Transport;

/// Pieces of one vectored write.
const PIECES: usize = 16;

/// Bytes of a file that one `sendfile` is asked for.
const FILE_STEP: u64 = 1024 * 1024;

/// The peer will get nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Nothing is left.
    Done,
    /// The socket is full; an event will tell when it is not.
    Pending,
    /// The socket takes more, but others want a turn.
    More,
    /// The peer has gone, or the output was broken off.
    Broken,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Told when the memory in use has shrunk or the output is broken.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Piece>,
    /// Bytes in memory among `pieces`, also while a writer has taken them.
    memory: usize,
    /// Somebody writes with the lock released.
    busy: bool,
    /// The socket became writable while somebody was busy.
    again: bool,
    broken: bool,
    /// When output last left, or first had to wait.
    progress_at: Option<Instant>,
}

#[derive(Debug)]
enum Piece {
    Memory(Bytes),
    File(FileRange),
}

/// One block with what goes before and after it.
pub(crate) struct Block<'a> {
    /// Copied when it must be kept.
    pub(crate) front: &'a [u8],
    pub(crate) body: &'a [u8],
    /// An owned handle to `body[taken..]`, asked for at most once.
    pub(crate) own: &'a mut dyn FnMut(usize) -> Bytes,
    /// Copied when it must be kept.
    pub(crate) back: &'a [u8],
}

impl Block<'_> {
    fn len(&self) -> usize {
        self.front.len() + self.body.len() + self.back.len()
    }

    /// What is left after `written` bytes have gone.
    fn rest(self, written: usize, pieces: &mut VecDeque<Piece>) -> usize {
        let mut kept = 0;
        let mut keep = |bytes: Bytes| {
            if !bytes.is_empty() {
                kept += bytes.len();
                pieces.push_back(Piece::Memory(bytes));
            }
        };
        let front = written.min(self.front.len());
        keep(Bytes::copy_from_slice(&self.front[front..]));
        let body = (written - front).min(self.body.len());
        if body < self.body.len() {
            keep((self.own)(body));
        }
        keep(Bytes::copy_from_slice(&self.back[written - front - body..]));
        kept
    }
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; and if it did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what the socket takes of `bytes` and keeps a copy of the rest.
    pub(crate) fn write(&self, transport: &Transport, bytes: &[u8]) -> Result<usize, Broken> {
        self.write_block(transport, Block { front: bytes, body: &[], own: &mut |_| Bytes::new(), back: &[] })
    }

    /// Writes what the socket takes of `block` and keeps the rest. Returns how many bytes are kept in memory now.
    pub(crate) fn write_block(&self, transport: &Transport, block: Block<'_>) -> Result<usize, Broken> {
        let mut state = self.lock();
        if state.broken {
            return Err(Broken);
        }
        if state.busy || !state.pieces.is_empty() {
            let State { pieces, memory, .. } = &mut *state;
            *memory += block.rest(0, pieces);
            return Ok(*memory);
        }
        state.busy = true;
        drop(state);
        let result = match (block.body, block.back) {
            ([], []) => transport.write(block.front),
            (body, back) => {
                transport.write_vectored(&[IoSlice::new(block.front), IoSlice::new(body), IoSlice::new(back)])
            }
        };
        let mut state = self.lock();
        state.busy = false;
        let written = match result {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.break_state(state);
                return Err(Broken);
            }
        };
        if written == block.len() && state.pieces.is_empty() {
            state.again = false;
            return Ok(0);
        }
        let mut pieces = VecDeque::new();
        let kept = block.rest(written, &mut pieces);
        state.memory += kept;
        state.put_back(pieces);
        state.progress_at = Some(Instant::now());
        drop(state);
        // A short write is not yet a full socket: only EAGAIN promises an event.
        match self.flush(transport, usize::MAX) {
            Flush::Broken => Err(Broken),
            _ => Ok(self.lock().memory),
        }
    }

    /// Appends a part of a file, and sends what the socket takes.
    pub(crate) fn write_file(
        &self,
        transport: &Transport,
        range: FileRange,
        budget: usize,
    ) -> Result<(), Broken> {
        let mut state = self.lock();
        if state.broken {
            return Err(Broken);
        }
        state.progress_at.get_or_insert_with(Instant::now);
        state.pieces.push_back(Piece::File(range));
        drop(state);
        if self.flush(transport, budget) == Flush::Broken { Err(Broken) } else { Ok(()) }
    }

    /// Writes until nothing is left, the socket is full, or about `budget` bytes have gone.
    pub(crate) fn flush(&self, transport: &Transport, budget: usize) -> Flush {
        let mut spent = 0;
        let mut state = self.lock();
        loop {
            if state.broken {
                return Flush::Broken;
            }
            if state.busy {
                state.again = true;
                return Flush::Pending;
            }
            if state.pieces.is_empty() {
                state.progress_at = None;
                return Flush::Done;
            }
            if spent >= budget {
                return Flush::More;
            }
            state.busy = true;
            state.again = false;
            let mut pieces = std::mem::take(&mut state.pieces);
            drop(state);
            let result = write_pieces(transport, &mut pieces);
            state = self.lock();
            state.busy = false;
            state.put_back(pieces);
            match result {
                Ok(sent) => {
                    spent += sent.memory + sent.file;
                    state.memory -= sent.memory;
                    state.progress_at = Some(Instant::now());
                    self.progress.notify_all();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !state.again {
                        return Flush::Pending;
                    }
                }
                Err(_) => {
                    self.break_state(state);
                    return Flush::Broken;
                }
            }
        }
    }

    /// Since when output has waited without progress.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        let state = self.lock();
        if state.pieces.is_empty() { None } else { state.progress_at }
    }

    /// Waits until at most `memory` bytes are kept. The flusher is another thread.
    pub(crate) fn wait_for_room(&self, memory: usize) -> Result<(), Broken> {
        let mut state = self.lock();
        while !state.broken && state.memory > memory {
            state = self.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.broken { Err(Broken) } else { Ok(()) }
    }

    /// Gives up what waits; every later write fails.
    pub(crate) fn break_off(&self) {
        self.break_state(self.lock());
    }

    fn break_state(&self, mut state: MutexGuard<'_, State>) {
        state.broken = true;
        state.memory = 0;
        let pieces = std::mem::take(&mut state.pieces);
        drop(state);
        self.progress.notify_all();
        // Dropping a piece may run the code of whoever owns its bytes: not under the lock.
        drop(pieces);
    }
}

impl State {
    /// Puts what a writer had taken back in front of what was appended meanwhile.
    fn put_back(&mut self, mut pieces: VecDeque<Piece>) {
        if self.broken {
            return;
        }
        pieces.append(&mut self.pieces);
        self.pieces = pieces;
    }
}

/// What one write sent, by where it came from.
struct Sent {
    memory: usize,
    file: usize,
}

/// Writes the first pieces, as many as go into one system call, and removes what was sent.
fn write_pieces(transport: &Transport, pieces: &mut VecDeque<Piece>) -> io::Result<Sent> {
    if let Some(Piece::File(range)) = pieces.front_mut() {
        let file = write_file_step(transport, range)?;
        if range.len == 0 {
            pieces.pop_front();
        }
        return Ok(Sent { memory: 0, file });
    }
    let mut slices = [IoSlice::new(&[]); PIECES];
    let mut count = 0;
    for (slot, piece) in slices.iter_mut().zip(pieces.iter()) {
        let Piece::Memory(bytes) = piece else { break };
        *slot = IoSlice::new(bytes);
        count += 1;
    }
    let memory = transport.write_vectored(&slices[..count])?;
    let mut left = memory;
    while left > 0 {
        let Some(Piece::Memory(bytes)) = pieces.front_mut() else { break };
        let taken = left.min(bytes.len());
        bytes.advance(taken);
        left -= taken;
        if bytes.is_empty() {
            pieces.pop_front();
        }
    }
    Ok(Sent { memory, file: 0 })
}

fn write_file_step(transport: &Transport, range: &mut FileRange) -> io::Result<usize> {
    if range.len == 0 {
        return Ok(0);
    }
    let step = range.len.min(FILE_STEP) as usize;
    let sent = transport.send_file(&range.file, range.offset, step)?;
    if sent == 0 {
        log::warn!("a file became shorter while it was sent: the connection is cut");
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    range.offset += sent as u64;
    range.len -= sent as u64;
    Ok(sent)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(outbox.stalled_since(), None);
    }

    #[test]
    fn a_vanished_peer_breaks_the_outbox() {
        let (transport, peer) = pair();
        drop(peer);
        let outbox = Outbox::default();
        assert_eq!(outbox.write(&transport, b"x"), Err(Broken));
        assert_eq!(outbox.flush(&transport, usize::MAX), Flush::Broken);
        assert_eq!(outbox.wait_for_room(0), Err(Broken));
    }

    #[test]
    fn room_is_waited_for() {
        let (transport, mut peer) = pair();
        let outbox = Outbox::default();
        let large = Bytes::from(vec![7; 4_000_000]);
        let block = Block { front: b"", body: &large, own: &mut |taken| large.slice(taken..), back: b"" };
        outbox.write_block(&transport, block).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| outbox.wait_for_room(1000));
            scope.spawn(|| read_exactly(&mut peer, 4_000_000));
            while outbox.flush(&transport, usize::MAX) != Flush::Done {
                std::thread::yield_now();
            }
            assert_eq!(waiting.join().unwrap(), Ok(()));
        });
    }
}
