//! When do the application's signal handlers run, and what ends when one raises?
//!
//! When a signal comes Python only notes it; the handler runs on the main thread, at the next bytecode. While that thread waits for
//! requests there is none, so the server is told by a descriptor ([`SignalWakeup`]) and has handlers run between two
//! requests. What they raise there ends the worker, as under gunicorn: `SystemExit` with its code, anything else with a
//! traceback and the code 1. It is never raised in the next client's request.
//!
//! While the application runs on the main thread, Python runs handlers inside of it, and what they raise is an exception of that request, with
//! which a deadline by `signal.alarm` can be kept. `SystemExit` and its like, from a handler, end the worker too.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::OnceLock;

use pyo3::exceptions::{PyException, PySystemExit};
use pyo3::prelude::*;

use crate::traceback;

/// Tells a server that waits that a signal has come for Python (`signal.set_wakeup_fd`).
///
/// It works as long as this value lives. An application that uses `set_wakeup_fd` itself takes it away; then a signal is noticed when
/// it interrupts the wait of the main thread.
///
/// ```
/// use funicorn_wsgi::{Interpreter, InterpreterConfig, SignalWakeup};
///
/// let interpreter = Interpreter::start(&InterpreterConfig::default())?;
/// let wakeup = SignalWakeup::install()?;
/// // To be watched by the server: there are bytes in it when a signal has come.
/// let source: std::os::fd::OwnedFd = wakeup.source()?;
/// drop(wakeup);
/// interpreter.finalize();
/// # drop(source);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SignalWakeup {
    source: PipeReader,
    target: PipeWriter,
}

impl SignalWakeup {
    /// Has Python write to a pipe whenever a signal comes for which there is a handler in Python.
    ///
    /// # Errors
    /// When the application has set a descriptor of its own, when the calling thread is not Python's main thread, or when there is no
    /// descriptor left.
    pub fn install() -> io::Result<Self> {
        let (source, target) = io::pipe()?;
        let wakeup = Self { source, target };
        Python::attach(|py| {
            let os = py.import("os")?;
            for end in [wakeup.source.as_raw_fd(), wakeup.target.as_raw_fd()] {
                os.call_method1("set_blocking", (end, false))?;
            }
            let before = set_wakeup_fd(py, wakeup.target.as_raw_fd())?;
            if before != -1 {
                set_wakeup_fd(py, before)?;
                return Ok(Err(io::Error::other("the application has set a descriptor of its own")));
            }
            Ok(Ok(()))
        })
        .unwrap_or_else(|error: PyErr| Err(io::Error::other(error.to_string())))?;
        Ok(wakeup)
    }

    /// The end of the pipe to read from. It never blocks.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn source(&self) -> io::Result<OwnedFd> {
        self.source.as_fd().try_clone_to_owned()
    }
}

impl Drop for SignalWakeup {
    /// The number of the descriptor may be given away from here on: Python must not write to it.
    fn drop(&mut self) {
        let ours = self.target.as_raw_fd();
        // Python may have ended, and its signals with it.
        Python::try_attach(|py| {
            let restored = set_wakeup_fd(py, -1).and_then(|current| {
                let is_ours = current == ours || current == -1;
                if is_ours { Ok(-1) } else { set_wakeup_fd(py, current) }
            });
            if let Err(error) = restored {
                log::warn!("Python still tells of signals: {error}");
            }
        });
    }
}

/// Sets the descriptor, with nothing said when the pipe is full: then there is enough in it to wake the server. Returns the one before.
fn set_wakeup_fd(py: Python<'_>, fd: i32) -> PyResult<i32> {
    let arguments = pyo3::types::PyDict::new(py);
    arguments.set_item("warn_on_full_buffer", false)?;
    py.import("signal")?.call_method("set_wakeup_fd", (fd,), Some(&arguments))?.extract()
}

/// Whether a signal handler has ended the worker, and with which exit code. The first one counts.
#[derive(Debug, Default)]
pub(crate) struct EndedByHandler {
    code: OnceLock<i32>,
}

impl EndedByHandler {
    /// The exit code.
    pub(crate) fn code(&self) -> Option<i32> {
        self.code.get().copied()
    }

    /// Runs the handlers of the signals that have come. To be called where no request is: what they raise ends the worker.
    pub(crate) fn run_handlers(&self, py: Python<'_>) {
        // On another thread than the main one this does nothing.
        while let Err(error) = py.check_signals() {
            self.end(py, &error);
        }
    }

    /// Looks at an exception of a request: if a handler has raised it to end the process, the worker ends.
    pub(crate) fn look_at(&self, py: Python<'_>, error: &PyErr) {
        if !error.is_instance_of::<PyException>(py) && is_raised_by_handler(py, error).unwrap_or(false) {
            self.end(py, error);
        }
    }

    /// Looks at an exception of ours: if a handler has raised it the worker ends. Returns whether one has.
    pub(crate) fn look_at_interruption(&self, py: Python<'_>, error: &PyErr) -> bool {
        let is_raised_by_handler = is_raised_by_handler(py, error).unwrap_or(false);
        if is_raised_by_handler {
            self.end(py, error);
        }
        is_raised_by_handler
    }

    fn end(&self, py: Python<'_>, error: &PyErr) {
        let code = exit_code(py, error);
        // While detached: the log may be a pipe that nobody empties.
        match code {
            Some(code) => py.detach(|| log::info!("a signal handler ends the worker with code {code}")),
            None => {
                let traceback = traceback::format(py, error);
                py.detach(|| log::error!("the worker ends, since a signal handler raised\n{traceback}"));
            }
        }
        self.code.get_or_init(|| code.unwrap_or(1));
    }
}

/// The exit code of a `SystemExit`, as Python itself takes it: none is 0, and what is no number is 1, after it has been printed.
fn exit_code(py: Python<'_>, error: &PyErr) -> Option<i32> {
    if !error.is_instance_of::<PySystemExit>(py) {
        return None;
    }
    let code = error.value(py).getattr("code").ok()?;
    if code.is_none() {
        return Some(0);
    }
    Some(code.extract().unwrap_or_else(|_| {
        let text = code.to_string();
        py.detach(|| log::error!("{text}"));
        1
    }))
}

/// Whether the code of a signal handler is among the frames that `error` has come through.
fn is_raised_by_handler(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    let handlers = handler_codes(py)?;
    let mut place = error.traceback(py).map(Bound::into_any);
    while let Some(entry) = place.filter(|entry| !entry.is_none()) {
        let code = entry.getattr("tb_frame")?.getattr("f_code")?;
        if handlers.iter().any(|handler| handler.is(&code)) {
            return Ok(true);
        }
        place = entry.getattr_opt("tb_next")?;
    }
    Ok(false)
}

/// The code objects of the handlers that are functions or methods.
fn handler_codes(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyAny>>> {
    let signal = py.import("signal")?;
    let mut codes = Vec::new();
    for number in signal.call_method0("valid_signals")?.try_iter()? {
        let handler = signal.call_method1("getsignal", (number?,))?;
        let Some(code) = handler.getattr_opt("__code__")? else { continue };
        codes.push(code);
    }
    Ok(codes)
}
