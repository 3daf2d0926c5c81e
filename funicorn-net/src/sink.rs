//! How does a response reach its connection? The far side of [`ResponseWriter`](funicorn_http::ResponseWriter).
//!
//! [`Http1Sink`] frames what the application pushes and writes it to the connection's outbox. It sees no descriptor,
//! so nothing that an application keeps can reach another client's connection. The head leaves together with the first
//! block, and a small block is copied behind it, so that a small response is one write.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use funicorn_http::{
    AbortReason, AfterResponse, BodyLength, ConnectionInfo, FileRange, RequestHead, ResponseEncoder,
    ResponseHead, ResponseSink, SendError,
};

use crate::budget::Share;
use crate::connection::Connection;
use crate::fork_guard;
use crate::observer::Exchange;
use crate::outbox::{Block, Broken, Flush, Room};
use crate::overflow::Overflow;
use crate::shared::{After, Completion, Shared, Stage};

/// Up to this size a block is copied behind what goes before it: cheaper than a second buffer for the kernel.
const COPIED: usize = 16 * 1024;

/// So much of a stream is gathered before it is written by the thread that makes it.
const GATHERED: usize = 16 * 1024;

/// Bytes of a file that are sent by the calling thread before the loop takes over.
const FILE_AT_ONCE: usize = 256 * 1024;

/// See the module.
pub(crate) struct Http1Sink {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    /// Whose request it is.
    info: Arc<ConnectionInfo>,
    encoder: ResponseEncoder,
    progress: Progress,
    /// What leaves next: head, chunk size, small block.
    front: Vec<u8>,
    /// What the outbox kept in memory after the last write.
    kept: usize,
    overflow: Overflow,
    status: u16,
    body_sent: u64,
    /// The request's head, kept for the observer when there is one.
    request: Option<RequestHead>,
    received_at: Instant,
    /// The memory that the request's body takes until the response has ended.
    _body: Option<Share>,
}

/// How far a response has come.
enum Progress {
    /// No head yet.
    Waiting,
    /// The head waits for the first block.
    Head(ResponseHead, BodyLength),
    /// The head has left.
    Body,
}

impl Http1Sink {
    /// The sink for one request that was received on `connection` at `received_at`, came from where `info` says, and whose body
    /// takes `body` of the memory.
    pub(crate) fn new(
        shared: Arc<Shared>,
        connection: Arc<Connection>,
        info: Arc<ConnectionInfo>,
        request: &RequestHead,
        received_at: Instant,
        body: Option<Share>,
    ) -> Self {
        let observed = shared.observer.is_some().then(|| request.clone());
        Self {
            encoder: ResponseEncoder::new(request),
            shared,
            connection,
            info,
            progress: Progress::Waiting,
            front: Vec::new(),
            kept: 0,
            overflow: Overflow::default(),
            status: 0,
            body_sent: 0,
            request: observed,
            received_at,
            _body: body,
        }
    }

    /// Puts the waiting head, if there is one, into the front, in which there is room for a block of `len` bytes behind it, if
    /// that will be copied there.
    fn encode_head(&mut self, len: usize) -> Result<(), SendError> {
        match std::mem::replace(&mut self.progress, Progress::Body) {
            Progress::Waiting => {
                self.progress = Progress::Waiting;
                Err(SendError::Order)
            }
            Progress::Body => Ok(()),
            Progress::Head(head, length) => {
                if self.shared.stage() > Stage::Serving || self.shared.config.deadlines.keep_alive.is_zero() {
                    self.encoder.close_after();
                }
                let copied = if len <= COPIED { len } else { 0 };
                self.front.reserve(head.lines().len() + 256 + copied);
                let (date, server) = (self.shared.date(), self.shared.config.server.as_bytes());
                self.encoder.head(&head, length, &date, server, &mut self.front);
                Ok(())
            }
        }
    }

