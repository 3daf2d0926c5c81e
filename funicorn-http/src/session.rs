//! Where in a request does a connection stand? The receiving half of HTTP/1.1 as one state machine.
//!
//! ```text
//!              head complete             body complete              next_request()
//!   +------+ ----------------> +------+ ----------------> +------------+
//!   | Head |   Event::Head     | Body |    Event::End     | Responding |
//!   +------+                   +------+                   +------------+
//!      ^                        | Event::Data, any number       |
//!      +--------------------------------------------------------+
//!
//!   Head or Body -- a rule or a limit is broken --> Refused, for good
//! ```
//!
//! No bytes are kept here but for the last header section (see [`repetition`](crate::repetition)): what is not consumed
//! stays with the caller, and there it is bounded by [`Limits::head`] (or [`Limits::trailers`]). There is no clock and
//! no I/O: deadlines are the caller's.

use std::sync::Arc;

use crate::chunked::{ChunkedDecoder, Decoded};
use crate::framing::Framing;
use crate::head::HeadReader;
use crate::known_names::KnownName;
use crate::repetition::LastSection;
use crate::{Limits, Refusal, RequestHead, Version};

/// The receiving half of one connection.
///
/// ```
/// use std::sync::Arc;
///
/// use funicorn_http::{Event, Limits, Session};
///
/// let mut session = Session::new(Arc::new(Limits::default()));
/// let mut input = &b"GET / HTTP/1.1\r\nHo"[..];
/// assert!(matches!(session.receive(&mut input)?, Event::Incomplete));
/// // What is left is the caller's to keep; more comes behind it.
/// let bytes = [input, b"st: a\r\n\r\n"].concat();
/// let mut input = &bytes[..];
/// let Event::Head(received) = session.receive(&mut input)? else { panic!("no head") };
/// assert_eq!((received.head.path(), received.length), (&b"/"[..], Some(0)));
/// assert!(matches!(session.receive(&mut input)?, Event::End));
/// # Ok::<(), funicorn_http::Refusal>(())
/// ```
#[derive(Debug)]
pub struct Session {
    limits: Arc<Limits>,
    state: State,
    last: LastSection,
}

#[derive(Debug)]
enum State {
    Head(HeadReader),
    /// In a body of known length.
    Length {
        left: u64,
    },
    Chunked(ChunkedDecoder),
    Responding,
    Refused(Refusal),
}

/// What the bytes received so far led to.
#[derive(Debug)]
pub enum Event<'a> {
    /// More bytes are needed.
    Incomplete,
    /// The head passed every check and limit. Any number of [`Data`](Self::Data) and one [`End`](Self::End) follow.
    Head(ReceivedHead),
    /// Bytes of the body, with the chunked coding taken off; never empty.
    Data(&'a [u8]),
    /// The request is complete.
    End,
}

/// A head that passed every check and limit.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReceivedHead {
    /// The head.
    pub head: RequestHead,
    /// Bytes of the body that follows, or `None` for a chunked one, whose length its end will tell.
    pub length: Option<u64>,
    /// Whether the client waits for [`CONTINUE`](crate::CONTINUE) before it sends the body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
}

impl Session {
    /// A connection on which nothing has arrived.
    #[must_use]
    pub fn new(limits: Arc<Limits>) -> Self {
        Self { limits, state: State::Head(HeadReader::default()), last: LastSection::default() }
    }

