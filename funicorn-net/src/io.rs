//! What does the holder of the I/O role do? It polls, accepts, and gives each ready connection its turn.
//!
//! [`Io`] is the role itself: the connections of the worker, which of them are ready, and the listeners. It moves from
//! thread to thread (see [`rights`](crate::rights)) and is used by one at a time, so that nothing in it is locked.

mod admission;
mod stopping;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use funicorn_http::Refusal;

use crate::acceptor::{Acceptor, BETWEEN_LOOKS};
use crate::call::Call;
use crate::connection::Connection;
use crate::control::Control;
use crate::listener::Listener;
use crate::peer::{Intent, Peer, Turn};
use crate::peers::Peers;
use crate::poller::{Batch, Event, Seat, Token};
use crate::shared::{Completion, Shared, Stage};

/// Connections taken in for other workers at one look, and idle ones closed at once for new ones.
const ACCEPTS: usize = 64;
/// Bytes of one read.
const READ: usize = 64 * 1024;
/// Calls after which the poller is asked even though known connections still have work.
const CALLS_BETWEEN_POLLS: usize = 64;
/// Requests that are read together, called one after the other, and answered together.
const BATCH: usize = 32;
/// Bytes of bodies after which a batch is full: what it holds is to stay in the near caches.
const BATCH_BODIES: u64 = 16 * 1024;
/// Calls from the queue after which the holder of the role looks at the sockets.
const QUEUED_BETWEEN_GLANCES: usize = 16;
/// How often deadlines are looked at. Each may be passed by as much.
const SWEEP: Duration = Duration::from_secs(1);
/// How long threads in a call may take to come back when nothing is waited for any more.
pub(crate) const LAST_GRACE: Duration = Duration::from_secs(1);

/// Which kind of thread holds the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// An application thread, which must not wait: the service would have to take up again what it lets go meanwhile, and
    /// the role would wait with it for a call that keeps that.
    Application,
    /// An application thread whose service has let go.
    DetachedApplication,
    /// The understudy, which gives the role back to an idle application thread.
    Understudy,
}

/// What came out of the loop.
pub(crate) enum Step {
    /// A request is complete.
    Call(Box<Call>),
    /// Nothing is left to do but to wait.
    Idle,
    /// An application thread is idle and can have the role.
    Yield,
    /// The worker has been told to stop, and nothing is left to wait for.
    Stopped,
}

/// See the module.
pub(crate) struct Io {
    peers: Peers,
    ready: VecDeque<Seat>,
    /// Complete requests that are to be called next.
    received: VecDeque<Box<Call>>,
    completions: Vec<Completion>,
    batch: Batch,
    /// Events that another thread has taken from the poller.
    heard: Vec<Event>,
    buf: Box<[u8]>,
    acceptor: Acceptor,
    control: Control,
    /// Calls given out since the poller was asked.
    calls: usize,
    now: Instant,
    next_sweep: Instant,
    next_look: Instant,
    /// Set by an order to stop: when to stop waiting for requests in flight.
    stop_at: Option<Instant>,
}

impl Io {
    /// Registers what wakes the loop.
    pub(crate) fn new(listeners: Vec<Listener>, control: Control, shared: &Shared) -> std::io::Result<Self> {
        for source in control.sources() {
            shared.poller.add_control(source)?;
        }
        let now = Instant::now();
        let mut io = Self {
            peers: Peers::default(),
            ready: VecDeque::new(),
            received: VecDeque::new(),
            completions: Vec::new(),
            batch: Batch::default(),
            heard: Vec::new(),
            buf: vec![0; READ].into_boxed_slice(),
            acceptor: Acceptor::new(listeners),
            control,
            calls: 0,
            now,
            next_sweep: now + SWEEP,
            next_look: now,
            stop_at: None,
        };
        io.acceptor.resume(&shared.poller);
        Ok(io)
    }

    /// Runs the loop until it has something for its holder.
    pub(crate) fn next(&mut self, shared: &Arc<Shared>, holder: Holder) -> Step {
        // The understudy has the role only while no application thread is free.
        if holder == Holder::Understudy && shared.config.has_siblings {
            self.acceptor.stand_aside(&shared.poller);
        } else {
            self.acceptor.come_back(&shared.poller);
        }
        if !self.heard.is_empty() {
            self.take_completions(shared);
            std::mem::take(&mut self.heard).iter().for_each(|event| self.on_event(event, shared));
        }
        // In the middle of a batch they wait for its end, but only with the holder that has begun it.
        if holder != Holder::Application || self.received.is_empty() || !shared.is_batching() {
            self.take_completions(shared);
        }
        loop {
            if let Some(call) = self.received.pop_front() {
                shared.set_batching(!self.received.is_empty() && holder == Holder::Application);
                return Step::Call(call);
            }
            if self.calls < CALLS_BETWEEN_POLLS {
                self.receive(shared);
            }
            if !self.received.is_empty() {
                continue;
            }
            // The turn is over: what it has left is written before the next.
            shared.set_batching(false);
            if self.has_stopped() {
                self.drop_all(shared);
                return Step::Stopped;
            }
            if holder == Holder::Understudy && shared.rights.wants_role() {
                return Step::Yield;
            }
            if !self.poll(shared, holder) {
                return Step::Idle;
            }
        }
    }