    /// Writes the front and `body`, framed.
    fn write(
        &mut self,
        body: &[u8],
        own: &mut dyn FnMut(usize) -> Bytes,
        back: &'static [u8],
    ) -> Result<(), SendError> {
        let mut front = std::mem::take(&mut self.front);
        let (mut body, mut back) = (body, back);
        if body.len() <= COPIED {
            front.extend_from_slice(body);
            front.extend_from_slice(back);
            (body, back) = (&[], &[]);
        }
        if front.is_empty() && body.is_empty() {
            return Ok(());
        }
        let mut result = Ok(0);
        let connection = &self.connection;
        self.shared.unheld(|| result = connection.write_block(Block { front: &front, body, own, back }));
        front.clear();
        self.front = front;
        self.kept = result.map_err(|broken| self.broken(broken))?;
        Ok(())
    }

    /// Writes the front alone.
    fn write_front(&mut self) -> Result<(), SendError> {
        self.write(&[], &mut |_| Bytes::new(), &[])
    }

    /// Whether the loop is to write the end of the response: with those of the other calls of its turn, or, because it closes the
    /// connection next, in one packet with the end of that.
    fn is_left_to_loop(&self) -> bool {
        // Should this call last, the end of the response has been reported, and whoever takes the role up sees to it.
        self.shared.is_batching() || !self.encoder.keeps_alive() && self.shared.rights.is_lent()
    }

    /// Whether a small block can wait a moment: when there is more to come, or the response is whole and the loop is batching, and
    /// somebody looks after this call.
    fn may_gather(&self) -> bool {
        (self.encoder.room() != Some(0) || self.shared.is_batching()) && self.shared.rights.is_lent()
    }

    /// Keeps a small block of a stream. PEP 3333 ("Buffering and Streaming") allows it as long as the block is on its way
    /// while the application makes the next one: the understudy, which is looking after this call, flushes at its next tick.
    fn gather(&mut self, body: &[u8], back: &'static [u8]) -> Result<(), SendError> {
        self.front.extend_from_slice(body);
        self.front.extend_from_slice(back);
        let len = self.front.len();
        let gathered = self.keep_front()?;
        if gathered == len {
            self.shared.flush_soon(&self.connection);
        }
        // Whoever takes the role out of this call flushes afterwards; what came later than that is ours to write.
        if gathered >= GATHERED || !self.shared.rights.is_lent() {
            return self.write_on();
        }
        Ok(())
    }

    /// Leaves the front to whoever flushes. Returns how much is gathered.
    fn keep_front(&mut self) -> Result<usize, SendError> {
        let kept = self.connection.outbox.gather(&mut self.front);
        let gathered = kept.map_err(|broken| self.broken(broken))?;
        self.kept = self.kept.max(gathered);
        Ok(gathered)
    }

    /// Lets the end of the response leave.
    fn leave(&mut self) -> Result<(), SendError> {
        if self.is_left_to_loop() && !self.front.is_empty() {
            self.keep_front().map(drop)
        } else {
            self.write_front()
        }
    }

    /// Writes what is gathered.
    fn write_on(&mut self) -> Result<(), SendError> {
        let mut result = Flush::Done;
        self.shared.unheld(|| result = self.connection.flush(usize::MAX));
        self.kept = self.connection.outbox.memory();
        if result == Flush::Broken { Err(self.broken(Broken)) } else { Ok(()) }
    }

    fn broken(&self, _: Broken) -> SendError {
        if self.shared.stage() == Stage::Ending { SendError::Stopping } else { SendError::Gone }
    }

    /// Whether so much is kept for a slow client that the next block must not go to memory too. It is the next block, so that
    /// a response of one block, however large, is neither copied nor kept waiting.
    fn is_behind(&self) -> bool {
        self.kept > self.shared.config.limits.response_memory
    }

