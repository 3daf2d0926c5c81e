//! How do names that came from the system become strings of Python, and back? As in `os.fsdecode` and `os.fsencode` (PEP 383).
//!
//! Python may read the bytes of a path as ASCII, with a stand-in for each other byte. A path handed over as the text that it is
//! in UTF-8 would then name no file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// `name` as Python itself would have read it.
pub(crate) fn decode<'py>(py: Python<'py>, name: &OsStr) -> PyResult<Bound<'py, PyString>> {
    let bytes = PyBytes::new(py, name.as_bytes());
    Ok(py.import("os")?.call_method1("fsdecode", (bytes,))?.cast_into()?)
}

/// A name of Python's for a message.
pub(crate) fn encode(name: &Bound<'_, PyAny>) -> PyResult<String> {
    let bytes = name.py().import("os")?.call_method1("fsencode", (name,))?;
    Ok(String::from_utf8_lossy(bytes.cast::<PyBytes>()?.as_bytes()).into_owned())
}
