//! How much of something may all connections of a worker use together? A [`Budget`] of bytes, and the [`Share`]s taken of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that many may take from.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    used: Arc<AtomicU64>,
    limit: u64,
}

/// Bytes taken of a [`Budget`], given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    taken: AtomicU64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self { used: Arc::default(), limit }
    }

    /// A share that has taken nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { budget: self.clone(), taken: AtomicU64::new(0) }
    }

    /// Whether nothing can be taken any more.
    pub(crate) fn is_used_up(&self) -> bool {
        // Only an amount: nothing else depends on when it is seen.
        self.used.load(Ordering::Relaxed) >= self.limit
    }
}

impl Share {
    /// Takes `bytes` more, all or nothing. Returns whether they were there.
    pub(crate) fn grow(&self, bytes: u64) -> bool {
        let used = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = used.checked_add(bytes).is_some_and(|used| used <= self.budget.limit);
        if fits {
            self.taken.fetch_add(bytes, Ordering::Relaxed);
        } else {
            self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(*self.taken.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_take_and_give_back() {
        let budget = Budget::new(10);
        let (one, other) = (budget.share(), budget.share());
        assert!(one.grow(6));
        assert!(!other.grow(5), "all or nothing");
        assert!(other.grow(4) && budget.is_used_up());
        drop(one);
        assert!(other.grow(6) && !other.grow(1));
        drop(other);
        assert!(!budget.is_used_up() && budget.share().grow(10));
    }

    #[test]
    fn more_than_can_be_counted_is_not_there() {
        let budget = Budget::new(u64::MAX);
        let share = budget.share();
        assert!(share.grow(1));
        assert!(!share.grow(u64::MAX));
    }
}
