//! Where does an application write what is not for the client? To `wsgi.errors` (PEP 3333, "Input and Error
//! Streams").

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// What stands behind `wsgi.errors`: the standard error stream, unless an embedder has something better.
///
/// ```
/// let mut config = funicorn_wsgi::WsgiConfig::default();
/// config.errors = funicorn_wsgi::ErrorLog::new(std::io::sink());
/// ```
#[derive(Clone, Default)]
pub struct ErrorLog {
    /// `None`: standard error.
    writer: Option<Arc<Mutex<dyn Write + Send>>>,
}

impl ErrorLog {
    /// Sends to `writer` what applications write.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Some(Arc::new(Mutex::new(writer))) }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match &self.writer {
            Some(writer) => writer.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes),
            None => io::stderr().write_all(bytes),
        }
    }

    fn flush(&self) -> io::Result<()> {
        match &self.writer {
            Some(writer) => writer.lock().unwrap_or_else(PoisonError::into_inner).flush(),
            None => io::stderr().flush(),
        }
    }
}

impl fmt::Debug for ErrorLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorLog").field("is_stderr", &self.writer.is_none()).finish()
    }
}

/// `wsgi.errors`: one object for all requests. It has no state that an application could spoil: closing it
/// does nothing, and a log that cannot be written is not the application's problem.
#[pyclass(frozen, module = "funicorn", name = "ErrorStream")]
pub(crate) struct ErrorStream {
    log: ErrorLog,
}

impl ErrorStream {
    pub(crate) fn new(log: ErrorLog) -> Self {
        Self { log }
    }
}

#[pymethods]
impl ErrorStream {
    /// Takes any text; a lone surrogate is written as its escape. Returns the number of characters, as text
    /// streams do.
    fn write(&self, text: &Bound<'_, PyString>) -> PyResult<usize> {
        let py = text.py();
        let encoded;
        let bytes = match text.to_str() {
            Ok(text) => text.as_bytes(),
            Err(_) => {
                encoded = text.call_method1(intern!(py, "encode"), ("utf-8", "backslashreplace"))?;
                encoded.cast::<PyBytes>()?.as_bytes()
            }
        };
        // The log may be a pipe that nobody empties. A failure to write it has nowhere to be told.
        let _ = py.detach(|| self.log.write(bytes));
        text.len()
    }

    fn writelines(&self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            self.write(line?.cast::<PyString>()?)?;
        }
        Ok(())
    }

    fn flush(&self, py: Python<'_>) {
        let _ = py.detach(|| self.log.flush());
    }

    /// PEP 3333 forbids applications to close it; one that does harms nobody.
    fn close(&self) {}

    #[getter]
    fn closed(&self) -> bool {
        false
    }

    #[getter]
    fn encoding(&self) -> &'static str {
        "utf-8"
    }
}
