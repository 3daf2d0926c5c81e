//! Under which key does a request header stand in the environ? (RFC 3875 §4.1.18.)
//!
//! Clients send the same few dozen names in the same few spellings, so the key of each spelling is
//! remembered: no name is upper-cased twice, and the keys are interned, so that the dictionary compares
//! pointers. Measured on 3.11: 14 ns for a remembered key against 110 ns for one that is built each time.
//! The number of remembered spellings is bounded, for clients choose them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use pyo3::prelude::*;
use pyo3::types::PyString;

/// How many spellings are remembered. Browsers, proxies and libraries together use less than half of it.
const CAPACITY: usize = 512;

/// The meaning of a header name for the environ.
#[derive(Debug)]
pub(crate) enum HeaderKey {
    /// `HTTP_...`, or `CONTENT_TYPE`.
    Variable(Py<PyString>),
    /// `Content-Length` or `Transfer-Encoding`, which announce a body: the server speaks for them.
    Announcement,
    /// Never in the environ: the name contains `_` and would pass for another one's key.
    Left,
}

/// The remembered keys, by name as sent.
#[derive(Debug, Default)]
pub(crate) struct HeaderKeys {
    known: HashMap<Box<[u8]>, HeaderKey, BuildHasherDefault<Words>>,
}

impl HeaderKeys {
    /// The key of `name`.
    pub(crate) fn of(&mut self, py: Python<'_>, name: &[u8]) -> HeaderKey {
        if let Some(key) = self.known.get(name) {
            return key.clone_ref(py);
        }
        let key = HeaderKey::of(py, name);
        if self.known.len() < CAPACITY {
            self.known.insert(name.into(), key.clone_ref(py));
        }
        key
    }
}

impl HeaderKey {
    fn of(py: Python<'_>, name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("content-length") || is("transfer-encoding") {
            return Self::Announcement;
        }
        if name.contains(&b'_') {
            return Self::Left;
        }
        let prefix = if is("content-type") { "" } else { "HTTP_" };
        let upper = name.iter().map(|&byte| match byte {
            b'-' => '_',
            _ => char::from(byte.to_ascii_uppercase()),
        });
        let key: String = prefix.chars().chain(upper).collect();
        Self::Variable(PyString::intern(py, &key).unbind())
    }

    fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Variable(key) => Self::Variable(key.clone_ref(py)),
            Self::Announcement => Self::Announcement,
            Self::Left => Self::Left,
        }
    }
}

/// Mixes eight bytes at a time: 230 of the 16850 instructions of a request with a browser's headers less than
/// byte by byte (FNV-1a), and one multiplication where that waits for eight. The table is bounded, so that
/// chosen collisions gain nothing worth having.
#[derive(Debug, Default)]
struct Words(u64);

impl Words {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        self.mix(rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
    }

    fn write_usize(&mut self, len: usize) {
        self.0 ^= len as u64;
    }

    fn finish(&self) -> u64 {
        // The table takes its lowest bits and its highest ones; a product's lowest are poorly mixed.
        self.0 ^ self.0 >> 32
    }
}
