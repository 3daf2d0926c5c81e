//! What does the loop do for one connection? It drives the [`Peer`]: bytes in, complete requests out, and the way to the end.
//!
//! A peer belongs to the holder of the I/O role and needs no lock. While its request is being answered it stays in the
//! loop's table: events are noted in it (a poller that tells edges tells each only once) and looked at when the
//! response has ended.
//!
//! ```text
//!              +-------------------------- kept alive -----------------------+
//!              v                                                             |
//!   accept -> Receiving -- complete request --> Calling -- response ended -> Flushing
//!              |                                                             |
//!              +-- refused --> Flushing --> Lingering -- peer's end, time --> closed
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use funicorn_http::{CONTINUE, Event, ReceivedHead, Refusal, Session, encode_refusal};

use crate::arriving::Arriving;
use crate::bound::Bound;
use crate::call::Call;
use crate::connection::Connection;
use crate::origin::Origin;
use crate::outbox::{Flush, Next};
use crate::pace::Pace;
use crate::poller;
use crate::refusals::Refused;
use crate::shared::{After, Shared};

/// What one turn may cost beside a read: bytes flushed, and parts of a body, of which a read may hold thousands. Then others
/// come first.
const FLUSHED: usize = 256 * 1024;
const PARTS: usize = 1024;

/// How long an idle connection remembers the header lines of its last request. Who repeats them mostly does so sooner.
const MEMORY: Duration = Duration::from_secs(1);

/// What a turn of the loop gives to each peer.
pub(crate) struct Turn<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    /// Where reads go; it outlives no turn, so that an idle connection holds no buffer.
    pub(crate) buf: &'a mut [u8],
    pub(crate) now: Instant,
}

/// What a peer wants after its turn.
pub(crate) enum Intent {
    /// An event will tell.
    Wait,
    /// Another turn, after the others.
    Again,
    /// The application is to be called.
    Call(Box<Call>),
    /// The connection is done with.
    Close,
    /// The connection is cut: its peer must not take this for a proper end.
    Reset,
}

/// One connection, as the loop sees it.
pub(crate) struct Peer {
    pub(crate) connection: Arc<Connection>,
    origin: Origin,
    session: Session,
    /// Received and not yet consumed.
    input: BytesMut,
    arriving: Option<Arriving>,
    phase: Phase,
    /// There may be something to read: an edge that has been told and not been used up.
    readable: bool,
    /// The peer has ended its sending side; there is an end to read behind the last bytes.
    ended: bool,
    /// Since when a request is awaited, or was when the last one came.
    receiving_since: Instant,
    /// When the current wait for input is over.
    deadline: Option<Instant>,
    /// How fast the current response is taken.
    pace: Pace,
    /// When the current request must have been answered, if there is a limit.
    answer_by: Option<Instant>,
    /// Whether it stands in the loop's ready list.
    pub(crate) queued: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A request is awaited or arriving.
    Receiving,
    /// The application has the request.
    Calling,
    /// The response is complete but has not left yet.
    Flushing(Then),
    /// Input is discarded until the peer's end, so that it can read our last words (RFC 9112 §9.6).
    Lingering { until: Instant },
}

/// What follows a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    NextRequest,
    Close,
    Linger,
}

/// What the bytes at hand gave.
enum Parsed {
    NeedMore,
    /// So much that the rest is for another turn.
    Enough,
    Complete(Box<Call>),
}

impl Peer {
    /// A connection that has just been accepted.
    pub(crate) fn new(connection: Arc<Connection>, turn_start: Instant, shared: &Shared) -> Self {
        Self {
            origin: Origin::new(&connection.info, &shared.config),
            connection,
            session: Session::new(Arc::clone(&shared.limits)),
            input: BytesMut::new(),
            arriving: None,
            phase: Phase::Receiving,
            readable: false,
            ended: false,
            receiving_since: turn_start,
            deadline: Some(turn_start + shared.config.deadlines.head),
            pace: Pace::default(),
            answer_by: None,
            queued: false,
        }
    }

