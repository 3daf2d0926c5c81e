//! What may an application do with a response, and in which order? (PEP 3333, "The start_response()
//! Callable".)
//!
//! Each request has an [`Exchange`]; its bound methods are the application's `start_response` and `write`.
//! The response lives in a slot that the exchange gives up when the request ends: an application that kept
//! one of the two callables gets an exception, and can never reach into another request. The slot is taken
//! for the time of a send, too, so that two threads cannot mix their blocks.
//!
//! An exchange whose callables nobody has kept is used again, for making the three objects anew costs
//! some 1100 of the 8750 instructions of a small request.
//!
//! Headers count as sent from the first non-empty block that the application hands over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use funicorn_http::{AbortReason, BodyLength, FileRange, ResponseHead, ResponseWriter, SendError};
use pyo3::exceptions::{
    PyAssertionError, PyBrokenPipeError, PyConnectionAbortedError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::header_rules::HeaderRules;
use crate::retired;
use crate::sole_reference::{is_sole, references};
use crate::start_response::{exception_of, parse_head};

/// The response to one request, as far as it has come.
pub(crate) struct Response {
    writer: ResponseWriter,
    stage: Stage,
    /// What stopped the sending, if something did.
    failure: Option<SendError>,
}

/// How far a response has come.
enum Stage {
    /// `start_response` has not been called.
    Unset,
    /// `start_response` has been called, and may be called again with `exc_info`.
    Set(ResponseHead),
    /// The head counts as sent.
    Sent,
}

impl Response {
    pub(crate) fn new(writer: ResponseWriter) -> Self {
        Self { writer, stage: Stage::Unset, failure: None }
    }

    /// Whether the head counts as sent.
    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.stage, Stage::Sent)
    }

    /// Whether there is a head, sent or not.
    pub(crate) fn has_head(&self) -> bool {
        !matches!(self.stage, Stage::Unset)
    }

    /// What stopped the sending.
    pub(crate) fn failure(&self) -> Option<SendError> {
        self.failure
    }

    /// Sends the head, unless it is sent: with the application's own Content-Length, or with `len` if that
    /// is known. Without a head it does nothing.
    pub(crate) fn start(&mut self, len: Option<u64>) -> Result<(), SendError> {
        match std::mem::replace(&mut self.stage, Stage::Sent) {
            Stage::Set(head) => {
                let length = head.content_length().or(len).map_or(BodyLength::Unknown, BodyLength::Known);
                let outcome = self.writer.start(head, length);
                self.note(outcome)
            }
            stage => {
                self.stage = stage;
                Ok(())
            }
        }
    }

    /// Sends one block; an empty one sends nothing, not even the head. If it `is_last`, the end follows before anything of
    /// the application's runs.
    pub(crate) fn send(&mut self, block: &Bound<'_, PyBytes>, is_last: bool) -> Result<(), SendError> {
        let bytes = block.as_bytes();
        if bytes.is_empty() {
            return Ok(());
        }
        self.start(None)?;
        // What cannot leave at once is not copied: the object itself is kept until it has left.
        // The sink may ask for it while the thread is detached, so `rest` attaches (for nothing, if it is).
        let object = block.as_unbound();
        let mut rest = |taken| Python::attach(|py| retired::keep(object.bind(py))).slice(taken..);
        let outcome = if is_last {
            self.writer.send_last(bytes, &mut rest)
        } else {
            self.writer.send_with(bytes, &mut rest)
        };
        self.note(outcome)
    }

    /// Sends a file, cut to the declared length.
    pub(crate) fn send_file(&mut self, mut range: FileRange) -> Result<(), SendError> {
        let room = match &self.stage {
            Stage::Set(head) => head.content_length(),
            _ => self.writer.room(),
        };
        range.len = room.map_or(range.len, |room| room.min(range.len));
        self.start(Some(range.len))?;
        if range.len == 0 {
            return Ok(());
        }
        let outcome = self.writer.send_file(range);
        self.note(outcome)
    }

    /// Replaces whatever head there is by one of our own, which has not been sent.
    pub(crate) fn start_error(&mut self, head: ResponseHead, len: u64) -> Result<(), SendError> {
        self.stage = Stage::Set(head);
        self.start(Some(len))
    }

    /// Sends a block of our own.
    pub(crate) fn send_error(&mut self, body: &[u8]) -> Result<(), SendError> {
        let outcome = self.writer.send(body);
        self.note(outcome)
    }

    /// Whether everything that the declared length promises has been handed over.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_sent() && self.writer.room() == Some(0)
    }

    pub(crate) fn finish(self) -> Result<(), SendError> {
        self.writer.finish()
    }

    pub(crate) fn abort(self) {
        self.writer.abort(AbortReason::Application);
    }

    fn note(&mut self, outcome: Result<(), SendError>) -> Result<(), SendError> {
        if let Err(error) = outcome {
            self.failure = Some(error);
        }
        outcome
    }
}

/// An exchange and its two bound methods.
#[derive(Debug)]
pub(crate) struct Callables {
    pub(crate) exchange: Py<Exchange>,
    pub(crate) start_response: Py<PyAny>,
    write: Py<PyAny>,
}

impl Callables {
    pub(crate) fn new(py: Python<'_>, rules: &Arc<HeaderRules>) -> PyResult<Self> {
        let exchange = Bound::new(py, Exchange { slot: Mutex::default(), rules: Arc::clone(rules) })?;
        let start_response = exchange.getattr(intern!(py, "start_response"))?.unbind();
        let write = exchange.getattr(intern!(py, "write"))?.unbind();
        Ok(Self { exchange: exchange.unbind(), start_response, write })
    }