    /// Gives ready connections their turns until a batch of requests is complete. Those that ask for another turn stand
    /// behind the next poll.
    fn receive(&mut self, shared: &Arc<Shared>) {
        let mut bodies = 0;
        for _ in 0..self.ready.len() {
            let Some(seat) = self.ready.pop_front() else { break };
            let Some(call) = self.serve(seat, shared) else { continue };
            bodies += call.request.body.len().unwrap_or(0);
            self.received.push_back(call);
            if self.received.len() == BATCH || bodies >= BATCH_BODIES {
                break;
            }
        }
        self.calls += self.received.len();
    }

    /// For a holder that has queued calls to run: between some of them looks at the sockets, without waiting. Requests
    /// that are complete are queued.
    pub(crate) fn glance_if_due(&mut self, shared: &Arc<Shared>) {
        self.calls += 1;
        if self.calls >= QUEUED_BETWEEN_GLANCES {
            shared.ask_poller(&mut self.batch, Some(Duration::ZERO));
            self.sort_out(shared);
            self.receive(shared);
        }
        self.received.drain(..).for_each(|call| shared.rights.enqueue(call, || shared.poller.wake()));
    }

    /// Takes over events that another thread has taken from the poller.
    pub(crate) fn hear(&mut self, events: &mut Vec<Event>) {
        self.heard.append(events);
    }

    /// Whether there is something to do without waiting. A response whose end was reported without a word is: it may be that
    /// only we know that its client has sent more.
    pub(crate) fn has_work(&self, shared: &Shared) -> bool {
        !self.ready.is_empty() || !self.received.is_empty() || shared.has_completions()
    }

    /// What a wait outside of the role needs: a place for its events, and how long it may last.
    pub(crate) fn begin_wait(&mut self) -> (Batch, Option<Duration>) {
        (std::mem::take(&mut self.batch), self.timeout())
    }

    /// Sorts out the events of such a wait.
    pub(crate) fn end_wait(&mut self, batch: Batch, shared: &Arc<Shared>) {
        self.batch = batch;
        self.sort_out(shared);
    }

    /// Looks at the sockets without waiting. Returns whether there is something to do.
    pub(crate) fn look(&mut self, shared: &Arc<Shared>) -> bool {
        shared.ask_poller(&mut self.batch, Some(Duration::ZERO));
        self.sort_out(shared);
        // An order to stop may leave nothing to do but to stop.
        !self.batch.is_empty() || self.has_work(shared)
    }

    /// Asks the poller and sorts out what it tells. If there is nothing else to do the understudy waits; for others it is false,
    /// since they are to let go of the role first.
    fn poll(&mut self, shared: &Arc<Shared>, holder: Holder) -> bool {
        if !self.ready.is_empty() {
            shared.ask_poller(&mut self.batch, Some(Duration::ZERO));
        } else if holder != Holder::Understudy {
            // Looking before letting go pays under load, when there is usually more.
            let is_loaded = holder == Holder::Application && self.batch.len() > 1;
            if is_loaded {
                shared.ask_poller(&mut self.batch, Some(Duration::ZERO));
            }
            if !is_loaded || self.batch.is_empty() {
                return false;
            }
        } else {
            let timeout = self.timeout();
            shared.wait_for_events(&mut self.batch, timeout, || shared.rights.wants_role());
        }
        self.sort_out(shared);
        true
    }

    /// Does what the events of the last wait call for, and looks at the clock.
    fn sort_out(&mut self, shared: &Arc<Shared>) {
        let now = Instant::now();
        self.calls = 0;
        self.now = now;
        // A response that has ended may not have woken us; without it a clock or the table would tell of a request in flight.
        self.take_completions(shared);
        let batch = std::mem::take(&mut self.batch);
        batch.iter().for_each(|event| self.on_event(event, shared));
        self.batch = batch;
        if self.now >= self.next_look && self.acceptor.is_aside() {
            self.next_look = self.now + BETWEEN_LOOKS;
            if self.acceptor.must_help() {
                self.accept_from_all(ACCEPTS, shared);
            }
        }
        if self.now >= self.next_sweep {
            self.sweep(shared);
        }
    }

