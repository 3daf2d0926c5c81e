//! When is a worker to stop? When a signal, its supervisor, or the program that embeds it says so.
//!
//! Three sources become one stream of [`Order`]s behind one descriptor:
//!
//! - signals, if the process has given them to us: TERM asks for a graceful stop, INT and QUIT for one without waiting,
//!   and a second signal for the end at once;
//! - the *lifeline*, a socket to the supervisor: orders come as bytes, and its end says that the supervisor is dead;
//! - [`StopHandle`]s, from any thread.
//!
//! What the supervisor orders is also told to a signal handler that the *application* has put in the place of ours, as if the
//! supervisor had sent the signal: applications count on that to tidy up. Beside the orders the same descriptor tells when log files are
//! to be opened anew, and of signals that wait for the service's attention ([`Control::attend_to`]).

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use rustix::event::{EventfdFlags, epoll, eventfd};

use crate::fork_guard;
use crate::signals::{Signals, drain, pass_on};

/// What a worker is told to do, from the mildest to the sharpest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Order {
    /// Stop accepting, finish the requests in flight, close idle connections.
    StopGracefully,
    /// The same without waiting for requests.
    StopNow,
    /// End the process without any clean-up.
    EndAtOnce,
}

impl Order {
    /// How it stands on the lifeline.
    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::StopGracefully => b'g',
            Self::StopNow => b'n',
            Self::EndAtOnce => b'e',
        }
    }

    /// The signal that a supervisor which knows no lifeline would have sent.
    fn signal(self) -> Option<i32> {
        match self {
            Self::StopGracefully => Some(libc::SIGTERM),
            Self::StopNow => Some(libc::SIGQUIT),
            Self::EndAtOnce => None,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::StopGracefully, Self::StopNow, Self::EndAtOnce]
            .into_iter()
            .find(|order| order.to_byte() == byte)
    }

    fn from_rank(rank: u8) -> Option<Self> {
        [None, Some(Self::StopGracefully), Some(Self::StopNow), Some(Self::EndAtOnce)]
            .get(usize::from(rank))
            .copied()
            .flatten()
    }

    fn rank(self) -> u8 {
        self as u8 + 1
    }
}

/// What a worker on the lifeline says once it serves.
pub(crate) const READY: u8 = b'r';

/// What its supervisor says there when log files are to be opened anew.
pub(crate) const REOPEN: u8 = b'l';

/// Tells a worker to stop, from any thread and without signals.
#[derive(Clone, Debug)]
pub struct StopHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The sharpest order not yet taken: its rank, or 0.
    order: AtomicU8,
    wake: OwnedFd,
}

impl StopHandle {
    /// Has the worker act on `order`. Of several orders that it has not yet seen, the sharpest counts.
    pub fn stop(&self, order: Order) {
        self.shared.order.fetch_max(order.rank(), Ordering::SeqCst);
        // An eventfd that is full is readable already.
        let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
    }
}

/// The orders of one worker.
///
/// ```
/// use funicorn_net::{Control, Order};
///
/// let control = Control::new(None)?;
/// let handle = control.handle();
/// std::thread::spawn(move || handle.stop(Order::StopGracefully)).join().expect("no panic");
/// assert_eq!(control.take(), Some(Order::StopGracefully));
/// assert_eq!(control.take(), None);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Control {
    /// An epoll instance over the sources below, so that a lifeline that has ended can be taken out of it: at its end a
    /// socket stays readable for ever, and whoever waits for us would never sleep again.
    readable: OwnedFd,
    handle: StopHandle,
    signals: Option<Signals>,
    /// Signals so far that asked to stop.
    stop_signals: AtomicU32,
    lifeline: Option<Arc<UnixStream>>,
    is_orphan: AtomicBool,
    /// Readable when a signal waits for the service.
    attention: Option<OwnedFd>,
    /// Whether log files are to be opened anew.
    reopen: AtomicBool,
}

impl Control {
    /// Control by [`StopHandle`]s and, where given, by signals.
    ///
    /// # Errors
    /// When there is no room for another descriptor.
    pub fn new(signals: Option<Signals>) -> io::Result<Self> {
        Self::with_lifeline(signals, None)
    }

    /// Control by the supervisor at the other end of `lifeline` too.
    pub(crate) fn with_lifeline(
        signals: Option<Signals>,
        lifeline: Option<Arc<UnixStream>>,
    ) -> io::Result<Self> {
        let readable = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let handle = StopHandle { shared: Arc::new(Shared { order: AtomicU8::new(0), wake }) };
        let (stop_signals, reopen) = (AtomicU32::new(0), AtomicBool::new(false));
        let (is_orphan, attention) = (AtomicBool::new(false), None);
        let control =
            Self { readable, handle, signals, stop_signals, lifeline, is_orphan, reopen, attention };
        for source in control.descriptors() {
            control.listen_to(source)?;
        }
        for fd in control.descriptors().chain([control.readable.as_fd()]) {
            fork_guard::watch(fd);
        }
        Ok(control)
    }

