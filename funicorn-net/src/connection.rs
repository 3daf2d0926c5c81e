//! What do the loop and a running call share of a connection? Its way out, and who is at its ends.

use std::sync::Arc;

use funicorn_http::{ConnectionInfo, FileRange};

use crate::outbox::{Block, Broken, Flush, Next, Outbox, SpooledRange};
use crate::pace::Waiting;
use crate::poller::{Poller, Seat};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::transport::Transport;

/// A connection, owned by the loop and by the response that is being made for it. The last owner closes the
/// descriptor, so that its number cannot pass to another client while somebody may still write to it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) transport: Transport,
    pub(crate) outbox: Outbox,
    pub(crate) info: Arc<ConnectionInfo>,
    /// Its place in the loop's table.
    pub(crate) seat: Seat,
    /// Whether the loop knows of something to do here when the response has ended.
    has_more: AtomicBool,
    poller: Arc<Poller>,
    /// Whether the poller tells of room for output.
    is_watched: AtomicBool,
}

impl Connection {
    pub(crate) fn new(transport: Transport, info: ConnectionInfo, seat: Seat, poller: Arc<Poller>) -> Self {
        Self {
            transport,
            outbox: Outbox::default(),
            info: Arc::new(info),
            seat,
            has_more: AtomicBool::new(false),
            poller,
            is_watched: AtomicBool::new(false),
        }
    }

    /// The loop says whether there is something to do here when the response has ended. If that is news while the response is
    /// being made, look for the end of it afterwards: whoever ends it may not have heard.
    pub(crate) fn set_more(&self, has_more: bool) {
        self.has_more.store(has_more, Ordering::SeqCst);
    }

    /// What the loop said last. To be asked after the end of a response has been stored.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more.load(Ordering::SeqCst)
    }

    /// See [`Outbox::write`].
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, Broken> {
        self.watched(self.outbox.write(&self.transport, bytes))
    }

    /// See [`Outbox::write_block`].
    pub(crate) fn write_block(&self, block: Block<'_>) -> Result<usize, Broken> {
        self.watched(self.outbox.write_block(&self.transport, block))
    }

    /// See [`Outbox::write_file`].
    pub(crate) fn write_file(&self, range: FileRange, budget: usize) -> Result<(), Broken> {
        self.watched(self.outbox.write_file(&self.transport, range, budget))
    }

    /// See [`Outbox::append_spooled`].
    pub(crate) fn append_spooled(&self, range: SpooledRange) -> Result<usize, Broken> {
        self.watched(self.outbox.append_spooled(&self.transport, range))
    }

    /// See [`Outbox::flush`].
    pub(crate) fn flush(&self, budget: usize) -> Flush {
        self.flush_before(Next::Any, budget)
    }

    /// See [`Outbox::flush_before`].
    pub(crate) fn flush_before(&self, next: Next, budget: usize) -> Flush {
        self.watched(self.outbox.flush_before(next, &self.transport, budget))
    }

    /// See [`Outbox::waiting`].
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        self.outbox.waiting(&self.transport)
    }

    /// Passes on the result of an output, after which the poller is to tell when the socket takes more, from the first time on
    /// that it has been full. Most connections never are, and one that is registered for output from the beginning is told
    /// of it at once, for nothing.
    fn watched<T>(&self, result: T) -> T {
        if self.outbox.has_been_full()
            && !self.is_watched.swap(true, Ordering::Relaxed)
            && let Err(error) = self.poller.watch_output(&self.transport, self.seat)
        {
            log::error!("the poller will not tell when a connection takes more: {error}");
        }
        result
    }
}