    /// Takes a block; if it `is_last`, the end of the response follows at once.
    fn push(
        &mut self,
        block: &[u8],
        rest: &mut dyn FnMut(usize) -> Bytes,
        is_last: bool,
    ) -> Result<(), SendError> {
        fork_guard::exit_if_forked();
        if block.is_empty() {
            return Ok(());
        }
        self.encode_head(block.len())?;
        let frame = self.encoder.block(block.len() as u64);
        self.front.extend_from_slice(frame.prefix());
        let take = frame.take as usize;
        if self.is_behind() && self.spill(&block[..take], frame.suffix)? {
            // It leaves as the client reads.
        } else if take <= COPIED && is_last && self.is_left_to_loop() {
            self.front.extend_from_slice(&block[..take]);
            self.front.extend_from_slice(frame.suffix);
        } else if take <= COPIED && self.may_gather() {
            self.gather(&block[..take], frame.suffix)?;
        } else {
            self.write(&block[..take], &mut |taken| rest(taken).slice(..take - taken), frame.suffix)?;
        }
        self.body_sent += frame.take;
        if frame.too_long { Err(SendError::TooLong) } else { Ok(()) }
    }

    /// Keeps the front and `body` in a file. Without room for them there it waits instead, until the client has taken
    /// what is kept. Returns whether they were kept.
    fn spill(&mut self, body: &[u8], back: &[u8]) -> Result<bool, SendError> {
        let Self { shared, connection, overflow, front, .. } = self;
        let mut kept = Ok(None);
        shared.blocking(|| {
            let limit = shared.config.limits.response_spool;
            kept = overflow
                .append(&[front, body, back], limit, &shared.spool)
                .map(|range| range.map(|range| connection.append_spooled(range)));
        });
        match kept {
            Ok(Some(kept)) => {
                front.clear();
                self.kept = kept.map_err(|broken| self.broken(broken))?;
                return Ok(true);
            }
            Ok(None) => {}
            Err(error) => log::warn!("a response waits for its client, since it cannot be spooled: {error}"),
        }
        self.wait_for_room()?;
        Ok(false)
    }

    /// Waits until the client has taken enough; somebody else flushes meanwhile.
    fn wait_for_room(&self) -> Result<(), SendError> {
        let Self { shared, connection, .. } = self;
        let mark = shared.config.limits.response_memory / 2;
        let attention = &shared.attention;
        let is_due = || attention.is_due_between_calls();
        let interrupted: Option<&dyn Fn() -> bool> = attention.is_between_calls().then_some(&is_due);
        shared.rights.promote_now();
        loop {
            let mut result = Ok(Room::Made);
            shared.blocking(|| result = connection.outbox.wait_for_room(mark, interrupted));
            match result.map_err(|broken| self.broken(broken))? {
                Room::Made => return Ok(()),
                Room::Interrupted => shared.attend(),
            }
        }
    }

    /// Tells the observer, and the loop.
    fn end(mut self: Box<Self>, after: After) {
        if let (Some(observer), Some(head)) = (&self.shared.observer, self.request.take()) {
            let exchange = Exchange {
                head: &head,
                connection: &self.info,
                status: self.status,
                body_sent: self.body_sent,
                duration: self.received_at.elapsed(),
            };
            self.shared.blocking(|| observer.exchange(&exchange));
        }
        log::trace!(target: "funicorn::net", "completion: {} bytes of body, then {after:?}", self.body_sent);
        let Self { shared, connection, kept, .. } = *self;
        let completion = Completion { seat: connection.seat, after };
        // Where nothing is to be done before the client sends more, that will wake the loop.
        let is_quiet = after == After::KeepAlive && kept == 0 && shared.stage() == Stage::Serving;
        // Otherwise the connection is let go of before the report: from there on the loop may be its last owner.
        let quiet = is_quiet.then_some(connection);
        shared.complete(completion, || quiet.is_none_or(|connection| connection.has_more()));
    }

