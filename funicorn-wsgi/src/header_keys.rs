//! Under which key does a request header stand in the environ? (RFC 3875 §4.1.18.)
//!
//! Two names may give one key: `-` and `_` become the same, and the key of a name without prefix is another's
//! with it. What could pass for something that the server or a proxy vouches for is left out:
//!
//! - names with `_`, unless the operator wants them ([`HeaderMap::Dangerous`]); never those that would stand
//!   beside `Content-Type`, `Content-Length` or `Transfer-Encoding`;
//! - `Proxy`, always: programs take `HTTP_PROXY` for the proxy to use for their own requests (CVE-2016-5385).
//!
//! Clients send the same few dozen names in the same few spellings, so the key of each spelling is
//! remembered: no name is upper-cased twice, and the keys are interned, so that the dictionary compares
//! pointers. Measured on 3.11: 14 ns for a remembered key against 110 ns for one that is built each time.
//! The number of remembered spellings is bounded, for clients choose them.
//!
//! The last value of some headers is remembered, too: to compare it is cheaper than to make it again and take it
//! apart afterwards. This memory is one for all clients, so only of headers that say how clients work and not who they
//! are ([`LASTING`]): a secret must not be kept for others' requests, and how long a comparison takes must not tell
//! anything about it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use funicorn_http::HeaderMap;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::native_string::{from_native, to_native};

/// How many spellings are remembered. Browsers, proxies and libraries together use less than half of it.
const CAPACITY: usize = 512;

/// Values up to this size are remembered, in bytes. The longest User-Agent of a browser is shorter.
const LONGEST: usize = 256;

/// The headers whose last value is remembered, by their keys without `HTTP_`; beside them those of `SEC_`.
const LASTING: [&str; 14] = [
    "ACCEPT",
    "ACCEPT_CHARSET",
    "ACCEPT_ENCODING",
    "ACCEPT_LANGUAGE",
    "CACHE_CONTROL",
    "CONNECTION",
    "CONTENT_TYPE",
    "DNT",
    "HOST",
    "PRAGMA",
    "PRIORITY",
    "UPGRADE_INSECURE_REQUESTS",
    "USER_AGENT",
    "X_FORWARDED_PROTO",
];

/// The meaning of a header name for the environ.
#[derive(Debug)]
pub(crate) enum HeaderKey {
    /// It has a place in the environ.
    Variable(Variable),
    /// `Content-Length` or `Transfer-Encoding`, which announce a body: the server speaks for them.
    Announcement,
    /// Never in the environ: it would pass for something else.
    Left,
}

/// A place in the environ.
#[derive(Debug)]
pub(crate) struct Variable {
    /// `HTTP_...`, or `CONTENT_TYPE`.
    pub(crate) key: Py<PyString>,
    is_lasting: bool,
    /// The last value, if it is remembered.
    last: Option<Py<PyString>>,
}

/// The remembered keys, by name as sent.
#[derive(Debug)]
pub(crate) struct HeaderKeys {
    map: HeaderMap,
    places: HashMap<Box<[u8]>, usize, BuildHasherDefault<Words>>,
    /// One for each place, and behind them one for a name that came when there was no place any more.
    keys: Vec<HeaderKey>,
}

impl HeaderKeys {
    /// None remembered.
    pub(crate) fn new(map: HeaderMap) -> Self {
        Self { map, places: HashMap::default(), keys: Vec::new() }
    }

    /// The key of `name`.
    pub(crate) fn of(&mut self, py: Python<'_>, name: &[u8]) -> &mut HeaderKey {
        let place = match self.places.get(name) {
            Some(&place) => place,
            None => self.learn(py, name),
        };
        &mut self.keys[place]
    }

    fn learn(&mut self, py: Python<'_>, name: &[u8]) -> usize {
        let place = self.places.len();
        if place < CAPACITY {
            self.places.insert(name.into(), place);
        }
        self.keys.truncate(place);
        self.keys.push(HeaderKey::of(py, name, self.map));
        place
    }
}

impl HeaderKey {
    fn of(py: Python<'_>, name: &[u8], map: HeaderMap) -> Self {
        let has_underscore = name.contains(&b'_');
        if has_underscore && map != HeaderMap::Dangerous {
            return Self::Left;
        }
        let upper = name.iter().map(|&byte| match byte {
            b'-' => '_',
            _ => char::from(byte.to_ascii_uppercase()),
        });
        let upper: String = upper.collect();
        let is_lasting = LASTING.contains(&&*upper) || upper.starts_with("SEC_");
        let key = match upper.as_str() {
            "PROXY" => return Self::Left,
            "CONTENT_LENGTH" | "TRANSFER_ENCODING" | "CONTENT_TYPE" if has_underscore => return Self::Left,
            "CONTENT_LENGTH" | "TRANSFER_ENCODING" => return Self::Announcement,
            "CONTENT_TYPE" => upper,
            _ => format!("HTTP_{upper}"),
        };
        Self::Variable(Variable { key: PyString::intern(py, &key).unbind(), is_lasting, last: None })
    }
}

impl Variable {
    /// Sets this variable of `environ` to `value`.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn set(&mut self, environ: &Bound<'_, PyDict>, value: &[u8]) -> PyResult<()> {
        let py = environ.py();
        let key = self.key.bind(py);
        if let Some(last) = &self.last
            && from_native(last.bind(py)) == Some(value)
        {
            return environ.set_item(key, last.bind(py));
        }
        let text = to_native(py, value)?;
        environ.set_item(key, &text)?;
        if self.is_lasting && value.len() <= LONGEST {
            self.last = Some(text.unbind());
        }
        Ok(())
    }
}

/// Mixes eight bytes at a time; the last eight of a name overlap those before, so that no byte is taken alone.
/// The table is bounded, so that chosen collisions gain nothing worth having.
#[derive(Debug, Default)]
struct Words(u64);

impl Words {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(last), ..) => {
                let (words, _) = bytes.as_chunks::<8>();
                words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
                self.mix(u64::from_le_bytes(*last));
            }
            (None, Some(first), Some(last)) => self.mix(half(first) << 32 | half(last)),
            _ => self.mix(bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))),
        }
    }

    fn write_usize(&mut self, len: usize) {
        self.0 ^= len as u64;
    }

    fn finish(&self) -> u64 {
        // The table takes its lowest bits and its highest ones; a product's lowest are poorly mixed.
        self.0 ^ self.0 >> 32
    }
}
