//! What stands around one block of a response's body? A chunk's size and its CRLF, or nothing (RFC 9112 §7.1).

/// How one block of the body goes on the wire: [`prefix`](Self::prefix), the block's first `take` bytes, `suffix`.
#[derive(Clone, Copy, Debug)]
pub struct BlockFrame {
    prefix: [u8; Self::PREFIX],
    prefix_len: u8,
    /// How many bytes of the block are sent.
    pub take: u64,
    /// What follows them.
    pub suffix: &'static [u8],
    /// Whether the block went past Content-Length and was cut.
    pub too_long: bool,
}

impl BlockFrame {
    /// Bytes of the longest prefix: sixteen hexadecimal digits and CRLF.
    const PREFIX: usize = 18;

    /// What precedes the block: the size of a chunk, or nothing.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix[..usize::from(self.prefix_len)]
    }

    /// The first `take` bytes of a block, which may be all of them, with nothing around.
    pub(crate) fn cut(take: u64, too_long: bool) -> Self {
        Self { prefix: [0; Self::PREFIX], prefix_len: 0, take, suffix: b"", too_long }
    }

    /// A block of `len` bytes with nothing around.
    pub(crate) fn bare(len: u64) -> Self {
        Self::cut(len, false)
    }

    /// `len` bytes as one chunk. `len` is not 0: that would be the last chunk.
    pub(crate) fn chunk(len: u64) -> Self {
        let mut frame = Self { suffix: b"\r\n", ..Self::bare(len) };
        let digits = (16 - len.leading_zeros() / 4).max(1);
        for (at, place) in (0..digits).rev().zip(&mut frame.prefix) {
            *place = b"0123456789abcdef"[(len >> (4 * at)) as usize & 15];
        }
        frame.prefix[digits as usize..][..2].copy_from_slice(b"\r\n");
        frame.prefix_len = digits as u8 + 2;
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_has_its_size_in_front() {
        for len in [1, 9, 10, 15, 16, 255, 256, 0xabcde, u64::from(u32::MAX), u64::MAX] {
            let frame = BlockFrame::chunk(len);
            assert_eq!(frame.prefix(), format!("{len:x}\r\n").as_bytes());
            assert_eq!((frame.take, frame.suffix, frame.too_long), (len, &b"\r\n"[..], false));
        }
    }

    #[test]
    fn a_bare_block_has_nothing_around_it() {
        let frame = BlockFrame::bare(7);
        assert_eq!((frame.prefix(), frame.take, frame.suffix), (&b""[..], 7, &b""[..]));
    }
}
