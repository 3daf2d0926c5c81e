//! What of the heads that applications give is not as PEP 3333 has it, and who is told?
//!
//! Other servers take more than the PEP allows, and applications have come to rely on that. What has one meaning only is taken
//! here as well, and the log says it once: for each name of a header that is dropped, and for each place in the
//! application that departs from the PEP. Under `strict` each of these is an error.

use std::sync::{Mutex, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;

/// Places that are told of. More than an application has, unless it makes up code as it goes.
const MAX_PLACES: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct HeaderRules {
    /// Raise instead of dropping or taking them.
    pub(crate) strict: bool,
    /// Names that have been dropped and logged, in lower case.
    logged: Mutex<Vec<Vec<u8>>>,
    /// Where the application has departed, and how.
    places: Mutex<Vec<(String, Departure)>>,
}

/// What is not as PEP 3333 has it, and means one thing all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// The status has no reason, or more than one space before it.
    Status,
    /// The headers are no `list`.
    Headers,
    /// A header is no `tuple`.
    Pair,
}

impl Departure {
    fn words(self) -> &'static str {
        match self {
            Self::Status => "a status that is not three digits, one space and a reason",
            Self::Headers => "headers that are no list",
            Self::Pair => "a header that is no tuple (name, value)",
        }
    }
}

impl HeaderRules {
    pub(crate) fn new(strict: bool) -> Self {
        Self { strict, ..Self::default() }
    }

    /// Logs the first time that a header called `name` is dropped. There are nine such names, so the list
    /// stays short.
    pub(crate) fn dropped(&self, name: &[u8]) {
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

    /// Logs the first time that the line of Python which runs now departs from PEP 3333 like this.
    #[cold]
    pub(crate) fn departed(&self, py: Python<'_>, departure: Departure) {
        let place = place(py).unwrap_or_else(|_| "a place that is not known".to_owned());
        let entry = (place, departure);
        {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            if places.len() >= MAX_PLACES || places.contains(&entry) {
                return;
            }
            places.push(entry.clone());
        }
        // Detached: the log may be a pipe that nobody empties.
        py.detach(|| {
            log::warn!(
                "start_response() gets {} from {}: it is taken, now and from now on, but PEP 3333 does not allow it, and strict \
                 servers raise",
                departure.words(),
                entry.0
            );
        });
    }
}

/// The line that Python runs now: that of the call, since the server has no frames of its own.
fn place(py: Python<'_>) -> PyResult<String> {
    let frame = py.import(intern!(py, "sys"))?.call_method0(intern!(py, "_getframe"))?;
    let code = frame.getattr(intern!(py, "f_code"))?;
    let text = |name| Ok::<_, PyErr>(code.getattr(name)?.str()?.to_string_lossy().into_owned());
    let line: u32 = frame.getattr(intern!(py, "f_lineno"))?.extract()?;
    Ok(format!("{}:{line}, in {}", text("co_filename")?.escape_debug(), text("co_name")?))
}
