//! How does an application read the body of a request? Through `wsgi.input` (PEP 3333, "Input and Error
//! Streams").
//!
//! The stream ends where the body ends: reading past it gives `b""`, never a byte of the next request. A
//! body in memory is copied once, into the `bytes` that the application gets; one that lies in a file is
//! read while the thread is detached from the interpreter.

use std::sync::{Mutex, PoisonError};

use funicorn_http::Body;
use pyo3::exceptions::{PyMemoryError, PyOverflowError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// How much of a body that is not in memory is read ahead when a line is wanted.
const READ_AHEAD: usize = 64 * 1024;

/// A body with what has been read ahead of it.
struct Reader {
    body: Body,
    /// Read from a body that is not in memory, but not given to the application yet: `ahead[taken..]`.
    ahead: Vec<u8>,
    taken: usize,
}

impl Reader {
    /// How many bytes are there to give, at most `limit`. Of a body whose end is not known, as many are
    /// read ahead.
    fn available(&mut self, py: Python<'_>, limit: u64) -> PyResult<u64> {
        let Some(len) = self.body.len() else {
            while (self.at_hand().len() as u64) < limit && self.read_ahead(py)? {}
            return Ok((self.at_hand().len() as u64).min(limit));
        };
        Ok(len.saturating_add((self.ahead.len() - self.taken) as u64).min(limit))
    }

    /// The next bytes that can be looked at without reading.
    fn at_hand(&self) -> &[u8] {
        match self.body.in_memory() {
            Some(bytes) => bytes,
            None => &self.ahead[self.taken..],
        }
    }

    /// Gives the next `len` bytes, which must be there.
    fn take<'py>(&mut self, py: Python<'py>, len: u64) -> PyResult<Bound<'py, PyBytes>> {
        let len =
            usize::try_from(len).map_err(|_| PyMemoryError::new_err("the body is too large for memory"))?;
        // A small one is made of what is there, without being filled with zeros first.
        if len <= READ_AHEAD
            && let Some(bytes) = self.body.in_memory()
        {
            let bytes = PyBytes::new(py, &bytes[..len]);
            self.body.consume(len);
            return Ok(bytes);
        }
        PyBytes::new_with(py, len, |buf| {
            let ready = (self.ahead.len() - self.taken).min(len);
            buf[..ready].copy_from_slice(&self.ahead[self.taken..self.taken + ready]);
            self.taken += ready;
            let rest = &mut buf[ready..];
            if self.body.in_memory().is_some() {
                return Ok(fill(&mut self.body, rest)?);
            }
            let body = &mut self.body;
            Ok(py.detach(|| fill(body, rest))?)
        })
    }

    /// Reads ahead from a body that is not in memory; false at its end.
    fn read_ahead(&mut self, py: Python<'_>) -> PyResult<bool> {
        self.ahead.drain(..self.taken);
        self.taken = 0;
        let start = self.ahead.len();
        let known = self.body.len().map(|len| usize::try_from(len).unwrap_or(READ_AHEAD).min(READ_AHEAD));
        self.ahead.resize(start + known.unwrap_or(READ_AHEAD), 0);
        let (body, buf) = (&mut self.body, &mut self.ahead[start..]);
        let outcome = py.detach(|| match known {
            Some(len) => fill(body, buf).map(|()| len),
            None => body.read(buf),
        });
        let len = *outcome.as_ref().unwrap_or(&0);
        self.ahead.truncate(start + len);
        Ok(outcome? > 0)
    }

    /// How long the next line is, its line end included, or `limit` if that is less.
    fn line_len(&mut self, py: Python<'_>, limit: u64) -> PyResult<u64> {
        let mut scanned = 0;
        loop {
            let at_hand = self.at_hand();
            let end = at_hand[scanned..].iter().position(|&byte| byte == b'\n');
            let len = end.map_or(at_hand.len(), |at| scanned + at + 1);
            scanned = at_hand.len();
            let is_whole = end.is_some() || len as u64 >= limit || self.body.in_memory().is_some();
            if is_whole || !self.read_ahead(py)? {
                return Ok((len as u64).min(limit));
            }
        }
    }
}

/// `wsgi.input`. Methods borrow it mutably: two threads that read at the same time get an error and not
/// each other's bytes.
#[pyclass(module = "funicorn", name = "Input")]
pub(crate) struct Input {
    /// For `Sync` only; it is never locked.
    reader: Mutex<Reader>,
}

impl Input {
    pub(crate) fn new(body: Body) -> Self {
        Self { reader: Mutex::new(Reader { body, ahead: Vec::new(), taken: 0 }) }
    }

    fn reader(&mut self) -> &mut Reader {
        self.reader.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fills `buf`, which is no longer than what is left of `body`.
fn fill(body: &mut Body, mut buf: &mut [u8]) -> std::io::Result<()> {
    while !buf.is_empty() {
        let len = body.read(buf)?;
        if len == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        buf = &mut buf[len..];
    }
    Ok(())
}

/// A size argument: `None` and negative ones mean "no limit", and so does one that is past all bodies.
fn limit(size: &Bound<'_, PyAny>) -> PyResult<u64> {
    if size.is_none() {
        return Ok(NO_LIMIT);
    }
    match size.extract::<i64>() {
        Ok(size) => Ok(u64::try_from(size).unwrap_or(NO_LIMIT)),
        // Past 64 bits, of whichever sign.
        Err(error) if error.is_instance_of::<PyOverflowError>(size.py()) => Ok(NO_LIMIT),
        Err(error) => Err(error),
    }
}

const NO_LIMIT: u64 = u64::MAX;

#[pymethods]
impl Input {
    #[pyo3(signature = (size=NO_LIMIT), text_signature = "($self, size=-1)")]
    fn read<'py>(
        &mut self,
        py: Python<'py>,
        #[pyo3(from_py_with = limit)] size: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let reader = self.reader();
        let len = reader.available(py, size)?;
        reader.take(py, len)
    }

    #[pyo3(signature = (size=NO_LIMIT), text_signature = "($self, size=-1)")]
    fn readline<'py>(
        &mut self,
        py: Python<'py>,
        #[pyo3(from_py_with = limit)] size: u64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let reader = self.reader();
        let len = reader.line_len(py, size)?;
        reader.take(py, len)
    }

    /// `hint`: no more lines are read once they have this many bytes in all; 0 means no limit here, as in
    /// `io`.
    #[pyo3(signature = (hint=NO_LIMIT), text_signature = "($self, hint=-1)")]
    fn readlines<'py>(
        &mut self,
        py: Python<'py>,
        #[pyo3(from_py_with = limit)] hint: u64,
    ) -> PyResult<Bound<'py, PyList>> {
        let mut budget = if hint == 0 { NO_LIMIT } else { hint };
        let lines = PyList::empty(py);
        while budget > 0 {
            let line = self.readline(py, NO_LIMIT)?;
            let len = line.as_bytes().len() as u64;
            if len == 0 {
                break;
            }
            lines.append(line)?;
            budget = budget.saturating_sub(len);
        }
        Ok(lines)
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.readline(py, NO_LIMIT)?;
        Ok((!line.as_bytes().is_empty()).then_some(line))
    }

    /// PEP 3333 forbids applications to close it; one that does harms nobody.
    fn close(&self) {}
}
