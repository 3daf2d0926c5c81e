//! The transport of the [model](crate::model): a number in its network.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::NETWORK;

/// See `transport.rs`, whose items have the same names.
#[derive(Debug)]
pub(crate) struct Transport {
    number: usize,
    resets: AtomicBool,
}

impl Transport {
    pub(crate) fn plain(number: usize) -> Self {
        Self { number, resets: AtomicBool::new(false) }
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        NETWORK.read(self.number, buf)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        NETWORK.write(self.number, bytes)
    }

    pub(crate) fn write_before_end(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    pub(crate) fn write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        NETWORK.write(self.number, &parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>())
    }

    pub(crate) fn send_file(&self, file: &File, offset: u64, len: usize) -> io::Result<usize> {
        let mut bytes = vec![0; len.min(100)];
        let len = file.read_at(&mut bytes, offset)?;
        NETWORK.write(self.number, &bytes[..len])
    }

    pub(crate) fn unacknowledged(&self) -> u64 {
        0
    }

    pub(crate) fn shutdown_write(&self) {
        NETWORK.end(self.number);
    }

    pub(crate) fn shutdown_both(&self) {
        NETWORK.end(self.number);
    }

    pub(crate) fn reset(&self) {
        NETWORK.end(self.number);
    }

    pub(crate) fn reset_on_close(&self) {
        self.resets.store(true, Ordering::Relaxed);
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        NETWORK.close(self.number, self.resets.load(Ordering::Relaxed));
    }
}
