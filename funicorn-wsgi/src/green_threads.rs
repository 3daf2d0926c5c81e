//! Has the application put green threads in the place of threads? Then it is to hear what works.
//!
//! `gevent.monkey.patch_all()` and `eventlet.monkey_patch()` replace locks, queues and sleeps by ones that switch to another greenlet
//! of the same thread. They count on one thread that runs a loop for all of them. Where several real threads share such a lock,
//! whoever waits for it waits for a switch that never comes. The same holds for gevent's queues, and its child processes are of the main
//! thread alone. With one thread all of it works, as long as nobody counts on being run between two requests.

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

/// What several threads of the application would share, and gevent serves in one thread only.
const SHARED: [&str; 3] = ["queue", "subprocess", "os"];

/// Says what works, if the application has patched what its calls need.
pub(crate) fn warn(py: Python<'_>, multithread: bool) {
    // Who has broken `threading` itself has other worries.
    let library = py.import("threading").and_then(|threading| library(&threading)).unwrap_or(None);
    match library {
        Some(library) if multithread => log::warn!(
            "{library} has replaced the threads and locks of this application, and calls on several threads that wait for one may hang: \
             serve it with --threads 1 and more --workers, {}",
            what_may_be_patched(library)
        ),
        Some(library) => log::info!(
            "{library} has replaced the threads of this application: those that it starts run while a request waits, and not between requests"
        ),
        None if multithread => {
            let replaced = replaced_by_gevent(py).unwrap_or_default();
            if !replaced.is_empty() {
                log::warn!(
                    "gevent has replaced what the threads of this application share ({}), and calls that use it may hang or fail: {}",
                    replaced.join(", "),
                    what_may_be_patched("gevent")
                );
            }
        }
        None => {}
    }
}

/// Real threads need no patch. Where one is wanted nevertheless, these are the parts that threads can share: tried, each, with
/// locks, queues, executors, child processes and sockets in several threads.
fn what_may_be_patched(library: &str) -> &'static str {
    match library {
        "gevent" => {
            "or do without the patch, or have it call gevent.monkey.patch_all(thread=False, queue=False, subprocess=False, os=False, \
             signal=False)"
        }
        _ => "or do without the patch, or have it call eventlet.monkey_patch(thread=False)",
    }
}

fn replaced_by_gevent(py: Python<'_>) -> PyResult<Vec<&'static str>> {
    let modules = py.import("sys")?.getattr("modules")?;
    let Ok(monkey) = modules.get_item("gevent.monkey") else { return Ok(Vec::new()) };
    let mut replaced = Vec::new();
    for name in SHARED {
        if monkey.call_method1("is_module_patched", (name,))?.is_truthy()? {
            replaced.push(name);
        }
    }
    Ok(replaced)
}
