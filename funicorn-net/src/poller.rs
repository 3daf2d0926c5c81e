//! Which sockets have something for us? What a poller tells, whatever it is made of.
//!
//! Connections are registered once, edge-triggered, and once more if their socket has ever been full: no system call is
//! paid for it per request, and a new socket is not told to be writable. The price is that an event comes once, so whoever
//! takes it must remember it (see [`Peer`](crate::peer::Peer), which keeps a "may be ready" flag). Listeners are
//! level-triggered and exclusive, so that one connection wakes one worker. A poller is made after the fork that makes its
//! worker.

#[cfg(not(funicorn_model))]
mod epoll;

#[cfg(not(funicorn_model))]
pub(crate) use epoll::Poller;

#[cfg(funicorn_model)]
pub(crate) use crate::model::Poller;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// [`Poller::wake`] was called.
    Wake,
    /// A source of [`Control`](crate::Control).
    Control,
    /// The listener of this index.
    Listener(u32),
    /// A connection.
    Connection(Seat),
}

/// The place of a connection in the loop's table. The generation tells a connection from an earlier one in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) token: Token,
    /// There may be bytes, or an end, to read.
    pub(crate) readable: bool,
    /// There may be room to write.
    pub(crate) writable: bool,
    /// The peer has ended its sending side: read to the end.
    pub(crate) ended: bool,
    /// Both directions are dead: nothing that is sent will arrive.
    pub(crate) hung_up: bool,
}

/// The events of one wait.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    events: Vec<Event>,
}

impl Batch {
    /// Puts `events` in the place of the last wait's.
    pub(crate) fn fill(&mut self, events: impl Iterator<Item = Event>) {
        self.events.clear();
        self.events.extend(events);
    }

    /// The events of the last wait.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    /// How many the last wait brought.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether the last wait brought none.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}
