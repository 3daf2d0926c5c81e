//! Does a client take its response fast enough? Its [`Pace`] is looked at once a second while output waits for it.
//!
//! What the socket takes says little about the client: the kernel keeps megabytes, takes nothing until a third of that is free, and
//! then all of it at once. So progress is what the client's machine has acknowledged: what the socket has taken less what it
//! still keeps. By this a client that reads steadily is never idle, and one that reads a byte a second is seen to.
//!
//! Only time in which output waits counts, from one look to the next. An application that makes nothing for minutes holds no client to
//! account, and what left before the socket was full earns no credit.

use std::time::{Duration, Instant};

use crate::config::Deadlines;

/// What waits for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Since when there has always been something.
    pub(crate) since: Instant,
    /// Bytes that the socket has taken so far, to be compared with later ones.
    pub(crate) sent: u64,
    /// Bytes of them that the socket still keeps.
    pub(crate) unacknowledged: u64,
}

/// Why a client is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooSlow {
    /// Nothing was taken within [`Deadlines::write`].
    Stalled,
    /// Less was taken than [`Deadlines::min_send_rate`] asks for.
    Trickles,
}

impl TooSlow {
    /// In words for the log.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Stalled => "it took no output for too long",
            Self::Trickles => "it took its output too slowly",
        }
    }
}

/// How fast a client has taken one response so far.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The last look, if output waited then.
    last: Option<Look>,
    /// For how long output has waited in all, and how much of it was taken in this time.
    waited: Duration,
    taken: u64,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    output: Waiting,
    /// When progress was last seen.
    moved_at: Instant,
}

impl Pace {
    /// Looks at what waits now, if something does.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        output: Option<Waiting>,
        deadlines: &Deadlines,
    ) -> Option<TooSlow> {
        let before = self.last.take();
        let output = output?;
        // If nothing waited for a moment since the last look, that time does not count.
        let Some(before) = before.filter(|before| output.since <= before.at) else {
            self.last = Some(Look { at: now, output, moved_at: now });
            return None;
        };
        let taken = acknowledged(&before.output, &output);
        let has_moved = taken > 0 || output.sent > before.output.sent;
        let moved_at = if has_moved { now } else { before.moved_at };
        self.last = Some(Look { at: now, output, moved_at });
        self.waited += now.saturating_duration_since(before.at);
        self.taken = self.taken.saturating_add(taken);
        if moved_at + deadlines.write <= now {
            return Some(TooSlow::Stalled);
        }
        let paid_for = Duration::from_secs(self.taken.checked_div(deadlines.min_send_rate)?);
        (self.waited > deadlines.write.saturating_add(paid_for)).then_some(TooSlow::Trickles)
    }
}

/// How many bytes the client's machine has acknowledged between two looks.
fn acknowledged(before: &Waiting, after: &Waiting) -> u64 {
    let sent = after.sent.saturating_sub(before.sent);
    // A Unix socket counts its own overhead too, and may seem to keep more than was sent.
    sent.saturating_add(before.unacknowledged).saturating_sub(after.unacknowledged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client over a hundred minutes: what it takes in each second, and whether output waits for it.
    struct Client {
        pace: Pace,
        start: Instant,
        second: u64,
        since: u64,
        sent: u64,
        kept: u64,
    }

    impl Client {
        fn new() -> Self {
            Self {
                pace: Pace::default(),
                start: Instant::now(),
                second: 0,
                since: 0,
                sent: 0,
                kept: 1_000_000,
            }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        /// Takes so many bytes a second for so many seconds out of a socket that is filled up again once it is empty; returns the second in which
        /// it is cut.
        fn take(&mut self, rate: u64, seconds: u64, deadlines: &Deadlines) -> Option<(u64, TooSlow)> {
            for _ in 0..seconds {
                self.second += 1;
                self.kept = self.kept.saturating_sub(rate);
                if self.kept < 650_000 {
                    self.sent += 1_000_000 - self.kept;
                    self.kept = 1_000_000;
                }
                let output =
                    Waiting { since: self.at(self.since), sent: self.sent, unacknowledged: self.kept };
                let now = self.at(self.second);
                if let Some(why) = self.pace.look(now, Some(output), deadlines) {
                    return Some((self.second, why));
                }
            }
            None
        }

        /// Has taken everything, and the application makes nothing for so long.
        fn pause(&mut self, seconds: u64, deadlines: &Deadlines) {
            for _ in 0..seconds {
                self.second += 1;
                assert_eq!(self.pace.look(self.at(self.second), None, deadlines), None);
            }
            self.since = self.second;
        }
    }

    #[test]
    fn a_client_that_takes_nothing_is_cut_at_the_deadline() {
        let cut = Client::new().take(0, 100, &Deadlines::default());
        assert_eq!(cut, Some((61, TooSlow::Stalled)), "the first look begins to count");
    }

    #[test]
    fn a_byte_a_second_is_too_slow_once_the_deadline_has_passed() {
        let cut = Client::new().take(1, 100, &Deadlines::default());
        assert_eq!(cut, Some((62, TooSlow::Trickles)));
    }

    #[test]
    fn a_steady_client_is_never_cut_though_the_socket_takes_nothing_for_minutes() {
        assert_eq!(Client::new().take(240, 6000, &Deadlines::default()), None);
        let cut = Client::new().take(239, 20_000, &Deadlines::default());
        assert!(matches!(cut, Some((14_000..15_000, TooSlow::Trickles))), "{cut:?}");
    }

    #[test]
    fn what_was_taken_fast_pays_for_slowness_that_follows() {
        let (mut client, deadlines) = (Client::new(), Deadlines::default());
        assert_eq!(client.take(4800, 11, &deadlines), None);
        let cut = client.take(1, 1000, &deadlines);
        assert!(matches!(cut, Some((260..265, TooSlow::Trickles))), "48,000 bytes pay for 200 s: {cut:?}");
    }

    #[test]
    fn the_time_in_which_nothing_waits_is_left_out() {
        let (mut client, deadlines) = (Client::new(), Deadlines::default());
        for _ in 0..100 {
            assert_eq!(client.take(240, 30, &deadlines), None);
            client.pause(600, &deadlines);
        }
        // A pause between two looks is one too.
        for _ in 0..100 {
            client.since = client.second + 1;
            assert_eq!(client.take(0, 1, &deadlines), None);
        }
    }

    #[test]
    fn pauses_do_not_make_a_slow_client_fast() {
        let (mut client, deadlines) = (Client::new(), Deadlines::default());
        assert_eq!(client.take(1, 40, &deadlines), None);
        client.pause(600, &deadlines);
        let cut = client.take(1, 40, &deadlines);
        assert_eq!(cut, Some((663, TooSlow::Trickles)), "39 s and 22 s of waiting");
    }

    #[test]
    fn zero_is_no_minimum() {
        let deadlines = Deadlines { min_send_rate: 0, ..Deadlines::default() };
        assert_eq!(Client::new().take(1, 6000, &deadlines), None);
    }

    #[test]
    fn overhead_that_a_socket_counts_is_not_held_against_the_client() {
        let at = Instant::now();
        let before = Waiting { since: at, sent: 0, unacknowledged: 0 };
        let after = Waiting { since: at, sent: 10, unacknowledged: 700 };
        assert_eq!(acknowledged(&before, &after), 0);
    }
}
