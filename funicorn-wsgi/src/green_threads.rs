//! Has the application put green threads in the place of threads? Then it is to hear what works.
//!
//! `gevent.monkey.patch_all()` and `eventlet.monkey_patch()` replace locks, queues and sleeps by ones that switch to another greenlet
//! of the same thread. They count on one thread that runs a loop for all of them. Where several real threads share such a lock,
//! whoever waits for it waits for a switch that never comes.

use pyo3::prelude::*;

/// The library whose green threads stand in the place of `threading`'s, if one's do.
pub(crate) fn library(threading: &Bound<'_, PyModule>) -> PyResult<Option<&'static str>> {
    // Which of the two starts threads depends on the version of Python.
    for name in ["_start_joinable_thread", "_start_new_thread"] {
        let Some(start) = threading.getattr_opt(name)? else { continue };
        let Some(module) = start.getattr_opt("__module__")? else { continue };
        let module: String = module.extract().unwrap_or_default();
        if let Some(library) = ["gevent", "eventlet"].into_iter().find(|library| module.starts_with(library))
        {
            return Ok(Some(library));
        }
    }
    Ok(None)
}

/// Warns if an application that is called by several threads has patched them.
pub(crate) fn warn(py: Python<'_>, multithread: bool) {
    let library = py.import("threading").and_then(|threading| library(&threading));
    if let Ok(Some(library)) = library
        && multithread
    {
        let patch = if library == "gevent" { "gevent.monkey.patch_all" } else { "eventlet.monkey_patch" };
        log::warn!(
            "{library} has replaced the threads and locks of this application, and calls on several threads that wait for one may hang: \
             serve it with --threads 1 and more --workers, or have it call {patch}(thread=False)"
        );
    }
}