    /// Takes the next event off `input`, advancing it past what was consumed.
    ///
    /// After [`Event::Incomplete`] call again with the bytes that were left and more behind them; those that were looked
    /// at already are not looked at again. While a request awaits its response nothing is consumed and the answer
    /// is `Incomplete`.
    ///
    /// # Errors
    /// The [`Refusal`] of a request that breaks a rule or a limit, and the same one ever after: nothing on
    /// the connection can be trusted any more.
    pub fn receive<'a>(&mut self, input: &mut &'a [u8]) -> Result<Event<'a>, Refusal> {
        let result = self.advance(input);
        if let Err(refusal) = result {
            self.state = State::Refused(refusal);
        }
        result
    }

    fn advance<'a>(&mut self, input: &mut &'a [u8]) -> Result<Event<'a>, Refusal> {
        match &mut self.state {
            State::Head(reader) => match reader.read(input, &self.limits, &mut self.last)? {
                Some(head) => self.begin(head).map(Event::Head),
                None => Ok(Event::Incomplete),
            },
            State::Length { left: 0 } => Ok(self.complete()),
            State::Length { .. } if input.is_empty() => Ok(Event::Incomplete),
            State::Length { left } => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                let (bytes, rest) = input.split_at(len);
                *input = rest;
                *left -= len as u64;
                Ok(Event::Data(bytes))
            }
            State::Chunked(decoder) => match decoder.decode(input, &self.limits)? {
                Decoded::Incomplete => Ok(Event::Incomplete),
                Decoded::Bytes(bytes) => Ok(Event::Data(bytes)),
                Decoded::End => Ok(self.complete()),
            },
            State::Responding => Ok(Event::Incomplete),
            State::Refused(refusal) => Err(*refusal),
        }
    }

    /// Head -> Body, if the body may come.
    fn begin(&mut self, head: RequestHead) -> Result<ReceivedHead, Refusal> {
        let framing = Framing::decide(head.version(), head.headers())?;
        log::trace!(target: "funicorn::http", "head complete: {head:?}, framing {framing:?}");
        let (state, length) = match framing {
            Framing::Length(len) if len > self.limits.body => return Err(Refusal::BodyTooLarge),
            Framing::Length(len) => (State::Length { left: len }, Some(len)),
            Framing::Chunked => (State::Chunked(ChunkedDecoder::new()), None),
        };
        let expects_continue = expects_continue(&head)? && length != Some(0);
        self.state = state;
        Ok(ReceivedHead { head, length, expects_continue })
    }

    /// Body -> Responding.
    fn complete(&mut self) -> Event<'static> {
        log::trace!(target: "funicorn::http", "body complete");
        self.state = State::Responding;
        Event::End
    }

    /// The response has been made: Responding -> Head. In any other state this does nothing.
    pub fn next_request(&mut self) {
        if matches!(self.state, State::Responding) {
            self.state = State::Head(HeadReader::default());
        }
    }

    /// Forgets the header lines of the last request: to be called on a connection that rests, so that it holds no memory
    /// and nothing that a client has said in confidence. It costs the next request no more than a first one.
    pub fn forget(&mut self) {
        self.last = LastSection::default();
    }

    /// Whether no byte of a next request has been seen: the moment when a connection can be closed without a word.
    #[must_use]
    pub fn is_between_requests(&self) -> bool {
        matches!(&self.state, State::Head(reader) if reader.is_fresh())
    }
}

