//! How long does a dead worker's place stay empty? Not at all after a decent life, ever longer after short ones.

use std::time::Duration;

/// The pause after the first short life; each further one doubles it.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause: long enough not to burn a core on an application that cannot run, short enough to serve again soon
/// when its database has come back.
const LONGEST: Duration = Duration::from_secs(30);

/// A worker that lived this long has not failed at its start.
const DECENT_LIFE: Duration = Duration::from_secs(10);

/// The short lives in a row of one worker's place.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    short_lives: u32,
}

impl BackOff {
    /// How long to wait before the next worker is started, after one that `lived` this long.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= DECENT_LIFE {
            self.short_lives = 0;
            return Duration::ZERO;
        }
        let pause = FIRST.saturating_mul(1 << self.short_lives.min(16)).min(LONGEST);
        self.short_lives += 1;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_a_decent_life_resets_them() {
        let mut back_off = BackOff::default();
        let short = Duration::from_secs(1);
        let pauses: Vec<_> = (0..11).map(|_| back_off.after(short).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        assert_eq!(back_off.after(DECENT_LIFE), Duration::ZERO);
        assert_eq!(back_off.after(short), FIRST);
    }

    #[test]
    fn it_never_overflows() {
        let mut back_off = BackOff { short_lives: 1_000_000 };
        assert_eq!(back_off.after(Duration::ZERO), LONGEST);
    }
}
