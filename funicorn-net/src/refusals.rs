//! How many refused requests does the log tell of? So many in a second one by one, and of the others their number.
//!
//! Whoever can send requests could fill a disk otherwise.

use std::sync::atomic::{AtomicU32, Ordering};

use funicorn_http::{Address, Refusal};

/// Lines between two sweeps of the loop, which is about a second.
const LINES: u32 = 20;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    since_sweep: AtomicU32,
}

impl Refusals {
    /// A request of `peer` has been refused.
    pub(crate) fn note(&self, peer: &Address, refusal: Refusal) {
        if self.counts_among_the_first() {
            log::info!("refused a request from {peer}: {refusal}");
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

    #[test]
    fn the_first_are_told_one_by_one() {
        let refusals = Refusals::default();
        let told = (0..LINES + 7).filter(|_| refusals.counts_among_the_first()).count();
        assert_eq!((told as u32, refusals.take_untold()), (LINES, 7));
        assert!(refusals.counts_among_the_first());
        assert_eq!(refusals.take_untold(), 0);
    }
}
