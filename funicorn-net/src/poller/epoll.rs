//! Linux epoll, and all that is known about it. Another backend would be another file beside this one.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use crate::fork_guard;
use crate::poller::{Batch, Event, Seat, Token};
use crate::transport::Transport;

/// Events of one wait.
const EVENTS: usize = 256;

/// What every connection tells of.
const INPUT: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);

/// Tells the other tokens from connections.
const KIND: u64 = 1 << 63;

/// A token in the 64 bits that the kernel keeps for us.
impl Token {
    fn encode(self) -> u64 {
        match self {
            Self::Wake => KIND,
            Self::Control => KIND | 1,
            Self::Listener(index) => KIND | 2 | (u64::from(index) << 2),
            Self::Connection(seat) => {
                (u64::from(seat.generation & 0x7fff_ffff) << 32) | u64::from(seat.index)
            }
        }
    }

    fn decode(data: u64) -> Self {
        match (data & KIND != 0, data & 3) {
            (false, _) => Self::Connection(Seat { index: data as u32, generation: (data >> 32) as u32 }),
            (true, 0) => Self::Wake,
            (true, 1) => Self::Control,
            (true, _) => Self::Listener(((data & !KIND) >> 2) as u32),
        }
    }
}

impl Event {
    fn new(event: &epoll::Event) -> Self {
        let flags = event.flags;
        Self {
            token: Token::decode(event.data.u64()),
            readable: flags
                .intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR),
            writable: flags.contains(EventFlags::OUT),
            ended: flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR),
            hung_up: flags.intersects(EventFlags::HUP | EventFlags::ERR),
        }
    }
}

/// An epoll set and an eventfd that interrupts its wait.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    wake: OwnedFd,
}

impl Poller {
    /// An empty set.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        fork_guard::watch(epoll.as_fd());
        fork_guard::watch(wake.as_fd());
        epoll::add(&epoll, &wake, EventData::new_u64(Token::Wake.encode()), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, wake })
    }

    /// Registers a connection for good: for input and its ends, edge-triggered.
    pub(crate) fn add(&self, transport: &Transport, seat: Seat) -> io::Result<()> {
        let data = EventData::new_u64(Token::Connection(seat).encode());
        Ok(epoll::add(&self.epoll, transport, data, INPUT)?)
    }

    /// Has a connection tell of room for output, too: from now on, and at once if there is some. One that has been taken out
    /// of the set meanwhile tells nothing more.
    pub(crate) fn watch_output(&self, transport: &Transport, seat: Seat) -> io::Result<()> {
        let data = EventData::new_u64(Token::Connection(seat).encode());
        match epoll::modify(&self.epoll, transport, data, INPUT | EventFlags::OUT) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Registers a listener, level-triggered; of the workers that wait for it, the kernel wakes one.
    pub(crate) fn add_listener_exclusive(&self, fd: BorrowedFd<'_>, index: u32) -> io::Result<()> {
        let data = EventData::new_u64(Token::Listener(index).encode());
        Ok(epoll::add(&self.epoll, fd, data, EventFlags::IN | EventFlags::EXCLUSIVE)?)
    }

    /// Registers a source of control, level-triggered.
    pub(crate) fn add_control(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(Token::Control.encode()), EventFlags::IN)?)
    }

    /// Takes a connection out of the set. It must be in it.
    pub(crate) fn remove(&self, transport: &Transport) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, transport)?)
    }

    /// Takes a listener out of the set. It must be in it.
    pub(crate) fn remove_listener(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Waits for events up to `timeout` (`None`: without end) and puts them into `batch`. A signal that interrupts the wait is
    /// an error.
    pub(crate) fn wait(&self, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<()> {
        let mut room = [const { MaybeUninit::uninit() }; EVENTS];
        batch.fill([].into_iter());
        let timeout = timeout
            .map(|wait| Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) });
        match epoll::wait(&self.epoll, &mut room, timeout.as_ref()) {
            Ok((events, _)) => {
                batch.fill(events.iter().map(Event::new));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the current or the next [`wait`](Self::wait) return. Callable from any thread.
    pub(crate) fn wake(&self) {
        // EAGAIN means that the counter is full, so that a wake-up is pending already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        fork_guard::exit_if_forked();
        fork_guard::unwatch(std::os::fd::AsRawFd::as_raw_fd(&self.epoll));
        fork_guard::unwatch(std::os::fd::AsRawFd::as_raw_fd(&self.wake));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_their_encoding() {
        let seat = Seat { index: u32::MAX, generation: 0x7fff_ffff };
        let tokens = [
            Token::Wake,
            Token::Control,
            Token::Listener(0),
            Token::Listener(70_000),
            Token::Connection(seat),
        ];
        for token in tokens {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }

    #[test]
    fn a_wake_ends_the_wait() {
        let poller = Poller::new().unwrap();
        let mut batch = Batch::default();
        poller.wake();
        poller.wait(&mut batch, None).unwrap();
        assert!(batch.iter().any(|event| event.token == Token::Wake));
        poller.wait(&mut batch, Some(Duration::ZERO)).unwrap();
        assert!(batch.is_empty(), "the wake-up is edge-triggered: it is told once");
    }
}
