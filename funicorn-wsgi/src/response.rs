//! What becomes of what the application returns? (PEP 3333, "The Application/Framework Side", "Handling the
//! Content-Length Header", "Buffering and Streaming", "Error Handling".)
//!
//! [`respond`] calls the application, pushes its blocks into the [`Exchange`] as they come, ends the
//! response, and calls `close()`, once, whatever has happened. The response ends before `close()` is
//! called: the client need not wait for what the application tidies up.

use funicorn_http::{ResponseHead, SendError};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::exchange::{Callables, Exchange, Response};
use crate::file_wrapper::FileWrapper;
use crate::traceback;

/// Why a response did not come to its end.
enum Failure {
    /// The application raised, or broke a rule.
    Application(PyErr),
    /// A block could not be sent; the response knows why.
    Send,
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Application(error)
    }
}

impl From<SendError> for Failure {
    fn from(_: SendError) -> Self {
        Self::Send
    }
}

/// Who else has to do with a request, beside the application.
pub(crate) struct Bystanders<'a> {
    /// Says which request it is, for the log.
    pub(crate) request: &'a dyn Fn() -> String,
    /// Hears of what the application raises.
    pub(crate) raised: &'a dyn Fn(&PyErr),
}

/// Answers one request with `application`.
pub(crate) fn respond(
    application: &Bound<'_, PyAny>,
    environ: &Bound<'_, PyDict>,
    callables: &Callables,
    bystanders: &Bystanders<'_>,
) {
    let py = application.py();
    let Bystanders { request, raised } = bystanders;
    let exchange = callables.exchange.get();
    let result = application.call1((environ, callables.start_response.bind(py)));
    let outcome = match &result {
        Ok(result) => {
            log::trace!(target: "funicorn::wsgi", "the application returned {}", named(result));
            send_result(exchange, result)
        }
        Err(error) => Err(Failure::Application(error.clone_ref(py))),
    };
    if let Err(Failure::Application(error)) = &outcome {
        raised(error);
    }
    if let Some(response) = exchange.close(py) {
        end(py, response, outcome, request);
    }
    if let Ok(result) = result
        && let Err(error) = close(&result)
    {
        raised(&error);
        log_exception(py, request, &error);
    }
}

/// Pushes the whole of `result`.
fn send_result(exchange: &Exchange, result: &Bound<'_, PyAny>) -> Result<(), Failure> {
    if let Ok(list) = result.cast_exact::<PyList>() {
        send_sequence(exchange, || list.len(), |index| list.get_item(index))
    } else if let Ok(tuple) = result.cast_exact::<PyTuple>() {
        send_sequence(exchange, || tuple.len(), |index| tuple.get_item(index))
    } else if let Ok(wrapper) = result.cast_exact::<FileWrapper>()
        && let Some(range) = wrapper.get().range(result.py())?
    {
        with_head(exchange, |response| response.send_file(range))
    } else {
        send_iterable(exchange, result)
    }
}

/// All blocks are there: so is the length, and every block is looked at before the first one is sent.
fn send_sequence<'py>(
    exchange: &Exchange,
    len: impl Fn() -> usize,
    item: impl Fn(usize) -> PyResult<Bound<'py, PyAny>>,
) -> Result<(), Failure> {
    let mut total = 0;
    for index in 0..len() {
        total += block(&item(index)?)?.as_bytes().len() as u64;
    }
    let mut index = 0;
    // Another thread may change the list while a block is being sent, so its length is asked for each time.
    loop {
        let item = if index < len() { Some(item(index)?) } else { None };
        let block = item.as_ref().map(block).transpose()?;
        with_head(exchange, |response| {
            response.start(Some(total))?;
            block.map_or(Ok(()), |block| response.send(block, index + 1 >= len()))
        })?;
        index += 1;
        if index >= len() {
            return Ok(());
        }
    }
}

fn send_iterable(exchange: &Exchange, result: &Bound<'_, PyAny>) -> Result<(), Failure> {
    refuse_common_mistakes(result)?;
    for item in result.try_iter().map_err(|error| not_iterable(result, error))? {
        let item = item?;
        let block = block(&item)?;
        if !block.as_bytes().is_empty() {
            with_head(exchange, |response| response.send(block, false))?;
        }
    }
    // If nothing was sent until now, the body is empty, and its length known.
    with_head(exchange, |response| response.start(Some(0)))
}

/// Runs one step of a response whose head must be there.
fn with_head(
    exchange: &Exchange,
    step: impl FnOnce(&mut Response) -> Result<(), SendError>,
) -> Result<(), Failure> {
    match exchange.step(|response| response.has_head().then(|| step(response)))?.flatten() {
        Some(outcome) => Ok(outcome?),
        None => Err(PyRuntimeError::new_err("the application did not call start_response()").into()),
    }
}

