//! What does a Python exception look like in the log? As Python itself would print it.

use pyo3::prelude::*;

/// The traceback of `error` as text, causes included, without the last line end.
pub(crate) fn format(py: Python<'_>, error: &PyErr) -> String {
    let text = || -> PyResult<String> {
        let lines = py
            .import("traceback")?
            .call_method1("format_exception", (error.get_type(py), error.value(py), error.traceback(py)))?;
        let text = pyo3::types::PyString::new(py, "").call_method1("join", (lines,))?;
        Ok(text.str()?.to_string_lossy().trim_end().to_owned())
    };
    // Exceptions may fail even at being printed.
    text().unwrap_or_else(|_| format!("{}: (the exception cannot be formatted)", error.get_type(py)))
}
