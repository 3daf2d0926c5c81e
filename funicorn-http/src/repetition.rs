//! Has the client said this before? The header section of the last request, which the next one mostly repeats.
//!
//! Programs send the same lines with every request of a connection, and browsers often do. Lines that are the same, byte
//! by byte, are neither checked nor parsed again: [`Headers`] that have passed every check are given out once more. What
//! depends on more than the section is not taken from memory: the request line, its version included, and the limit of the
//! whole head.
//!
//! The memory is a connection's own, for the time of the connection, and bounded.

use crate::{Headers, Version};

/// Sections up to this size are remembered, in bytes. Those of browsers are shorter, unless they bring many cookies.
const LONGEST: usize = 4096;

/// The header section of the last request, if there has been one that is worth it.
#[derive(Debug, Default)]
pub(crate) struct LastSection(Option<(Version, Headers)>);

impl LastSection {
    /// The headers at the beginning of `input`, which follows a request line of this version, if they are the last ones.
    pub(crate) fn repeated_by(&self, input: &[u8], version: Version) -> Option<Headers> {
        let (last_version, headers) = self.0.as_ref()?;
        let section = headers.as_bytes();
        let is_repeated = *last_version == version
            && input.get(..section.len()).is_some_and(|start| are_equal(start, section));
        is_repeated.then(|| headers.repeat())
    }

    /// Remembers these headers, which have passed every check for this version.
    pub(crate) fn remember(&mut self, headers: &Headers, version: Version) {
        self.0 = (headers.as_bytes().len() <= LONGEST).then(|| (version, headers.clone()));
    }
}

/// Whether two sections of one length are equal. Looks at all of both: behind a proxy the last section may be another
/// client's, and how long a comparison takes must not tell how much of it has been guessed.
fn are_equal(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Event, Limits, Session};

    /// For each of the requests whether its lines are said to be repeated.
    fn repeated(session: &mut Session, requests: &[&str]) -> Vec<bool> {
        let receive = |text: &&str| {
            let mut input = text.as_bytes();
            let Ok(Event::Head(received)) = session.receive(&mut input) else {
                panic!("no head in {text:?}")
            };
            assert!(matches!(session.receive(&mut input), Ok(Event::End)));
            session.next_request();
            received.head.headers().is_repeated()
        };
        requests.iter().map(receive).collect()
    }

    fn session() -> Session {
        Session::new(Arc::new(Limits::default()))
    }

    const A: &str = "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";

    #[test]
    fn lines_are_repeated_under_any_request_line_of_the_version() {
        let b = "POST /other?x HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n";
        let of_old = "GET / HTTP/1.0\r\nHost: a\r\nX: 1\r\n\r\n";
        assert_eq!(
            repeated(&mut session(), &[A, A, b, of_old, of_old, A]),
            [false, true, true, false, true, false]
        );
    }

    #[test]
    fn every_byte_counts() {
        for other in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nx: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 1\r\n\r\n",
        ] {
            assert_eq!(repeated(&mut session(), &[A, other, A]), [false; 3], "{other:?}");
        }
    }

    #[test]
    fn what_is_forgotten_or_too_long_is_not_repeated() {
        let mut session = session();
        repeated(&mut session, &[A]);
        session.forget();
        assert_eq!(repeated(&mut session, &[A, A]), [false, true]);
        let section = format!("Host: a\r\nX: {}\r\n\r\n", "x".repeat(LONGEST - 16));
        assert_eq!(section.len(), LONGEST);
        let at_limit = format!("GET / HTTP/1.1\r\n{section}");
        let past_it = format!("GET / HTTP/1.1\r\nY:\r\n{section}");
        assert_eq!(repeated(&mut session, &[&at_limit, &at_limit]), [false, true]);
        assert_eq!(repeated(&mut session, &[&past_it, &past_it]), [false, false]);
    }

    #[test]
    fn what_is_kept_is_kept_for_those_that_repeat_and_once() {
        let mut session = session();
        let mut headers = || {
            let Ok(Event::Head(received)) = session.receive(&mut A.as_bytes()) else { panic!("no head") };
            assert!(matches!(session.receive(&mut &b""[..]), Ok(Event::End)));
            session.next_request();
            received.head.headers().clone()
        };
        let (first, second) = (headers(), headers());
        assert!(first.share_lines_with(&second));
        second.keep("of the first");
        first.keep("of the second");
        assert_eq!(headers().kept::<&str>(), Some(&"of the first"));
        assert_eq!(headers().kept::<u32>(), None);
    }
}