    /// Answers in the application's place when it has said nothing at all.
    fn answer_500(&mut self) -> Option<()> {
        const TEXT: &[u8] = b"Internal Server Error\n";
        let mut head = ResponseHead::new(500, b"Internal Server Error").ok()?;
        head.append(b"Content-Type", b"text/plain; charset=utf-8").ok()?;
        self.encoder.close_after();
        self.start(head, BodyLength::Known(TEXT.len() as u64)).ok()?;
        self.send(TEXT, &mut |taken| Bytes::from_static(&TEXT[taken..])).ok()
    }
}

impl ResponseSink for Http1Sink {
    fn start(&mut self, head: ResponseHead, length: BodyLength) -> Result<(), SendError> {
        fork_guard::exit_if_forked();
        if !matches!(self.progress, Progress::Waiting) {
            return Err(SendError::Order);
        }
        self.status = head.code();
        self.progress = Progress::Head(head, length);
        Ok(())
    }

    fn send(&mut self, block: &[u8], rest: &mut dyn FnMut(usize) -> Bytes) -> Result<(), SendError> {
        self.push(block, rest, false)
    }

    fn send_last(&mut self, block: &[u8], rest: &mut dyn FnMut(usize) -> Bytes) -> Result<(), SendError> {
        self.push(block, rest, true)
    }

    fn send_file(&mut self, range: FileRange) -> Result<(), SendError> {
        fork_guard::exit_if_forked();
        if range.len == 0 {
            return Ok(());
        }
        if self.is_behind() {
            self.wait_for_room()?;
        }
        self.encode_head(0)?;
        let frame = self.encoder.block(range.len);
        self.front.extend_from_slice(frame.prefix());
        self.write_front()?;
        if frame.take > 0 {
            let mut range = Some(FileRange { len: frame.take, ..range });
            let mut result = Ok(());
            // Reading a file may wait for a disk.
            self.shared.blocking(|| {
                if let Some(range) = range.take() {
                    result = self.connection.write_file(range, FILE_AT_ONCE);
                }
            });
            result.map_err(|broken| self.broken(broken))?;
            self.front.extend_from_slice(frame.suffix);
            self.body_sent += frame.take;
        }
        if frame.too_long { Err(SendError::TooLong) } else { Ok(()) }
    }

    fn room(&self) -> Option<u64> {
        self.encoder.room()
    }

    fn finish(mut self: Box<Self>) -> Result<(), SendError> {
        fork_guard::exit_if_forked();
        let result = self.encode_head(0).and_then(|()| self.encoder.finish()).and_then(|(tail, after)| {
            self.front.extend_from_slice(tail);
            self.leave()?;
            Ok(after)
        });
        let delimited_by_close = self.encoder.is_delimited_by_close();
        match result {
            Ok(AfterResponse::KeepAlive) => self.end(After::KeepAlive),
            Ok(AfterResponse::Close) => self.end(After::Close),
            Err(SendError::TooShort) => {
                // What was handed over may leave; the missing bytes tell the client.
                let _ = self.write_front();
                self.end(if delimited_by_close { After::Reset } else { After::Close });
                return Err(SendError::TooShort);
            }
            Err(error) => {
                self.end(After::Reset);
                return Err(error);
            }
        }
        Ok(())
    }

    fn abort(mut self: Box<Self>, reason: AbortReason) {
        fork_guard::exit_if_forked();
        log::debug!("a response to {} was given up: {reason:?}", self.info.peer);
        if matches!(self.progress, Progress::Waiting) && self.shared.stage() < Stage::Ending {
            let after = if self.answer_500().is_some() { After::Close } else { After::Reset };
            return self.end(after);
        }
        // The blocks handed over may leave, but no last chunk follows.
        let wrote = self.encode_head(0).and_then(|()| self.write_front());
        let reset = wrote.is_err() || self.encoder.is_delimited_by_close();
        self.end(if reset { After::Reset } else { After::Close });
    }
}