/// One item of the body, which must be `bytes`.
fn block<'a, 'py>(item: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    item.cast::<PyBytes>().map_err(|_| {
        PyTypeError::new_err(format!("the body must consist of bytes, but an item of it is {}", named(item)))
    })
}

/// What can be iterated over, but never into blocks.
fn refuse_common_mistakes(result: &Bound<'_, PyAny>) -> PyResult<()> {
    if result.is_instance_of::<PyString>() || result.is_instance_of::<PyBytes>() {
        let message =
            format!("the application returned {}: return a list with one bytes object", named(result));
        return Err(PyTypeError::new_err(message));
    }
    Ok(())
}

/// Says more than Python does about what cannot be iterated over.
fn not_iterable(result: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    if result.is_none() {
        return PyTypeError::new_err("the application returned None instead of an iterable of bytes");
    }
    if result.get_type().name().is_ok_and(|name| name == "coroutine") {
        return PyTypeError::new_err("the application returned a coroutine: is it an ASGI application?");
    }
    error
}

fn named(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "something else".to_owned(), |name| format!("a {name} object"))
}

/// Ends the response: well, with a 500 if its head has not been sent, or by a cut.
fn end(py: Python<'_>, response: Response, outcome: Result<(), Failure>, request: &dyn Fn() -> String) {
    let exception = match outcome {
        Err(Failure::Application(exception)) => Some(exception),
        Ok(()) | Err(Failure::Send) => None,
    };
    // What write() could not send counts even if the application has swallowed the exception.
    match (response.failure(), exception) {
        (None, None) => finish(py, response, request),
        (None, Some(exception)) => fail(py, response, &exception, request),
        (Some(SendError::TooLong), exception) => {
            let exception = exception.map(|exception| format!("\n{}", traceback::format(py, &exception)));
            let text = format!("{}: it is cut{}", SendError::TooLong, exception.unwrap_or_default());
            log_error(py, request, &text);
            finish(py, response, request);
        }
        (Some(error @ (SendError::Gone | SendError::Stopping)), _) => {
            // Whatever the application has raised is the consequence.
            log::debug!("{}: {error}", request());
            response.abort();
        }
        (Some(error), _) => {
            response.abort();
            log_error(py, request, &error.to_string());
        }
    }
}

/// Ends a response whose application has raised. The response comes first and the words second, for a child
/// process that the application has forked ends where it touches the response; but the words come before
/// the client can know.
fn fail(py: Python<'_>, mut response: Response, exception: &PyErr, request: &dyn Fn() -> String) {
    if response.is_whole() {
        log_exception(py, request, exception);
        finish(py, response, request);
    } else if response.is_sent() {
        response.abort();
        log_exception(py, request, exception);
    } else {
        let started = start_500(&mut response);
        log_exception(py, request, exception);
        match started.and_then(|()| response.send_error(FAILED)) {
            Ok(()) => finish(py, response, request),
            Err(_) => response.abort(),
        }
    }
}

/// The body of the answer to a request that failed.
const FAILED: &[u8] = b"Internal Server Error\n";

/// Answers in place of the application.
fn start_500(response: &mut Response) -> Result<(), SendError> {
    let mut head = ResponseHead::new(500, b"Internal Server Error").map_err(|_| SendError::Order)?;
    head.append(b"Content-Type", b"text/plain; charset=utf-8").map_err(|_| SendError::Order)?;
    response.start_error(head, FAILED.len() as u64)
}

fn finish(py: Python<'_>, response: Response, request: &dyn Fn() -> String) {
    match response.finish() {
        Ok(()) => {}
        Err(error @ (SendError::Gone | SendError::Stopping)) => log::debug!("{}: {error}", request()),
        Err(error) => log_error(py, request, &format!("{error}: the connection is cut")),
    }
}

/// Calls `close()` of what the application returned, if it has one. Lists and tuples have none.
fn close(result: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = result.py();
    if result.is_exact_instance_of::<PyList>() || result.is_exact_instance_of::<PyTuple>() {
        return Ok(());
    }
    match result.getattr_opt(intern!(py, "close")) {
        Ok(Some(close)) => {
            log::trace!(target: "funicorn::wsgi", "calling close()");
            close.call0().map(drop)
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    }
}

fn log_exception(py: Python<'_>, request: &dyn Fn() -> String, error: &PyErr) {
    log_error(py, request, &format!("the application raised an exception\n{}", traceback::format(py, error)));
}

/// Logs while detached: the log may be a pipe that nobody empties.
fn log_error(py: Python<'_>, request: &dyn Fn() -> String, text: &str) {
    let request = request();
    py.detach(|| log::error!("{request}: {text}"));
}