    /// Begins a request, which ends with [`Exchange::close`], or at the latest with what is returned.
    pub(crate) fn open<'a>(&'a self, py: Python<'a>, response: Response) -> OpenExchange<'a> {
        let open = Open { response, write: self.write.clone_ref(py) };
        *self.exchange.get().slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        OpenExchange { exchange: self.exchange.get(), py }
    }

    /// Whether the application has kept nothing by which it could reach the next request.
    pub(crate) fn are_unknown(&self, py: Python<'_>) -> bool {
        // The third and second references to the exchange are its methods'.
        references(self.exchange.bind(py)) == 3
            && is_sole(self.start_response.bind(py))
            && is_sole(self.write.bind(py))
    }
}

/// Closes an exchange if nobody else does, because of a panic: the slot would keep itself alive.
pub(crate) struct OpenExchange<'a> {
    exchange: &'a Exchange,
    py: Python<'a>,
}

impl Drop for OpenExchange<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(self.exchange.close(self.py));
        }
    }
}

/// What the slot holds during a request.
struct Open {
    response: Response,
    /// What `start_response` returns.
    write: Py<PyAny>,
}

/// What the application holds of a response.
#[pyclass(frozen, module = "funicorn")]
pub(crate) struct Exchange {
    /// `None` before and after the request.
    slot: Mutex<Option<Open>>,
    rules: Arc<HeaderRules>,
}

impl Exchange {
    /// Takes the response out of the slot, for good: the request is over for the application's callables.
    ///
    /// Waits, detached, while another thread of the application is sending through `write`. `None` if it
    /// was taken before.
    pub(crate) fn close(&self, py: Python<'_>) -> Option<Response> {
        let open = match self.slot.try_lock() {
            Ok(mut slot) => slot.take(),
            Err(TryLockError::Poisoned(slot)) => slot.into_inner().take(),
            Err(TryLockError::WouldBlock) => {
                py.detach(|| self.slot.lock().unwrap_or_else(PoisonError::into_inner).take())
            }
        };
        open.map(|open| open.response)
    }

    /// Runs one step of the response; `None` if the request is over.
    ///
    /// # Errors
    /// `RuntimeError` while another thread sends.
    pub(crate) fn step<T>(&self, step: impl FnOnce(&mut Response) -> T) -> PyResult<Option<T>> {
        Ok(self.lock()?.as_mut().map(|open| step(&mut open.response)))
    }

    fn lock(&self) -> PyResult<MutexGuard<'_, Option<Open>>> {
        match self.slot.try_lock() {
            Ok(slot) => Ok(slot),
            Err(TryLockError::Poisoned(slot)) => Ok(slot.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(PyRuntimeError::new_err("another thread is sending a block of this response"))
            }
        }
    }
}

fn over() -> PyErr {
    PyRuntimeError::new_err("the request is over: start_response() and write() belong to one request")
}

#[pymethods]
impl Exchange {
    /// Sets the head; with `exc_info` also a second time, as long as the head has not been sent. Returns
    /// `write`.
    #[pyo3(signature = (status, headers, exc_info=None))]
    fn start_response(
        &self,
        py: Python<'_>,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        exc_info: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let exc_info = match exc_info {
            Some(exc_info) if exc_info.is_truthy()? => {
                Some(exc_info.cast::<PyTuple>().map_err(|_| {
                    PyTypeError::new_err("exc_info must be a tuple as sys.exc_info() gives it")
                })?)
            }
            _ => None,
        };
        {
            let slot = self.lock()?;
            match &slot.as_ref().ok_or_else(over)?.response.stage {
                Stage::Sent => {
                    drop(slot);
                    return Err(exc_info.map_or_else(already_sent, exception_of));
                }
                Stage::Set(_) if exc_info.is_none() => {
                    return Err(PyAssertionError::new_err(
                        "start_response() was called already; only an error handler may do so again, with exc_info",
                    ));
                }
                Stage::Set(_) | Stage::Unset => {}
            }
        }
        let head = parse_head(status, headers, &self.rules)?;
        log::trace!(target: "funicorn::wsgi", "start_response: {}", head.code());
        let mut slot = self.lock()?;
        let open = slot.as_mut().ok_or_else(over)?;
        open.response.stage = Stage::Set(head);
        Ok(open.write.clone_ref(py))
    }

    /// Sends a block at once.
    #[pyo3(signature = (data, /))]
    fn write(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let block = data
            .cast::<PyBytes>()
            .map_err(|_| PyTypeError::new_err(format!("write() takes bytes, not {}", data.get_type())))?;
        self.step(|response| response.send(block, false))?.ok_or_else(over)?.map_err(raise)
    }
}

fn already_sent() -> PyErr {
    PyAssertionError::new_err("start_response() was called after the headers were sent")
}

/// What an application sees of a failed send.
fn raise(error: SendError) -> PyErr {
    match error {
        SendError::Gone => PyBrokenPipeError::new_err(error.to_string()),
        SendError::Stopping => PyConnectionAbortedError::new_err(error.to_string()),
        SendError::TooLong => PyValueError::new_err(error.to_string()),
        _ => PyRuntimeError::new_err(error.to_string()),
    }
}