    /// Has the service attended to ([`Service::attend`](funicorn_http::Service::attend)) whenever there are bytes to read from
    /// `source`, which is set not to block: a pipe that an interpreter writes to when a signal comes, say. The bytes are read
    /// and thrown away.
    ///
    /// # Errors
    /// When the system cannot watch `source`.
    pub fn attend_to(&mut self, source: OwnedFd) -> io::Result<()> {
        rustix::io::ioctl_fionbio(&source, true)?;
        self.listen_to(source.as_fd())?;
        fork_guard::watch(source.as_fd());
        self.attention = Some(source);
        Ok(())
    }

    fn listen_to(&self, source: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::add(&self.readable, source, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?)
    }

    /// A handle by which any thread can stop the worker.
    #[must_use]
    pub fn handle(&self) -> StopHandle {
        self.handle.clone()
    }

    /// The descriptors to wait for: level-triggered, readable while there is something to [`take`](Self::take).
    #[must_use]
    pub fn sources(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.readable.as_fd()]
    }

    /// The sharpest order that has come since the last call.
    ///
    /// Of signals the second one, whichever it is, means [`Order::EndAtOnce`]. What the supervisor says never counts as a
    /// second signal, since a terminal sends its INT to both.
    #[must_use]
    pub fn take(&self) -> Option<Order> {
        drain(self.handle.shared.wake.as_fd());
        let by_handle = Order::from_rank(self.handle.shared.order.swap(0, Ordering::SeqCst));
        by_handle.max(self.take_signals()).max(self.take_lifeline())
    }

    /// Whether the service has asked for attention since the last call.
    pub(crate) fn take_attention(&self) -> bool {
        let Some(source) = &self.attention else { return false };
        let mut bytes = [0; 64];
        let mut is_asked = false;
        // A read that does not fill the buffer has emptied the pipe.
        while let Ok(len) = rustix::io::read(source, &mut bytes) {
            is_asked |= len > 0;
            if len == 0 {
                // At its end it would stay readable for ever; should this fail, the loop only goes round more often.
                let _ = epoll::delete(&self.readable, source);
            }
            if len < bytes.len() {
                break;
            }
        }
        is_asked
    }

    /// Whether the supervisor, or USR1, has asked for log files to be opened anew. To be asked after [`take`](Self::take), which
    /// hears of it.
    #[must_use]
    pub fn take_reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::SeqCst)
    }

    fn take_signals(&self) -> Option<Order> {
        let arrived = self.signals.as_ref()?.take();
        self.reopen.fetch_or(arrived.reopen, Ordering::SeqCst);
        let before = self.stop_signals.fetch_add(arrived.stops(), Ordering::SeqCst);
        arrived.order_after(before)
    }

    fn take_lifeline(&self) -> Option<Order> {
        if self.is_orphan.load(Ordering::SeqCst) {
            return None;
        }
        let lifeline = self.lifeline.as_deref()?;
        let mut sharpest = None;
        let mut bytes = [0; 16];
        loop {
            match (&mut &*lifeline).read(&mut bytes) {
                Ok(0) => break,
                Ok(len) => {
                    let said = &bytes[..len];
                    if said.contains(&REOPEN) {
                        pass_on(libc::SIGUSR1);
                        self.reopen.store(true, Ordering::SeqCst);
                    }
                    let order = said.iter().filter_map(|&byte| Order::from_byte(byte)).max();
                    order.and_then(Order::signal).into_iter().for_each(pass_on);
                    sharpest = sharpest.max(order);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return sharpest,
                Err(_) => break,
            }
        }
        self.is_orphan.store(true, Ordering::SeqCst);
        // It was added in the constructor; should this fail, the worker stops all the same, only less quietly.
        let _ = epoll::delete(&self.readable, lifeline);
        log::warn!("the supervisor has gone: stopping");
        sharpest.max(Some(Order::StopGracefully))
    }

    fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let handle = self.handle.shared.wake.as_fd();
        let signals = self.signals.as_ref().map(AsFd::as_fd);
        let lifeline = self.lifeline.as_ref().map(AsFd::as_fd);
        [Some(handle), signals, lifeline, self.attention.as_ref().map(AsFd::as_fd)].into_iter().flatten()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        for fd in self.descriptors().chain([self.readable.as_fd()]) {
            fork_guard::unwatch(fd.as_raw_fd());
        }
    }
}

/// By this a worker tells its supervisor that it serves.
#[derive(Debug)]
pub struct ReadyNotice {
    lifeline: Option<Arc<UnixStream>>,
}

impl ReadyNotice {
    /// A notice to the supervisor at the other end of `lifeline`.
    pub(crate) fn new(lifeline: Arc<UnixStream>) -> Self {
        Self { lifeline: Some(lifeline) }
    }

    /// A notice to nobody, for a worker without a supervisor.
    #[must_use]
    pub fn to_nobody() -> Self {
        Self { lifeline: None }
    }

    /// Says that the worker serves.
    pub fn ready(self) {
        if let Some(lifeline) = &self.lifeline {
            // If the supervisor has gone, the worker learns it from its control.
            let _ = (&mut &**lifeline).write_all(&[READY]);
        }
    }
}

#[cfg(test)]
mod tests;
