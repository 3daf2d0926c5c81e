//! What becomes of a response that is too much for memory, because its client reads slowly? It goes on in a file.
//!
//! So the application need not wait for the client: its thread is free for the next request, and the loop sends from
//! the file. Only past the limit on the file, or on all such files together, does the application wait.
//!
//! A file is written once, from front to end, and never again at the same place: the kernel sends its pages without a
//! copy, so that what is not yet acknowledged would change on its way. It belongs to what waits in it: when the client has caught up it
//! goes, though the response goes on, and the next file is a new one.

use std::io;
use std::sync::{Arc, Weak};

use crate::outbox::SpooledRange;
use crate::spool::{Spool, SpoolFile};

/// The file in which one response goes on, while there is need for it.
#[derive(Debug, Default)]
pub(crate) struct Overflow {
    /// Gone when everything in it has been sent.
    file: Weak<SpoolFile>,
    /// How long it is, or was.
    len: u64,
    /// Writing has failed, and would fail again.
    has_failed: bool,
}

impl Overflow {
    /// Writes `parts` one after the other; what has to be sent for them is returned. `None` if they would go past `limit`, or if
    /// writing has failed before.
    ///
    /// # Errors
    /// When the disk is full, or the system fails. What was written before can still be sent.
    pub(crate) fn append(
        &mut self,
        parts: &[&[u8]],
        limit: u64,
        spool: &Spool,
    ) -> io::Result<Option<SpooledRange>> {
        let file = self.file.upgrade();
        let offset = if file.is_some() { self.len } else { 0 };
        let len = parts.iter().map(|part| part.len() as u64).sum::<u64>();
        if self.has_failed || offset.saturating_add(len) > limit {
            return Ok(None);
        }
        let written = write(parts, file, spool).inspect_err(|_| self.has_failed = true)?;
        (self.file, self.len) = (Arc::downgrade(&written), offset + len);
        Ok(Some(SpooledRange { file: written, offset, len }))
    }
}

/// Appends `parts` to `file`, or to a new one.
fn write(parts: &[&[u8]], file: Option<Arc<SpoolFile>>, spool: &Spool) -> io::Result<Arc<SpoolFile>> {
    let file = file.map_or_else(|| spool.file().map(Arc::new), Ok)?;
    parts.iter().try_for_each(|part| file.append(part))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WorkerLimits;

    #[test]
    fn parts_become_ranges_up_to_the_limit() {
        let spool = Spool::new(std::env::temp_dir(), &WorkerLimits::default());
        let mut overflow = Overflow::default();
        let first = overflow.append(&[b"ab", b"", b"c"], 5, &spool).unwrap().unwrap();
        let second = overflow.append(&[b"de"], 5, &spool).unwrap().unwrap();
        assert_eq!((first.offset, first.len, second.offset, second.len), (0, 3, 3, 2));
        assert!(overflow.append(&[b"f"], 5, &spool).unwrap().is_none());
        let mut all = [0; 5];
        std::os::unix::fs::FileExt::read_exact_at(&second.file.file, &mut all, 0).unwrap();
        assert_eq!(&all, b"abcde");
    }

    #[test]
    fn a_file_goes_with_the_last_range_in_it_and_the_next_is_a_new_one() {
        let limits = WorkerLimits { spool: 5, ..WorkerLimits::default() };
        let spool = Spool::new(std::env::temp_dir(), &limits);
        let mut overflow = Overflow::default();
        let first = overflow.append(&[b"abc"], 5, &spool).unwrap().unwrap();
        assert!(overflow.append(&[b"def"], 5, &spool).unwrap().is_none(), "past the limit of the file");
        drop(first);
        let second = overflow.append(&[b"def"], 5, &spool).unwrap().unwrap();
        assert_eq!((second.offset, second.len), (0, 3), "the disk has taken the first one back");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let limits = WorkerLimits { spool: 2, ..WorkerLimits::default() };
        let spool = Spool::new(std::env::temp_dir(), &limits);
        let mut overflow = Overflow::default();
        assert!(overflow.append(&[b"abc"], 100, &spool).is_err());
        assert!(overflow.append(&[b"a"], 100, &spool).unwrap().is_none(), "it is not tried again");
    }
}