    /// How long the poller may wait: for ever, if there is nothing to watch.
    fn timeout(&self) -> Option<Duration> {
        let sweep = (!self.peers.is_empty() || self.acceptor.is_paused()).then_some(self.next_sweep);
        let look = self.acceptor.is_aside().then_some(self.next_look);
        let next = [sweep, look, self.stop_at].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn on_event(&mut self, event: &Event, shared: &Arc<Shared>) {
        match event.token {
            Token::Connection(seat) => self.note(seat, event),
            Token::Listener(index) => {
                let all_taken = self.accept(index as usize, self.acceptor.appetite(), shared);
                self.acceptor.note_event(all_taken);
            }
            Token::Control => self.obey(shared),
            Token::Wake => {}
        }
    }

    fn note(&mut self, seat: Seat, event: &Event) {
        let Some(peer) = self.peers.find(seat) else { return };
        if peer.note(event) {
            queue(peer, &mut self.ready, seat);
        }
    }

    /// Gives a ready connection its turn.
    fn serve(&mut self, seat: Seat, shared: &Arc<Shared>) -> Option<Box<Call>> {
        let peer = self.peers.find(seat)?;
        peer.queued = false;
        let intent = peer.on_ready(&mut Turn { shared, buf: &mut self.buf, now: self.now });
        self.act(seat, intent, shared)
    }

    fn act(&mut self, seat: Seat, intent: Intent, shared: &Shared) -> Option<Box<Call>> {
        match intent {
            Intent::Wait => {
                // Once the worker is stopping, whoever has nothing in flight is let go.
                if shared.stage() > Stage::Serving && self.peers.find(seat).is_some_and(|peer| peer.is_idle())
                {
                    self.close(seat, shared);
                }
                None
            }
            Intent::Again => {
                if let Some(peer) = self.peers.find(seat) {
                    queue(peer, &mut self.ready, seat);
                }
                None
            }
            Intent::Call(call) => Some(call),
            Intent::Close => {
                self.close(seat, shared);
                None
            }
            Intent::Reset => {
                self.reset(seat, shared);
                None
            }
        }
    }

    /// Removal from the poller, shutdown, close, in this order; the close happens when the last owner lets go.
    fn close(&mut self, seat: Seat, shared: &Shared) {
        let Some(connection) = self.unseat(seat, shared) else { return };
        if Arc::strong_count(&connection) > 1 {
            connection.transport.shutdown_both();
        }
    }

    /// As [`close`](Self::close), but with a reset for an end, which a shutdown would spoil.
    fn reset(&mut self, seat: Seat, shared: &Shared) {
        let Some(connection) = self.unseat(seat, shared) else { return };
        connection.transport.reset_on_close();
        if Arc::strong_count(&connection) > 1 {
            connection.transport.reset();
        }
    }

    /// Takes a connection out of the loop. Nothing that is pending on it will leave.
    fn unseat(&mut self, seat: Seat, shared: &Shared) -> Option<Arc<Connection>> {
        let connection = self.peers.remove(seat)?;
        log::trace!(target: "funicorn::net", "closed: seat {}", seat.index);
        if let Err(error) = shared.poller.remove(&connection.transport) {
            log::error!("a connection could not be taken out of the poller: {error}");
        }
        connection.outbox.break_off();
        if self.acceptor.is_paused() {
            self.acceptor.resume(&shared.poller);
        }
        Some(connection)
    }

    fn take_completions(&mut self, shared: &Arc<Shared>) {
        if self.completions.is_empty() {
            shared.take_completions(&mut self.completions);
        }
        while let Some(Completion { seat, after }) = self.completions.pop() {
            let Some(peer) = self.peers.find(seat) else { continue };
            let after = if shared.stage() == Stage::Ending { after.at_the_end() } else { after };
            let intent = peer.on_completion(after, &mut Turn { shared, buf: &mut self.buf, now: self.now });
            self.act(seat, intent, shared);
        }
    }

    /// Looks at every connection's clock.
    fn sweep(&mut self, shared: &Arc<Shared>) {
        self.next_sweep = self.now + SWEEP;
        for seat in self.peers.seats() {
            let Some(peer) = self.peers.find(seat) else { continue };
            let intent = peer.sweep(&mut Turn { shared, buf: &mut self.buf, now: self.now });
            self.act(seat, intent, shared);
        }
        if let Some(before) = self.now.checked_sub(shared.config.deadlines.queue) {
            let late = shared.rights.shed(shared.config.limits.queue, before);
            late.into_iter().for_each(|call| call.turn_away(Refusal::Overloaded, shared));
        }
        shared.refusals.sweep();
        if self.acceptor.is_paused() {
            self.acceptor.resume(&shared.poller);
        }
    }
}

fn queue(peer: &mut Peer, ready: &mut VecDeque<Seat>, seat: Seat) {
    if !peer.queued {
        peer.queued = true;
        ready.push_back(seat);
    }
}
