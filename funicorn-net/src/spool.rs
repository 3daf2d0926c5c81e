//! Where does a request body wait until it is complete? In memory while it is small, then in an unlinked file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use funicorn_http::Body;

/// The largest buffer that is reserved on the word of a Content-Length, before a byte has arrived.
const RESERVED: u64 = 16 * 1024;

/// A body that is arriving.
#[derive(Debug)]
pub(crate) struct BodyBuffer {
    store: Store,
}

#[derive(Debug)]
enum Store {
    Memory(BytesMut),
    /// An unlinked file, and how many bytes are in it.
    File(File, u64),
}

impl BodyBuffer {
    /// Room for a body of `length` bytes, if that is known.
    pub(crate) fn new(length: Option<u64>) -> Self {
        let reserved = length.unwrap_or(0).min(RESERVED) as usize;
        Self { store: Store::Memory(BytesMut::with_capacity(reserved)) }
    }

    /// Appends `bytes`; past `memory` bytes the body moves to a file in `spool_dir`.
    pub(crate) fn push(&mut self, bytes: &[u8], memory: usize, spool_dir: &Path) -> io::Result<()> {
        match &mut self.store {
            Store::Memory(kept) if kept.len() + bytes.len() <= memory => kept.extend_from_slice(bytes),
            Store::Memory(kept) => {
                let mut file = tempfile::tempfile_in(spool_dir)?;
                file.write_all(kept)?;
                file.write_all(bytes)?;
                self.store = Store::File(file, (kept.len() + bytes.len()) as u64);
            }
            Store::File(file, len) => {
                file.write_all(bytes)?;
                *len += bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// The complete body, to be read from its start.
    pub(crate) fn complete(self) -> io::Result<Body> {
        Ok(match self.store {
            Store::Memory(kept) => Body::from(Bytes::from(kept)),
            Store::File(mut file, len) => {
                file.seek(SeekFrom::Start(0))?;
                Body::from_reader(Box::new(file), len)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_moves_to_a_file_past_the_mark() {
        let mut buffer = BodyBuffer::new(None);
        for part in [&b"abc"[..], b"def", b"ghi"] {
            buffer.push(part, 5, &std::env::temp_dir()).unwrap();
        }
        assert!(matches!(buffer.store, Store::File(_, 9)));
        let mut body = buffer.complete().unwrap();
        let mut all = [0; 16];
        assert_eq!(body.read(&mut all).unwrap(), 9);
        assert_eq!(&all[..9], b"abcdefghi");
    }

    #[test]
    fn a_small_body_stays_in_memory() {
        let mut buffer = BodyBuffer::new(Some(3));
        buffer.push(b"abc", 5, Path::new("/nowhere")).unwrap();
        assert_eq!(buffer.complete().unwrap().in_memory(), Some(&b"abc"[..]));
    }

    #[test]
    fn a_spool_directory_that_is_missing_is_an_error() {
        assert!(BodyBuffer::new(None).push(b"abc", 1, Path::new("/nowhere")).is_err());
    }
}
