//! Where does a request body wait until it is complete? In memory while there is some for it, then in an unlinked file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use funicorn_http::Body;

use crate::budget::{Budget, Share};
use crate::config::WorkerLimits;

/// The largest buffer that is reserved on the word of a Content-Length, before a byte has arrived.
const RESERVED: u64 = 16 * 1024;

/// Where bodies and responses may wait, and how much of them; one for all connections of a worker.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    /// Bytes of one body that are kept in memory.
    body_buffer: u64,
    /// For the bodies that are kept in memory.
    memory: Budget,
    /// For what waits in files.
    disk: Budget,
}

impl Spool {
    /// A spool in `dir`, as large as `limits` say.
    pub(crate) fn new(dir: PathBuf, limits: &WorkerLimits) -> Self {
        Self {
            dir,
            body_buffer: limits.body_buffer,
            memory: Budget::new(limits.body_memory),
            disk: Budget::new(limits.spool),
        }
    }

    /// A new file without a name: it goes when it is closed, however this process ends.
    pub(crate) fn file(&self) -> io::Result<SpoolFile> {
        Ok(SpoolFile { file: tempfile::tempfile_in(&self.dir)?, disk: self.disk.share() })
    }

    /// Whether a body of `length` bytes (`None`: not known yet) would find no place, as far as can be told now.
    pub(crate) fn is_full_for(&self, length: Option<u64>) -> bool {
        length.is_some_and(|length| length > self.body_buffer) && self.disk.is_used_up()
    }
}

/// A file that is written from front to end, by one, and the share of the disk that it takes.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    pub(crate) file: File,
    disk: Share,
}

impl SpoolFile {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// `StorageFull` past the worker's share of the disk; what the system says otherwise.
    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if !self.disk.grow(bytes.len() as u64) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the limit on spooled data is reached"));
        }
        (&self.file).write_all(bytes)
    }
}

impl Read for SpoolFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read(buf)
    }
}

/// A body that is arriving.
#[derive(Debug)]
pub(crate) struct BodyBuffer {
    store: Store,
}

#[derive(Debug)]
enum Store {
    Memory(BytesMut, Share),
    /// A file, and how many bytes are in it.
    File(SpoolFile, u64),
}

impl BodyBuffer {
    /// Room for a body of `length` bytes, if that is known.
    pub(crate) fn new(length: Option<u64>, spool: &Spool) -> Self {
        let reserved = length.unwrap_or(0).min(RESERVED) as usize;
        Self { store: Store::Memory(BytesMut::with_capacity(reserved), spool.memory.share()) }
    }

    /// Appends `bytes`. Past what may be kept in memory the body moves to a file.
    ///
    /// # Errors
    /// When there is no room on the disk, or the system fails.
    pub(crate) fn push(&mut self, bytes: &[u8], spool: &Spool) -> io::Result<()> {
        match &mut self.store {
            Store::Memory(kept, share) => {
                let fits = (kept.len() + bytes.len()) as u64 <= spool.body_buffer;
                if fits && share.grow(bytes.len() as u64) {
                    kept.extend_from_slice(bytes);
                    return Ok(());
                }
                let file = spool.file()?;
                file.append(kept)?;
                file.append(bytes)?;
                self.store = Store::File(file, (kept.len() + bytes.len()) as u64);
            }
            Store::File(file, len) => {
                file.append(bytes)?;
                *len += bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// The complete body, to be read from its start, and the memory that it takes until it has been read.
    pub(crate) fn complete(self) -> io::Result<(Body, Option<Share>)> {
        Ok(match self.store {
            Store::Memory(kept, _) if kept.is_empty() => (Body::empty(), None),
            Store::Memory(kept, share) => (Body::from(Bytes::from(kept)), Some(share)),
            Store::File(mut file, len) => {
                file.file.seek(SeekFrom::Start(0))?;
                (Body::from_reader(Box::new(file), len), None)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(body_buffer: u64, body_memory: u64, disk: u64) -> Spool {
        let limits = WorkerLimits { body_buffer, body_memory, spool: disk, ..WorkerLimits::default() };
        Spool::new(std::env::temp_dir(), &limits)
    }

    fn push_all(buffer: &mut BodyBuffer, parts: &[&[u8]], spool: &Spool) {
        parts.iter().for_each(|part| buffer.push(part, spool).unwrap());
    }

    #[test]
    fn a_body_moves_to_a_file_past_the_mark() {
        let spool = spool(5, 100, 100);
        let mut buffer = BodyBuffer::new(None, &spool);
        push_all(&mut buffer, &[b"abc", b"def", b"ghi"], &spool);
        assert!(matches!(buffer.store, Store::File(_, 9)));
        let (mut body, _) = buffer.complete().unwrap();
        let mut all = [0; 16];
        assert_eq!(body.read(&mut all).unwrap(), 9);
        assert_eq!(&all[..9], b"abcdefghi");
    }

    #[test]
    fn a_small_body_stays_in_memory() {
        let spool = Spool { dir: "/nowhere".into(), ..spool(5, 100, 0) };
        let mut buffer = BodyBuffer::new(Some(3), &spool);
        push_all(&mut buffer, &[b"abc"], &spool);
        assert_eq!(buffer.complete().unwrap().0.in_memory(), Some(&b"abc"[..]));
    }

    #[test]
    fn all_bodies_together_have_so_much_memory_and_no_more() {
        let spool = spool(5, 6, 100);
        let (mut one, mut other) = (BodyBuffer::new(None, &spool), BodyBuffer::new(None, &spool));
        push_all(&mut one, &[b"abc"], &spool);
        push_all(&mut other, &[b"abc", b"d"], &spool);
        assert!(matches!(one.store, Store::Memory(..)));
        assert!(matches!(other.store, Store::File(..)));
        let (_, share) = one.complete().unwrap();
        let mut third = BodyBuffer::new(None, &spool);
        push_all(&mut third, &[b"abc"], &spool);
        assert!(
            matches!(third.store, Store::Memory(..)),
            "what has moved to a file has given its memory back"
        );
        let mut fourth = BodyBuffer::new(None, &spool);
        push_all(&mut fourth, &[b"a"], &spool);
        assert!(matches!(fourth.store, Store::File(..)), "a complete body keeps its memory until it is read");
        drop(share);
        let mut fifth = BodyBuffer::new(None, &spool);
        push_all(&mut fifth, &[b"a"], &spool);
        assert!(matches!(fifth.store, Store::Memory(..)));
    }

    #[test]
    fn the_disk_has_a_limit() {
        let spool = spool(1, 100, 4);
        let mut buffer = BodyBuffer::new(Some(9), &spool);
        assert!(!spool.is_full_for(Some(9)));
        push_all(&mut buffer, &[b"abcd"], &spool);
        assert!(spool.is_full_for(Some(9)) && !spool.is_full_for(Some(1)));
        assert_eq!(buffer.push(b"e", &spool).unwrap_err().kind(), io::ErrorKind::StorageFull);
        drop(buffer);
        assert!(!spool.is_full_for(Some(9)));
    }

    #[test]
    fn a_spool_directory_that_is_missing_is_an_error() {
        let spool = Spool { dir: "/nowhere".into(), ..spool(0, 100, 100) };
        assert!(BodyBuffer::new(None, &spool).push(b"abc", &spool).is_err());
    }
}
