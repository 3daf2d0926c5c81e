//! Which threads call an application? Python's own, from `threading`.
//!
//! A thread that another library has started can run Python too, but `threading` takes it for a stranger: threads that the
//! application starts from it are daemons, which the end of the process does not wait for; hooks set with
//! `threading.settrace` and `setprofile` pass it by; its stack is not what `threading.stack_size()` says, and C extensions
//! that count on that crash. So application threads are begun by Python, and the server's part of their lives runs inside.
//!
//! Where the application has put green threads in the place of threads, an ordinary thread is the only real one to be had.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use funicorn_http::{StartedThread, ThreadLife};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

use crate::green_threads;
use crate::signals::EndedByHandler;

/// Starts a thread called `name` that runs `life`. `ended` hears of signal handlers that raise meanwhile: they run between any two
/// steps of Python's, if this is the main thread, and must not keep the new one from being started.
///
/// # Errors
/// When Python cannot start one.
pub(crate) fn start(name: &str, life: ThreadLife, ended: &EndedByHandler) -> io::Result<StartedThread> {
    let life = UntilTaken(Arc::new(Mutex::new(Some(life))));
    Python::attach(|py| {
        loop {
            ended.run_handlers(py);
            let mut thread = None;
            if let Err(error) = begin(py, name, &life, &mut thread) {
                if !ended.look_at_interruption(py, &error) {
                    return Err(error);
                }
                if !is_started(py, thread.as_ref())? {
                    continue;
                }
            }
            return Ok(match thread {
                Some(thread) => {
                    let thread = thread.unbind();
                    StartedThread::Running(Box::new(move || wait_for_end(&thread)))
                }
                None => StartedThread::Ordinary(Box::new(move || life.run())),
            });
        }
    })
    .map_err(|error: PyErr| io::Error::other(error.to_string()))
}

/// The life of a thread, until the thread takes it.
#[derive(Clone)]
struct UntilTaken(Arc<Mutex<Option<ThreadLife>>>);

impl UntilTaken {
    fn run(&self) {
        // The lock is let go of before the life begins.
        let life = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(life) = life {
            life();
        }
    }
}

/// Makes and starts a thread, which is left in `thread` as soon as there is one. None is made where threads are green.
fn begin<'py>(
    py: Python<'py>,
    name: &str,
    life: &UntilTaken,
    thread: &mut Option<Bound<'py, PyAny>>,
) -> PyResult<()> {
    let threading = py.import("threading")?;
    if green_threads::library(&threading)?.is_some() {
        return Ok(());
    }
    let life = life.clone();
    let run = move |_: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| life.run();
    let arguments = PyDict::new(py);
    arguments.set_item("target", PyCFunction::new_closure(py, Some(c"call_applications"), None, run)?)?;
    arguments.set_item("name", name)?;
    // Whatever the calling thread is: what the application starts from an application thread inherits this.
    arguments.set_item("daemon", false)?;
    thread.insert(threading.call_method("Thread", (), Some(&arguments))?).call_method0("start")?;
    Ok(())
}

/// Whether `thread` has been started. It may not run yet, or have ended already.
fn is_started(py: Python<'_>, thread: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
    let Some(thread) = thread else { return Ok(false) };
    let has_begun = !thread.getattr("ident")?.is_none();
    Ok(has_begun || py.import("threading")?.call_method0("enumerate")?.contains(thread)?)
}

fn wait_for_end(thread: &Py<PyAny>) {
    Python::attach(|py| {
        // A signal handler that raises ends the wait before the thread.
        while let Err(error) = thread.call_method0(py, "join") {
            log::debug!("waiting for a thread to end was interrupted: {error}");
            let is_alive = thread.call_method0(py, "is_alive").and_then(|alive| alive.is_truthy(py));
            if !is_alive.unwrap_or(false) {
                return;
            }
        }
    });
}