/// Whether the head says `Expect: 100-continue`. From an HTTP/1.0 client the header is ignored (RFC 9110 §10.1.1).
fn expects_continue(head: &RequestHead) -> Result<bool, Refusal> {
    let mut expected = false;
    if head.version() == Version::Http11 {
        for value in head.headers().known(KnownName::Expect) {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(Refusal::Expectation);
            }
            expected = true;
        }
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn session() -> Session {
        Session::new(Arc::new(Limits { body: 10, ..Limits::default() }))
    }

    /// The events of `input` as words, up to the first that needs more bytes or a response.
    fn words(session: &mut Session, input: &mut &[u8]) -> Result<Vec<String>, Refusal> {
        let mut words = Vec::new();
        loop {
            words.push(match session.receive(input)? {
                Event::Incomplete => return Ok(words),
                Event::Head(received) => {
                    format!("head {:?} {}", received.length, received.expects_continue)
                }
                Event::Data(bytes) => format!("data {}", bytes.escape_ascii()),
                Event::End => "end".into(),
            });
        }
    }

    /// The name of a state in the diagram of the book.
    fn name(session: &Session) -> &'static str {
        match session.state {
            State::Head(_) => "Head",
            State::Length { .. } => "Length",
            State::Chunked(_) => "Chunked",
            State::Responding => "Responding",
            State::Refused(_) => "Refused",
        }
    }

    /// Every transition that `stream` leads through, byte by byte; after each step it is asked for the next request,
    /// which only leads on when a response is awaited.
    fn transitions(stream: &[u8], seen: &mut BTreeSet<String>) {
        let (mut session, mut input) = (session(), Vec::new());
        for byte in stream.iter().map(Some).chain([None]) {
            input.extend(byte);
            let mut unread = &input[..];
            for _ in 0..3 {
                let from = name(&session);
                let label = match session.receive(&mut unread) {
                    Ok(Event::Incomplete) => "Incomplete",
                    Ok(Event::Head(_)) => "Head",
                    Ok(Event::Data(_)) => "Data",
                    Ok(Event::End) => "End",
                    Err(_) => "Refusal",
                };
                seen.insert(format!("{from} --> {}: {label}", name(&session)));
            }
            input = unread.to_vec();
            let from = name(&session);
            session.next_request();
            if name(&session) != from {
                seen.insert(format!("{from} --> {}: next_request", name(&session)));
            }
        }
    }

    #[test]
    fn the_diagram_of_the_book_has_the_transitions_of_the_code() {
        let mut seen = BTreeSet::new();
        let head = "POST / HTTP/1.1\r\nHost: a\r\n";
        for rest in [
            "\r\nGET / HTTP/1.1\r\n",
            "Content-Length: 3\r\n\r\nabcGE",
            "Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGE",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        ] {
            transitions(format!("{head}{rest}").as_bytes(), &mut seen);
        }
        let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/book/2-http.md");
        let chapter = std::fs::read_to_string(book).expect("the book, which lies beside the crates");
        let (_, diagram) = chapter.split_once("stateDiagram-v2").expect("a diagram");
        let (diagram, _) = diagram.split_once("```").expect("its end");
        let arrows = diagram.lines().map(str::trim).filter(|line| line.contains(": "));
        assert_eq!(seen, arrows.map(str::to_owned).collect());
    }

    #[test]
    fn one_request_after_another() {
        let mut session = session();
        let mut input =
            &b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiG"
                [..];
        assert!(session.is_between_requests());
        assert_eq!(words(&mut session, &mut input).unwrap(), ["head Some(0) false", "end"]);
        assert!(!session.is_between_requests());
        assert_eq!(
            words(&mut session, &mut input).unwrap(),
            [""; 0],
            "a request that awaits its response takes nothing"
        );
        session.next_request();
        assert!(session.is_between_requests());
        assert_eq!(words(&mut session, &mut input).unwrap(), ["head Some(2) false", "data hi", "end"]);
        session.next_request();
        assert_eq!(words(&mut session, &mut input).unwrap(), [""; 0]);
        assert!(!session.is_between_requests());
        assert_eq!(input, b"G");
    }

    #[test]
    fn next_request_does_nothing_within_a_request() {
        let mut session = session();
        let mut input = &b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh"[..];
        assert_eq!(words(&mut session, &mut input).unwrap(), ["head Some(2) false", "data h"]);
        session.next_request();
        assert_eq!(words(&mut session, &mut &b"i"[..]).unwrap(), ["data i", "end"]);
    }

    #[test]
    fn a_refusal_is_for_good() {
        let mut session = session();
        assert_eq!(words(&mut session, &mut &b"GET / HTTP/1.2\r\n"[..]), Err(Refusal::Version));
        session.next_request();
        assert_eq!(
            words(&mut session, &mut &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]),
            Err(Refusal::Version)
        );
    }

    #[test]
    fn an_expectation_waits_only_for_a_body() {
        let received = |lines: &str| {
            let text = format!("POST / {lines}\r\n\r\n");
            words(&mut session(), &mut text.as_bytes()).map(|words| words[0].clone())
        };
        let host = "HTTP/1.1\r\nHost: a";
        assert_eq!(
            received(&format!("{host}\r\nExpect: 100-Continue\r\nContent-Length: 1")).unwrap(),
            "head Some(1) true"
        );
        assert_eq!(
            received(&format!("{host}\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked")).unwrap(),
            "head None true"
        );
        assert_eq!(received(&format!("{host}\r\nExpect: 100-continue")).unwrap(), "head Some(0) false");
        assert_eq!(received(&format!("{host}\r\nExpect: tea")), Err(Refusal::Expectation));
        assert_eq!(received("HTTP/1.0\r\nExpect: tea\r\nContent-Length: 1").unwrap(), "head Some(1) false");
    }

    #[test]
    fn a_body_past_the_limit_is_refused_at_the_head() {
        let text = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n";
        assert_eq!(words(&mut session(), &mut &text[..]), Err(Refusal::BodyTooLarge));
    }
}
