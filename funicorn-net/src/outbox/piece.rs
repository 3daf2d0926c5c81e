//! What does output that waits consist of, and how much of it goes with one write?

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use funicorn_http::FileRange;

use super::Next;
use crate::spool::SpoolFile;
use crate::transport::Transport;

/// Pieces of one vectored write.
const PIECES: usize = 16;

/// Bytes of a file that one `sendfile` is asked for.
const FILE_STEP: u64 = 1024 * 1024;

#[derive(Debug)]
pub(super) enum Piece {
    Memory(Bytes),
    /// A part of a file of the application's.
    File(FileRange),
    Spooled(SpooledRange),
}

/// Output that was too much for memory.
#[derive(Debug)]
pub(crate) struct SpooledRange {
    pub(crate) file: Arc<SpoolFile>,
    /// Bytes before the first one to send.
    pub(crate) offset: u64,
    /// How many bytes to send.
    pub(crate) len: u64,
}

impl SpooledRange {
    pub(super) fn is_followed_by(&self, next: &Self) -> bool {
        Arc::ptr_eq(&self.file, &next.file) && self.offset + self.len == next.offset
    }
}

/// What one write sent, by where it came from.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) memory: usize,
    file: usize,
    pub(super) spooled: usize,
}

impl Sent {
    pub(super) fn total(&self) -> usize {
        self.memory + self.file + self.spooled
    }
}

/// Writes as much of `pieces` and of `gathered`, which stands behind them, as goes into one system call. What is left is in
/// `pieces`.
pub(super) fn write_output(
    transport: &Transport,
    pieces: &mut VecDeque<Piece>,
    gathered: Vec<u8>,
    next: Next,
) -> io::Result<Sent> {
    if !pieces.is_empty() {
        if !gathered.is_empty() {
            pieces.push_back(Piece::Memory(gathered.into()));
        }
        return write_pieces(transport, pieces);
    }
    // Most often that is all, and leaves as it is.
    let result = match next {
        Next::Any => transport.write(&gathered),
        Next::End => transport.write_before_end(&gathered),
    };
    let memory = *result.as_ref().unwrap_or(&0);
    if memory < gathered.len() {
        pieces.push_back(Piece::Memory(Bytes::from(gathered).slice(memory..)));
    }
    result.map(|memory| Sent { memory, ..Sent::default() })
}

/// Writes the first pieces, as many as go into one system call, and removes what was sent.
fn write_pieces(transport: &Transport, pieces: &mut VecDeque<Piece>) -> io::Result<Sent> {
    let (sent, left) = match pieces.front_mut() {
        Some(Piece::File(FileRange { file, offset, len })) => {
            let file = write_file_step(transport, file, offset, len)?;
            (Sent { file, ..Sent::default() }, *len)
        }
        Some(Piece::Spooled(SpooledRange { file, offset, len })) => {
            let spooled = write_file_step(transport, &file.file, offset, len)?;
            (Sent { spooled, ..Sent::default() }, *len)
        }
        Some(Piece::Memory(_)) | None => return write_memory(transport, pieces),
    };
    if left == 0 {
        pieces.pop_front();
    }
    Ok(sent)
}

fn write_memory(transport: &Transport, pieces: &mut VecDeque<Piece>) -> io::Result<Sent> {
    let mut slices = [IoSlice::new(&[]); PIECES];
    let mut count = 0;
    for (slot, piece) in slices.iter_mut().zip(pieces.iter()) {
        let Piece::Memory(bytes) = piece else { break };
        *slot = IoSlice::new(bytes);
        count += 1;
    }
    let memory = match &slices[..count] {
        [only] => transport.write(only)?,
        several => transport.write_vectored(several)?,
    };
    let mut left = memory;
    while left > 0 {
        let Some(Piece::Memory(bytes)) = pieces.front_mut() else { break };
        let taken = left.min(bytes.len());
        bytes.advance(taken);
        left -= taken;
        if bytes.is_empty() {
            pieces.pop_front();
        }
    }
    Ok(Sent { memory, ..Sent::default() })
}

/// Sends a part of `file` and moves `offset` and `len` past it.
fn write_file_step(transport: &Transport, file: &File, offset: &mut u64, len: &mut u64) -> io::Result<usize> {
    if *len == 0 {
        return Ok(0);
    }
    let step = (*len).min(FILE_STEP) as usize;
    let sent = transport.send_file(file, *offset, step)?;
    if sent == 0 {
        log::warn!("a file became shorter while it was sent: the connection is cut");
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    *offset += sent as u64;
    *len -= sent as u64;
    Ok(sent)
}