    /// Notes an event. Returns whether the peer can do something about it now.
    pub(crate) fn note(&mut self, event: &poller::Event) -> bool {
        self.readable |= event.readable;
        self.ended |= event.ended;
        match self.phase {
            Phase::Calling => {
                if event.hung_up {
                    self.connection.outbox.break_off();
                }
                self.connection.set_more(true);
                event.writable
            }
            Phase::Flushing(_) => event.writable || event.hung_up,
            Phase::Receiving | Phase::Lingering { .. } => event.readable,
        }
    }

    /// Makes the next turn read, event or not.
    pub(crate) fn look_again(&mut self) {
        self.readable = true;
    }

    /// Whether nothing of a request has arrived and no output is pending.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Receiving && self.session.is_between_requests() && self.input.is_empty()
    }

    /// Since when it is idle, if it is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.is_idle().then_some(self.receiving_since)
    }

    /// Whether it is only there so that the peer can read why it was refused.
    pub(crate) fn is_lingering(&self) -> bool {
        matches!(self.phase, Phase::Lingering { .. })
    }

    /// Does what can be done now.
    pub(crate) fn on_ready(&mut self, turn: &mut Turn<'_>) -> Intent {
        match self.phase {
            Phase::Receiving => self.receive(turn),
            Phase::Calling => match self.connection.flush(FLUSHED) {
                Flush::More => Intent::Again,
                Flush::Done | Flush::Pending | Flush::Broken => Intent::Wait,
            },
            Phase::Flushing(then) => self.flush(then, turn),
            Phase::Lingering { until } => self.discard(until, turn),
        }
    }

    /// The response has ended.
    pub(crate) fn on_completion(&mut self, after: After, turn: &mut Turn<'_>) -> Intent {
        let then = match after {
            After::KeepAlive => Then::NextRequest,
            After::Close => Then::Close,
            After::Reset => return Intent::Reset,
        };
        self.flush(then, turn)
    }

    fn flush(&mut self, then: Then, turn: &mut Turn<'_>) -> Intent {
        self.phase = Phase::Flushing(then);
        let next = if then == Then::NextRequest { Next::Any } else { Next::End };
        match self.connection.flush_before(next, FLUSHED) {
            Flush::Done => {}
            Flush::Pending => return Intent::Wait,
            Flush::More => return Intent::Again,
            Flush::Broken => return Intent::Close,
        }
        match then {
            Then::NextRequest => {
                log::trace!(target: "funicorn::net", "the outbox is empty, the connection is kept alive: Receiving");
                self.session.next_request();
                self.phase = Phase::Receiving;
                self.receiving_since = turn.now;
                self.deadline = Some(turn.now + turn.shared.config.deadlines.keep_alive);
                if self.input.is_empty() && !self.readable { Intent::Wait } else { Intent::Again }
            }
            Then::Close | Then::Linger => {
                self.connection.transport.shutdown_write();
                // Bytes that are not read turn the close into a reset, and the reset may overtake the response.
                if then == Then::Close && self.input.is_empty() && self.has_read_all(turn) {
                    return Intent::Close;
                }
                self.input = BytesMut::new();
                self.phase = Phase::Lingering { until: turn.now + turn.shared.config.deadlines.linger_total };
                self.readable = true;
                Intent::Again
            }
        }
    }

    /// Reads once more, whether an event has told of something or not. Returns whether there was nothing, or an end.
    fn has_read_all(&self, turn: &mut Turn<'_>) -> bool {
        !matches!(self.connection.transport.read(turn.buf), Ok(1..))
    }

    fn discard(&mut self, until: Instant, turn: &mut Turn<'_>) -> Intent {
        self.deadline = Some(until.min(turn.now + turn.shared.config.deadlines.linger_idle));
        match self.connection.transport.read(turn.buf) {
            Ok(1..) => Intent::Again,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                self.readable = false;
                Intent::Wait
            }
            Ok(0) | Err(_) => Intent::Close,
        }
    }

    /// Parses what is held, then one read.
    fn receive(&mut self, turn: &mut Turn<'_>) -> Intent {
        if !self.input.is_empty() {
            let held = std::mem::take(&mut self.input);
            match self.parse_held(held, turn) {
                Ok(Parsed::NeedMore) => {}
                parsed => return self.act_on(parsed, turn),
            }
        }
        if !self.readable {
            return Intent::Wait;
        }
        match self.connection.transport.read(turn.buf) {
            Ok(len @ 1..) => {
                // A short read has emptied the socket, and the next arrival is told as a new edge; but an end that
                // has been told already is told once only.
                self.readable = len == turn.buf.len() || self.ended;
                let parsed = self.parse_fresh(len, turn);
                self.act_on(parsed, turn)
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                self.readable = false;
                Intent::Wait
            }
            Ok(0) | Err(_) => Intent::Close,
        }
    }

    fn act_on(&mut self, parsed: Result<Parsed, Refused>, turn: &mut Turn<'_>) -> Intent {
        match parsed {
            Ok(Parsed::Complete(call)) => self.call(call),
            Ok(Parsed::Enough) => Intent::Again,
            Ok(Parsed::NeedMore) if self.readable => Intent::Again,
            Ok(Parsed::NeedMore) => Intent::Wait,
            Err(refused) => self.refuse(&refused, turn),
        }
    }

    fn call(&mut self, call: Box<Call>) -> Intent {
        self.phase = Phase::Calling;
        self.deadline = None;
        self.pace = Pace::default();
        self.connection.set_more(self.readable || !self.input.is_empty());
        Intent::Call(call)
    }

    /// Parses `len` fresh bytes in the turn's buffer; what is left of them is kept.
    fn parse_fresh(&mut self, len: usize, turn: &mut Turn<'_>) -> Result<Parsed, Refused> {
        if !self.input.is_empty() {
            let mut held = std::mem::take(&mut self.input);
            held.extend_from_slice(&turn.buf[..len]);
            return self.parse_held(held, turn);
        }
        let mut input = &turn.buf[..len];
        let parsed = self.parse(&mut input, turn.shared, turn.now);
        self.input.extend_from_slice(input);
        parsed
    }

    /// Parses kept bytes and keeps what is left of them.
    fn parse_held(&mut self, mut held: BytesMut, turn: &mut Turn<'_>) -> Result<Parsed, Refused> {
        let mut input = &held[..];
        let parsed = self.parse(&mut input, turn.shared, turn.now);
        let consumed = held.len() - input.len();
        held.advance(consumed);
        if !held.is_empty() {
            self.input = held;
        }
        parsed
    }

    fn parse(&mut self, input: &mut &[u8], shared: &Arc<Shared>, now: Instant) -> Result<Parsed, Refused> {
        let deadlines = &shared.config.deadlines;
        // What is left of a chunk's head is no progress: a client could send that for ever.
        let (mut arriving, mut has_come) = if let Some(arriving) = self.arriving.take() {
            (arriving, false)
        } else {
            // A body comes behind its head only.
            let start = *input;
            let arriving = self.parse_head(input, shared, now);
            let Some(arriving) = arriving.map_err(|refusal| Refused::with_start(refusal, start))? else {
                return Ok(Parsed::NeedMore);
            };
            (arriving, true)
        };
        // What is whole is not kept on the way.
        let mut parsed = Parsed::Enough;
        for _ in 0..PARTS {
            match self.session.receive(input).map_err(|refusal| arriving.refused(refusal))? {
                Event::Data(bytes) => {
                    arriving.push(bytes, shared)?;
                    has_come = true;
                }
                Event::End => return arriving.complete(&self.connection, shared, now).map(Parsed::Complete),
                Event::Incomplete | Event::Head(_) => {
                    parsed = Parsed::NeedMore;
                    break;
                }
            }
        }
        if has_come {
            self.deadline = Some(arriving.deadline(now, deadlines));
        }
        self.arriving = Some(arriving);
        Ok(parsed)
    }

    /// Parses what comes before the body; `None` while that is not whole.
    fn parse_head(
        &mut self,
        input: &mut &[u8],
        shared: &Arc<Shared>,
        now: Instant,
    ) -> Result<Option<Arriving>, Refusal> {
        let (config, deadlines) = (&shared.config, &shared.config.deadlines);
        // While a PROXY header is awaited, the deadline that the new connection got goes on.
        if !self.origin.is_told(input, config)? {
            return Ok(None);
        }
        if self.session.is_between_requests() {
            self.deadline = Some(now + deadlines.head);
            self.answer_by = deadlines.request.map(|time| now + time);
        }
        let Event::Head(received) = self.session.receive(input)? else { return Ok(None) };
        self.accept(received, input.is_empty(), shared, now).map(Some)
    }

    /// A head has come: is there a place for its body? If the client waits for us and `nothing_follows`, it is told to go on.
    fn accept(
        &mut self,
        received: ReceivedHead,
        nothing_follows: bool,
        shared: &Shared,
        now: Instant,
    ) -> Result<Arriving, Refusal> {
        let info = self.origin.of_request(received.head.headers(), &shared.config)?;
        if shared.spool.is_full_for(received.length) {
            return Err(Refusal::Unavailable);
        }
        if received.expects_continue && nothing_follows {
            // If the peer has gone, the next read says so.
            let _ = self.connection.write(CONTINUE);
        }
        Ok(Arriving::new(received, info, shared, now))
    }

    /// Answers a request that does not reach the application, and lets the peer read the answer.
    fn refuse(&mut self, refused: &Refused, turn: &mut Turn<'_>) -> Intent {
        turn.shared.refusals.note(self.origin.peer(), refused, &turn.shared.config);
        self.arriving = None;
        let mut answer = Vec::new();
        encode_refusal(
            refused.refusal,
            &turn.shared.date(),
            turn.shared.config.server.as_bytes(),
            &mut answer,
        );
        if self.connection.write(&answer).is_err() {
            return Intent::Close;
        }
        self.flush(Then::Linger, turn)
    }

    /// Looks at the clock: a peer that took too long is refused, cut or let go, and one that rests holds no memory.
    pub(crate) fn sweep(&mut self, turn: &mut Turn<'_>) -> Intent {
        if self.idle_since().is_some_and(|since| since + MEMORY <= turn.now) {
            self.session.forget();
            self.origin.forget();
        }
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= turn.now);
        let (late, unanswered) = (passed(self.deadline), passed(self.answer_by));
        match self.phase {
            Phase::Receiving if late && (self.is_idle() || self.ended) => Intent::Close,
            Phase::Receiving if late || (unanswered && !self.is_idle()) => {
                self.refuse(&self.too_late(late, turn), turn)
            }
            Phase::Lingering { .. } if late => Intent::Close,
            Phase::Receiving | Phase::Lingering { .. } => Intent::Wait,
            Phase::Calling | Phase::Flushing(Then::NextRequest | Then::Close) if unanswered => {
                self.cut("its request was not answered in time", turn.shared)
            }
            Phase::Calling | Phase::Flushing(_) => self.sweep_output(turn),
        }
    }

    /// What has come of the request that does not come to its end in time, though `late` alone tells of its own wait.
    fn too_late(&self, late: bool, turn: &Turn<'_>) -> Refused {
        let (refused, bound) = match &self.arriving {
            Some(arriving) => {
                (arriving.refused(Refusal::Timeout), arriving.bound(turn.now, &turn.shared.config.deadlines))
            }
            None => (Refused::with_start(Refusal::Timeout, &self.input), Bound::HeadTime),
        };
        refused.past(if late { bound } else { Bound::RequestTime })
    }

    fn sweep_output(&mut self, turn: &mut Turn<'_>) -> Intent {
        let deadlines = &turn.shared.config.deadlines;
        match self.pace.look(turn.now, self.connection.waiting(), deadlines) {
            Some(too_slow) => self.cut(too_slow.in_words(), turn.shared),
            None => Intent::Wait,
        }
    }

    /// Cuts the connection, whoever is still answering.
    fn cut(&self, why: &str, shared: &Shared) -> Intent {
        shared.refusals.note_cut(self.origin.peer(), why);
        Intent::Reset
    }
}
