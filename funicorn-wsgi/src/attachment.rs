//! How does an application thread let go of the interpreter while it waits, and each request run in its own
//! context?
#![allow(
    unsafe_code,
    reason = "contexts have no safe binding, and a wait that is known to touch no Python is not `Send`"
)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyContext;

/// Runs `wait` detached from the interpreter, if the calling thread is attached.
pub(crate) fn without_interpreter(wait: &mut dyn FnMut()) {
    /// A wait that is run by the thread that made it.
    struct OnThisThread<'a>(&'a mut dyn FnMut());
    // SAFETY: `Python::detach` asks for `Send` to keep Python references out of its closure and runs it on
    // the calling thread, so nothing is sent. The waits are the server's, which knows no Python.
    unsafe impl Send for OnThisThread<'_> {}

    // SAFETY: may be called on any thread, attached or not.
    if unsafe { ffi::PyGILState_Check() } == 0 {
        return wait();
    }
    let wait = OnThisThread(wait);
    Python::attach(|py| {
        py.detach(move || {
            // As a whole, or the closure would capture the field, which is not Send.
            let OnThisThread(wait) = { wait };
            wait();
        });
    });
}

/// A copy of the context that the calling thread is in.
pub(crate) fn current_context(py: Python<'_>) -> PyResult<Py<PyContext>> {
    // SAFETY: the thread is attached; the result is a new reference to a context, or null with an exception
    // set.
    let context = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }?;
    Ok(context.cast_into::<PyContext>()?.unbind())
}

/// The thread is in a copy of a context as long as this lives.
#[derive(Debug)]
pub(crate) struct EnteredContext<'py> {
    context: Bound<'py, PyAny>,
}

impl<'py> EnteredContext<'py> {
    /// Enters a copy of `template`.
    pub(crate) fn copy_of(template: &Bound<'py, PyContext>) -> PyResult<Self> {
        // SAFETY: the thread is attached and `template` is a context; the result is a new reference, or
        // null with an exception set. A copy that nobody else knows is not entered yet, so entering fails
        // for want of memory only.
        unsafe {
            let copy = ffi::PyContext_Copy(template.as_ptr());
            let context = Bound::from_owned_ptr_or_err(template.py(), copy)?;
            if ffi::PyContext_Enter(context.as_ptr()) != 0 {
                return Err(PyErr::fetch(template.py()));
            }
            Ok(Self { context })
        }
    }
}

impl Drop for EnteredContext<'_> {
    fn drop(&mut self) {
        // SAFETY: the thread is attached, as `context` shows, and `context` was entered.
        if unsafe { ffi::PyContext_Exit(self.context.as_ptr()) } != 0 {
            // The application has entered a context by hand and not left it.
            let error = PyErr::fetch(self.context.py());
            log::error!("the context of a request could not be left: {error}");
        }
    }
}
