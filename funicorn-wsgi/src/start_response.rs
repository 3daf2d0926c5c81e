//! Which status and headers may an application give? (PEP 3333, "The start_response() Callable".)
//!
//! Everything is checked when `start_response` is called, so that the traceback points to the mistake. What the PEP forbids but
//! every server takes, and what has one meaning only, is taken here too, and logged once ([`HeaderRules`]).

use funicorn_http::{HeaderError, ResponseHead};
use pyo3::exceptions::{PyAssertionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTraceback, PyTuple};

use crate::header_rules::{Departure, HeaderRules};
use crate::native_string::from_native;

/// Makes a head of the two arguments of `start_response`.
///
/// # Errors
/// `TypeError` for a wrong type, `ValueError` for a text that cannot stand in a response.
pub(crate) fn parse_head(
    status: &Bound<'_, PyAny>,
    headers: &Bound<'_, PyAny>,
    rules: &HeaderRules,
) -> PyResult<ResponseHead> {
    let mut head = parse_status(status, rules)?;
    match headers.cast_exact::<PyList>() {
        Ok(headers) => append_all(&mut head, headers, rules)?,
        Err(_) => append_others(&mut head, headers, rules)?,
    }
    Ok(head)
}

/// Inlined in both of its places, so that what comes as the PEP has it does not pay for what comes otherwise: shared, it costs a small
/// request 37 of 7,250 instructions on 3.11.
#[inline(always)]
fn append_all(head: &mut ResponseHead, headers: &Bound<'_, PyList>, rules: &HeaderRules) -> PyResult<()> {
    for header in headers.iter() {
        match header.cast::<PyTuple>() {
            Ok(pair) => append(head, pair, rules)?,
            Err(_) => append_other(head, &header, rules)?,
        }
    }
    Ok(())
}

/// Takes headers that are no list: a tuple, `headers.items()`, a generator, a subclass of `list`.
#[cold]
fn append_others(head: &mut ResponseHead, headers: &Bound<'_, PyAny>, rules: &HeaderRules) -> PyResult<()> {
    let wrong = || PyTypeError::new_err(format!("the headers must be a list, not {}", headers.get_type()));
    if rules.strict || is_text_or_dict(headers) {
        return Err(wrong());
    }
    let items = headers.try_iter().map_err(|_| wrong())?;
    rules.departed(headers.py(), Departure::Headers);
    append_all(head, &PyList::new(headers.py(), items.collect::<PyResult<Vec<_>>>()?)?, rules)
}

/// What can be iterated over, but never into headers or into a name and a value.
fn is_text_or_dict(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyString>()
        || object.is_instance_of::<PyBytes>()
        || object.is_instance_of::<PyDict>()
}

/// `"200 OK"`: three digits, one space, a reason.
fn parse_status(status: &Bound<'_, PyAny>, rules: &HeaderRules) -> PyResult<ResponseHead> {
    let text = status
        .cast::<PyString>()
        .map_err(|_| PyTypeError::new_err(format!("the status must be a str, not {}", status.get_type())))?;
    let wrong =
        |why: &str| PyValueError::new_err(format!("the status {:?} is wrong: {why}", text.to_string_lossy()));
    let bytes = from_native(text).ok_or_else(|| wrong("it goes beyond Latin-1"))?;
    let malformed = || wrong("it must be three digits, one space and a reason");
    let ([hundreds, tens, ones], reason) = match bytes {
        [hundreds, tens, ones, b' ', reason @ ..] if !reason.starts_with(b" ") => {
            ([hundreds, tens, ones], reason)
        }
        _ => loose_status(bytes, status.py(), rules).ok_or_else(malformed)?,
    };
    if ![hundreds, tens, ones].iter().all(|digit| digit.is_ascii_digit()) {
        return Err(malformed());
    }
    let value = |digit: &u8| u16::from(digit - b'0');
    let code = value(hundreds) * 100 + value(tens) * 10 + value(ones);
    ResponseHead::new(code, reason).map_err(|error| match code {
        100..200 => wrong(what_to_do_about(code)),
        _ => wrong(&error.to_string()),
    })
}

/// The code and the reason of a status that has none, or blanks before it.
#[cold]
fn loose_status<'a>(bytes: &'a [u8], py: Python<'_>, rules: &HeaderRules) -> Option<([&'a u8; 3], &'a [u8])> {
    let [hundreds, tens, ones, rest @ ..] = bytes else { return None };
    if rules.strict || !(rest.is_empty() || rest.starts_with(b" ")) {
        return None;
    }
    rules.departed(py, Departure::Status);
    Some(([hundreds, tens, ones], rest.trim_ascii_start()))
}

/// An interim status (RFC 9110 §15.2) is sent ahead of a response, and WSGI has one call for both. Sent as the response, it would
/// leave the client waiting for another one.
#[cold]
fn what_to_do_about(code: u16) -> &'static str {
    match code {
        100 => {
            "the server itself says 100 where a client waits for it; call start_response() with a final status, from 200 to 999"
        }
        101 => {
            "the connection speaks HTTP and cannot be handed over to another protocol; answer with a final status, from 200 \
             to 999, such as 426 or 501"
        }
        103 => {
            "it is no answer, and the client would wait for one; put its Link headers into the final response, with a status \
             from 200 to 999"
        }
        _ => {
            "it is no answer, and the client would wait for one; call start_response() with a final status, from 200 to 999"
        }
    }
}

#[inline(always)]
fn append(head: &mut ResponseHead, header: &Bound<'_, PyTuple>, rules: &HeaderRules) -> PyResult<()> {
    if header.len() != 2 {
        return Err(not_a_pair(header));
    }
    let (name, value) = (header.get_item(0)?, header.get_item(1)?);
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

/// Takes a header that is a list, or whatever else unpacks into a name and a value.
#[cold]
fn append_other(head: &mut ResponseHead, header: &Bound<'_, PyAny>, rules: &HeaderRules) -> PyResult<()> {
    if rules.strict || is_text_or_dict(header) {
        return Err(not_a_pair(header));
    }
    let items = header.try_iter().map_err(|_| not_a_pair(header))?;
    let items = items.take(3).collect::<PyResult<Vec<_>>>()?;
    if items.len() != 2 {
        return Err(not_a_pair(header));
    }
    rules.departed(header.py(), Departure::Pair);
    append(head, &PyTuple::new(header.py(), items)?, rules)
}

fn not_a_pair(header: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!("each header must be a tuple (name, value), not {header:?}"))
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
