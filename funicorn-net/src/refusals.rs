//! What does the log say of a refused request? Whose it is, why, how it begins, and which number of the configuration it has passed;
//! for so many in a second one by one, and of the others their number.
//!
//! Whoever can send requests could fill a disk otherwise, or write lines of their own: what they have sent is cut short and
//! escaped.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use funicorn_http::{Address, Refusal, RequestHead};

use crate::bound::Bound;
use crate::config::WorkerConfig;

/// Lines between two sweeps of the loop, which is about a second.
const LINES: u32 = 20;

/// Bytes of a method and a target that are told.
const TOLD: usize = 256;

/// A request that is turned away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    /// What it has passed, if that is more than the refusal says.
    bound: Option<Bound>,
    /// The method and the target, or what has come in their place.
    line: Vec<u8>,
}

impl Refused {
    /// A request of which so much has come that its head is understood.
    pub(crate) fn with_head(refusal: Refusal, head: &RequestHead) -> Self {
        let method = head.method().iter().chain(b" ");
        let line = method.chain(head.target()).take(TOLD + 1).copied().collect();
        Self { refusal, bound: None, line }
    }

    /// A request that begins with `input`, as far as it has come.
    pub(crate) fn with_start(refusal: Refusal, input: &[u8]) -> Self {
        let input = input.strip_prefix(b"\r\n").unwrap_or(input);
        let line = input.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let line = match refusal {
            // There is nothing to be read.
            Refusal::Tls => b"",
            _ => line.strip_suffix(b" HTTP/1.1").or(line.strip_suffix(b" HTTP/1.0")).unwrap_or(line),
        };
        // Before a body has come, only the limit of all of them can leave no place for it.
        let bound = (refusal == Refusal::Unavailable).then_some(Bound::Spool);
        Self { refusal, bound, line: line[..line.len().min(TOLD + 1)].to_vec() }
    }

    /// The same, which has passed `bound`.
    pub(crate) fn past(self, bound: Bound) -> Self {
        Self { bound: Some(bound), ..self }
    }
}

/// What is told of `refused`, under `config`.
struct Told<'a>(&'a Refused, &'a WorkerConfig);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Refused { refusal, bound, line }, config) = self;
        write!(f, "{refusal}")?;
        if !line.is_empty() {
            let rest = if line.len() > TOLD { "..." } else { "" };
            write!(f, ": {}{rest}", line[..line.len().min(TOLD)].escape_ascii())?;
        }
        match bound.or_else(|| Bound::of(*refusal, config)) {
            Some(bound) => write!(f, " ({} is {})", (config.bound_name)(bound), bound.value(config)),
            None => Ok(()),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    since_sweep: AtomicU32,
}

impl Refusals {
    /// A request of `peer` has been refused.
    pub(crate) fn note(&self, peer: &Address, refused: &Refused, config: &WorkerConfig) {
        if self.counts_among_the_first() {
            log::info!("refused a request from {peer}: {}", Told(refused, config));
        }
    }

    /// A connection to `peer` has been cut.
    pub(crate) fn note_cut(&self, peer: &Address, why: &str) {
        if self.counts_among_the_first() {
            log::info!("cut the connection to {peer}: {why}");
        }
    }

    fn counts_among_the_first(&self) -> bool {
        self.since_sweep.fetch_add(1, Ordering::Relaxed) < LINES
    }

    /// Tells of those that were passed over, and begins to count anew.
    pub(crate) fn sweep(&self) {
        let untold = self.take_untold();
        if untold > 0 {
            log::info!("refused {untold} more requests, or cut their connections");
        }
    }

    fn take_untold(&self) -> u32 {
        self.since_sweep.swap(0, Ordering::Relaxed).saturating_sub(LINES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(refused: &Refused) -> String {
        Told(refused, &WorkerConfig::default()).to_string()
    }

    #[test]
    fn a_line_tells_how_the_request_begins_and_what_it_has_passed() {
        let head = RequestHead::builder("PUT", "/a").build();
        let too_large = Refused::with_head(Refusal::BodyTooLarge, &head);
        assert_eq!(told(&too_large), "the body is too large: PUT /a (limits.request.body is 1073741824)");
        let late = Refused::with_start(Refusal::Timeout, b"\r\nGET /sl").past(Bound::HeadTime);
        assert_eq!(told(&late), "the request did not arrive in time: GET /sl (deadlines.head is 30)");
        let host = Refused::with_start(Refusal::Host, b"GET /b HTTP/1.1\r\nHost: evil\r\n");
        assert_eq!(told(&host), "the Host header is missing, repeated or malformed: GET /b");
        let tls = Refused::with_start(Refusal::Tls, b"\x16\x03\x01");
        assert_eq!(told(&tls), "the client speaks TLS, and this port plain HTTP");
    }

    #[test]
    fn what_a_peer_has_sent_is_cut_short_and_escaped() {
        let text = told(&Refused::with_start(Refusal::RequestLine, b"a\x1b[2J\xff\"\ninjected"));
        assert_eq!(text, "the request line is malformed: a\\x1b[2J\\xff\\\"");
        let long = format!("GET /{}", "a".repeat(10_000));
        let text = told(&Refused::with_start(Refusal::RequestLineTooLong, long.as_bytes()));
        assert!(text.ends_with("aaa... (limits.request.request_line is 8190)"), "{text}");
        assert!(text.len() < TOLD + 100, "{text}");
        let head = RequestHead::builder("GET", &format!("/{}", "a".repeat(TOLD - 5))).build();
        assert!(told(&Refused::with_head(Refusal::Expectation, &head)).ends_with("aaa"));
    }

    #[test]
    fn the_first_are_told_one_by_one() {
        let refusals = Refusals::default();
        let told = (0..LINES + 7).filter(|_| refusals.counts_among_the_first()).count();
        assert_eq!((told as u32, refusals.take_untold()), (LINES, 7));
        assert!(refusals.counts_among_the_first());
        assert_eq!(refusals.take_untold(), 0);
    }
}
