//! What is still on its way to the peer? The [`Outbox`]: ordered output, and the only thing that writes to a transport.
//!
//! Two threads meet here: the one that runs the application, which writes, and the holder of the I/O role, which flushes
//! what the socket did not take. Neither holds the lock during a system call: it marks the outbox *busy*,
//! unlocks, writes, locks again and puts what is left back in front. While it is busy the other only appends, or
//! notes that the socket has become writable *again*, so that no edge of the poller is lost.
//!
//! Small blocks of a stream can be *gathered*: kept without a write, for whoever has undertaken to flush them soon.

mod piece;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bytes::Bytes;
use funicorn_http::FileRange;

use crate::pace::Waiting;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, wait_for_tick};
use crate::transport::Transport;
pub(crate) use piece::SpooledRange;
use piece::{Piece, write_output};

/// The peer will get nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Why a wait for room is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is room.
    Made,
    /// There may be none, but the waiting thread has something else to do first.
    Interrupted,
}

/// How often a thread that waits for room looks whether it has something else to do.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Nothing is left.
    Done,
    /// The socket is full; an event will tell when it is not.
    Pending,
    /// The socket may take more, but others want a turn, or another thread is writing just now.
    More,
    /// The peer has gone, or the output was broken off.
    Broken,
}

/// What follows a flush that has left nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// More output, or something that does not concern the transport.
    Any,
    /// At once the end of our sending side.
    End,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Told when the memory in use has shrunk or the output is broken.
    progress: Condvar,
    /// Whether the socket has ever refused output.
    has_been_full: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    pieces: VecDeque<Piece>,
    /// Small blocks that stand behind `pieces`.
    gathered: Vec<u8>,
    /// Bytes in memory in both, also while a writer has taken them.
    memory: usize,
    /// Bytes in spool files, likewise.
    spooled: u64,
    /// The socket has refused more: an event will tell when it takes some.
    full: bool,
    /// Somebody writes with the lock released.
    busy: bool,
    /// The socket became writable while somebody was busy.
    again: bool,
    broken: bool,
    /// Threads that wait for progress. To tell it is a system call, whether anybody waits or not.
    waiters: usize,
    /// Since when there has always been output that waits: the socket refused some then.
    waiting_since: Option<Instant>,
    /// Bytes that have left after they had to wait.
    sent: u64,
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
        if state.busy || !state.is_empty() {
            drop(state);
            return self.append(transport, block);
        }
        state.busy = true;
        drop(state);
        let result = match (block.body, block.back) {
            ([], []) => transport.write(block.front),
            (body, back) => {
                transport.write_vectored(&[IoSlice::new(block.front), IoSlice::new(body), IoSlice::new(back)])
            }
        };
        let written = match result {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                let mut state = self.lock();
                state.busy = false;
                self.break_state(state);
                return Err(Broken);
            }
        };
        let mut rest = VecDeque::new();
        let kept = if written < block.len() { block.rest(written, &mut rest) } else { 0 };
        let mut state = self.lock();
        state.busy = false;
        if rest.is_empty() && state.is_empty() {
            state.again = false;
            return Ok(0);
        }
        state.memory += kept;
        state.put_back(rest);
        drop(state);
        // A short write is not yet a full socket: only EAGAIN promises an event.
        self.flush_all(transport)
    }

    /// Keeps `block` behind what waits already. Its owned handle is asked for with nothing locked, since that may wait
    /// for the interpreter, whose holder may wait for the lock.
    fn append(&self, transport: &Transport, block: Block<'_>) -> Result<usize, Broken> {
        let mut rest = VecDeque::new();
        let kept = block.rest(0, &mut rest);
        let mut state = self.lock();
        if state.broken {
            return Err(Broken);
        }
        state.queue_gathered();
        state.memory += kept;
        state.pieces.append(&mut rest);
        let (full, memory) = (state.full, state.memory);
        drop(state);
        // Unless the socket is full, no event is due that would send this.
        if full { Ok(memory) } else { self.flush_all(transport) }
    }

    /// Keeps `bytes`, which are empty afterwards, without writing. Returns how many bytes are gathered now: if these are the
    /// first, the caller has to see to a [`flush`](Self::flush).
    pub(crate) fn gather(&self, bytes: &mut Vec<u8>) -> Result<usize, Broken> {
        let mut state = self.lock();
        if state.broken {
            return Err(Broken);
        }
        state.memory += bytes.len();
        if state.gathered.is_empty() {
            std::mem::swap(&mut state.gathered, bytes);
        } else {
            state.gathered.append(bytes);
        }
        Ok(state.gathered.len())
    }

    fn flush_all(&self, transport: &Transport) -> Result<usize, Broken> {
        match self.flush(transport, usize::MAX) {
            Flush::Broken => Err(Broken),
            Flush::Done | Flush::Pending | Flush::More => Ok(self.memory()),
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
        state.queue_gathered();
        state.pieces.push_back(Piece::File(range));
        drop(state);
        if self.flush(transport, budget) == Flush::Broken { Err(Broken) } else { Ok(()) }
    }

    /// Appends what has been written to a spool file. Returns how many bytes are kept in memory now.
    pub(crate) fn append_spooled(&self, transport: &Transport, range: SpooledRange) -> Result<usize, Broken> {
        let mut state = self.lock();
        if state.broken {
            return Err(Broken);
        }
        state.queue_gathered();
        state.spooled += range.len;
        match state.pieces.back_mut() {
            Some(Piece::Spooled(last)) if last.is_followed_by(&range) => last.len += range.len,
            _ => state.pieces.push_back(Piece::Spooled(range)),
        }
        let (full, memory) = (state.full, state.memory);
        drop(state);
        // As in `append`.
        if full { Ok(memory) } else { self.flush_all(transport) }
    }

    /// Writes until nothing is left, the socket is full, or about `budget` bytes have gone.
    pub(crate) fn flush(&self, transport: &Transport, budget: usize) -> Flush {
        self.flush_before(Next::Any, transport, budget)
    }

    /// Writes as [`flush`](Self::flush) does, before what comes `next`.
    pub(crate) fn flush_before(&self, next: Next, transport: &Transport, budget: usize) -> Flush {
        let mut spent = 0;
        let mut state = self.lock();
        loop {
            if state.broken {
                return Flush::Broken;
            }
            if state.busy {
                // Whoever is writing goes on with what is here; but no event will tell when it has.
                state.again = true;
                return Flush::More;
            }
            if state.is_empty() {
                state.waiting_since = None;
                return Flush::Done;
            }
            if spent >= budget {
                return Flush::More;
            }
            state.busy = true;
            state.again = false;
            state.full = false;
            let (mut pieces, gathered) =
                (std::mem::take(&mut state.pieces), std::mem::take(&mut state.gathered));
            drop(state);
            let result = write_output(transport, &mut pieces, gathered, next);
            state = self.lock();
            state.busy = false;
            state.put_back(pieces);
            match result {
                Ok(sent) => {
                    spent += sent.total();
                    state.sent += sent.total() as u64;
                    // If it was broken off meanwhile, nothing counts any more.
                    state.memory = state.memory.saturating_sub(sent.memory);
                    state.spooled = state.spooled.saturating_sub(sent.spooled as u64);
                    if state.waiters > 0 {
                        self.progress.notify_all();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !state.again {
                        state.full = true;
                        state.waiting_since.get_or_insert_with(Instant::now);
                        self.has_been_full.store(true, Ordering::Relaxed);
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

    /// How many bytes are kept in memory.
    pub(crate) fn memory(&self) -> usize {
        self.lock().memory
    }

    /// Whether the socket has ever refused output, so that the poller is to tell when it takes some.
    pub(crate) fn has_been_full(&self) -> bool {
        // Whoever was refused asks next, and whoever asks first does what is to be done.
        self.has_been_full.load(Ordering::Relaxed)
    }

    /// What waits, if something does, for a client that has not read what `transport` keeps.
    pub(crate) fn waiting(&self, transport: &Transport) -> Option<Waiting> {
        let (since, sent) = {
            let state = self.lock();
            (state.waiting_since?, state.sent)
        };
        Some(Waiting { since, sent, unacknowledged: transport.unacknowledged() })
    }

    /// Waits until at most `memory` bytes are kept in memory and none in spool files. The flusher is another thread.
    /// `interrupted`, where given, is asked now and then whether to come back before.
    pub(crate) fn wait_for_room(
        &self,
        memory: usize,
        interrupted: Option<&dyn Fn() -> bool>,
    ) -> Result<Room, Broken> {
        let mut state = self.lock();
        while !state.broken && (state.memory > memory || state.spooled > 0) {
            if interrupted.is_some_and(|interrupted| interrupted()) {
                return Ok(Room::Interrupted);
            }
            state.waiters += 1;
            state = match interrupted {
                None => self.progress.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(_) => wait_for_tick(&self.progress, state, &self.state, BETWEEN_LOOKS),
            };
            state.waiters -= 1;
        }
        if state.broken { Err(Broken) } else { Ok(Room::Made) }
    }

    /// Gives up what waits; every later write fails.
    pub(crate) fn break_off(&self) {
        self.break_state(self.lock());
    }

    fn break_state(&self, mut state: MutexGuard<'_, State>) {
        state.broken = true;
        state.memory = 0;
        state.spooled = 0;
        state.gathered = Vec::new();
        let pieces = std::mem::take(&mut state.pieces);
        let is_awaited = state.waiters > 0;
        drop(state);
        if is_awaited {
            self.progress.notify_all();
        }
        // Dropping a piece may run the code of whoever owns its bytes: not under the lock.
        drop(pieces);
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.gathered.is_empty()
    }

    /// Makes a piece of what is gathered.
    fn queue_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.pieces.push_back(Piece::Memory(std::mem::take(&mut self.gathered).into()));
        }
    }

    /// Puts what a writer had taken back in front of what was appended meanwhile. If nothing is left the room for it goes too, which
    /// was as much as ever waited at once.
    fn put_back(&mut self, mut pieces: VecDeque<Piece>) {
        if self.broken || pieces.is_empty() {
            return;
        }
        pieces.append(&mut self.pieces);
        self.pieces = pieces;
    }
}

#[cfg(test)]
#[cfg(not(funicorn_model))]
mod tests;
