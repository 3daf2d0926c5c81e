//! Which status and headers may an application give? (PEP 3333, "The start_response() Callable".)
//!
//! Everything is checked when `start_response` is called, so that the traceback points to the mistake.

use std::sync::{Mutex, PoisonError};

use funicorn_http::{HeaderError, ResponseHead};
use pyo3::exceptions::{PyAssertionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTraceback, PyTuple};

use crate::native_string::from_native;

/// What to do about headers that belong to the server.
#[derive(Debug, Default)]
pub(crate) struct HeaderRules {
    /// Raise instead of dropping them.
    pub(crate) strict: bool,
    /// Names that have been dropped and logged, in lower case.
    logged: Mutex<Vec<Vec<u8>>>,
}

impl HeaderRules {
    pub(crate) fn new(strict: bool) -> Self {
        Self { strict, logged: Mutex::default() }
    }

    /// Logs the first time that a header called `name` is dropped. There are nine such names, so the list
    /// stays short.
    fn dropped(&self, name: &[u8]) {
        let name = name.to_ascii_lowercase();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.contains(&name) {
            return;
        }
        logged.push(name.clone());
        drop(logged);
        log::warn!(
            "the application sends the header {:?}, which belongs to the server: it is dropped, now and from now on",
            name.escape_ascii().to_string()
        );
    }
}

/// Makes a head of the two arguments of `start_response`.
///
/// # Errors
/// `TypeError` for a wrong type, `ValueError` for a text that cannot stand in a response.
pub(crate) fn parse_head(
    status: &Bound<'_, PyAny>,
    headers: &Bound<'_, PyAny>,
    rules: &HeaderRules,
) -> PyResult<ResponseHead> {
    let mut head = parse_status(status)?;
    let headers = headers.cast_exact::<PyList>().map_err(|_| {
        PyTypeError::new_err(format!("the headers must be a list, not {}", headers.get_type()))
    })?;
    for header in headers.iter() {
        append(&mut head, &header, rules)?;
    }
    Ok(head)
}

/// `"200 OK"`: three digits, one space, a reason.
fn parse_status(status: &Bound<'_, PyAny>) -> PyResult<ResponseHead> {
    let text = status
        .cast::<PyString>()
        .map_err(|_| PyTypeError::new_err(format!("the status must be a str, not {}", status.get_type())))?;
    let wrong =
        |why: &str| PyValueError::new_err(format!("the status {:?} is wrong: {why}", text.to_string_lossy()));
    let bytes = from_native(text).ok_or_else(|| wrong("it goes beyond Latin-1"))?;
    let [hundreds, tens, ones, b' ', reason @ ..] = bytes else {
        return Err(wrong("it must be three digits, a space and a reason"));
    };
    if ![hundreds, tens, ones].iter().all(|digit| digit.is_ascii_digit()) || reason.starts_with(b" ") {
        return Err(wrong("it must be three digits, one space and a reason"));
    }
    let value = |digit: &u8| u16::from(digit - b'0');
    let code = value(hundreds) * 100 + value(tens) * 10 + value(ones);
    ResponseHead::new(code, reason).map_err(|error| wrong(&error.to_string()))
}

fn append(head: &mut ResponseHead, header: &Bound<'_, PyAny>, rules: &HeaderRules) -> PyResult<()> {
    let not_a_pair =
        || PyTypeError::new_err(format!("each header must be a tuple (name, value), not {header:?}"));
    let pair = header.cast::<PyTuple>().map_err(|_| not_a_pair())?;
    if pair.len() != 2 {
        return Err(not_a_pair());
    }
    let (name, value) = (pair.get_item(0)?, pair.get_item(1)?);
    let not_text =
        || PyTypeError::new_err(format!("the name and the value of a header must be str: {header:?}"));
    let name = name.cast::<PyString>().map_err(|_| not_text())?;
    let value = value.cast::<PyString>().map_err(|_| not_text())?;
    let wrong = |why: &str| PyValueError::new_err(format!("the header {header:?} is wrong: {why}"));
    let name = from_native(name).ok_or_else(|| wrong("its name goes beyond Latin-1"))?;
    let value = from_native(value).ok_or_else(|| wrong("its value goes beyond Latin-1"))?;
    match head.append(name, value) {
        Err(HeaderError::HopByHop) if !rules.strict => {
            rules.dropped(name);
            Ok(())
        }
        outcome => outcome.map_err(|error| wrong(&error.to_string())),
    }
}

/// The exception in `exc_info`, to be raised again because the head has been sent.
pub(crate) fn exception_of(exc_info: &Bound<'_, PyTuple>) -> PyErr {
    let raise = || -> PyResult<PyErr> {
        let value = exc_info.get_item(1)?;
        if value.is_none() {
            return Ok(PyAssertionError::new_err("start_response() was called after the headers were sent"));
        }
        let error = PyErr::from_value(value);
        if let Ok(traceback) = exc_info.get_item(2)?.cast_into::<PyTraceback>() {
            error.set_traceback(exc_info.py(), Some(traceback));
        }
        Ok(error)
    };
    raise().unwrap_or_else(|error| error)
}
