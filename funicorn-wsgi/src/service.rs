//! How does a WSGI application become a [`Service`]?

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use funicorn_http::{
    Body, ConnectionInfo, HeaderMap, Refusal, Request, RequestHead, ResponseWriter, Service, StartedThread,
    ThreadLife,
};
use pyo3::prelude::*;
use pyo3::types::PyContext;

use crate::application::{self, LoadError};
use crate::attachment::{EnteredContext, current_context, without_interpreter};
use crate::environ::Environs;
use crate::errors::ErrorLog;
use crate::exchange::{Callables, Response};
use crate::header_rules::HeaderRules;
use crate::input::Input;
use crate::response::{Bystanders, respond};
use crate::signals::EndedByHandler;
use crate::{ApplicationSpec, green_threads, path, threads, traceback};

/// What the adapter is told about the server that it works for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WsgiConfig {
    /// The path at which the application is mounted: its `SCRIPT_NAME`. Empty by default.
    ///
    /// For `/p`, the paths `/p` and `/p/...` lose the prefix; any other path is taken to have lost it at a
    /// proxy.
    /// A request that a trusted proxy has mounted elsewhere ([`Proxied::prefix`](funicorn_http::Proxied::prefix))
    /// has that path instead.
    pub root_path: String,
    /// What becomes of headers whose names hold `_`. Here [`HeaderMap::Refuse`] drops them, since it is the
    /// server that refuses.
    pub header_map: HeaderMap,
    /// Whether what PEP 3333 forbids raises, instead of being logged once: a hop-by-hop header ("Other HTTP Features"), which is
    /// dropped otherwise, and headers that are no list of tuples or a status without a reason, which are taken.
    pub strict_headers: bool,
    /// `wsgi.multithread`: whether another thread of this process may call the application at the same time.
    pub multithread: bool,
    /// `wsgi.multiprocess`: whether another process may.
    pub multiprocess: bool,
    /// `SERVER_SOFTWARE`.
    pub server_software: String,
    /// Where `wsgi.errors` leads.
    pub errors: ErrorLog,
}

impl Default for WsgiConfig {
    fn default() -> Self {
        Self {
            root_path: String::new(),
            header_map: HeaderMap::Drop,
            strict_headers: false,
            multithread: false,
            multiprocess: false,
            server_software: concat!("funicorn/", env!("CARGO_PKG_VERSION")).to_owned(),
            errors: ErrorLog::default(),
        }
    }
}

/// How many exchanges are kept for further use: one for each application thread, where these are few.
const SPARES: usize = 16;

/// A WSGI application that can be served.
///
/// Python must be running: through [`Interpreter`](crate::Interpreter), or because the process is Python's
/// anyway. It is called by whatever calls services: `funicorn-net`, or a [`ThreadPool`](crate::ThreadPool).
///
/// ```
/// use funicorn_wsgi::{Interpreter, InterpreterConfig, LoadError, WsgiConfig, WsgiService};
///
/// let interpreter = Interpreter::start(&InterpreterConfig::default())?;
/// let mut config = WsgiConfig::default();
/// config.root_path = "/shop".to_owned();
/// let service = WsgiService::load(&"wsgiref.simple_server:demo_app".parse()?, config.clone())?;
/// let missing = WsgiService::load(&"wsgiref.simple_server:no_app".parse()?, config);
/// assert!(matches!(missing, Err(LoadError::NoAttribute { .. })));
/// drop(service);
/// interpreter.finalize();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WsgiService {
    application: Py<PyAny>,
    environs: Environs,
    rules: Arc<HeaderRules>,
    /// What requests that are over have left for others. A thread that finds it taken does without: waiting
    /// for a lock while attached could be waiting for ever.
    spares: Mutex<Vec<Callables>>,
    /// The context that stood after loading. Each request runs in a copy.
    context: Py<PyContext>,
    ended: EndedByHandler,
}

impl WsgiService {
    /// Imports the application that `spec` names, on the calling thread, which should be Python's main
    /// thread.
    ///
    /// # Errors
    /// See [`LoadError`]; its text says what to do and contains Python's traceback where there is one.
    pub fn load(spec: &ApplicationSpec, config: WsgiConfig) -> Result<Self, LoadError> {
        Python::attach(|py| {
            let application = application::load(py, spec)?;
            green_threads::warn(py, config.multithread);
            Self::new(py, &application, config).map_err(|error| LoadError::Raised {
                what: "preparing to serve".to_owned(),
                traceback: traceback::format(py, &error),
            })
        })
    }

    fn new(py: Python<'_>, application: &Bound<'_, PyAny>, config: WsgiConfig) -> PyResult<Self> {
        // An empty body has no state, so that one is enough for all requests without a body.
        let no_input = Bound::new(py, Input::new(Body::empty()))?;
        Ok(Self {
            application: application.clone().unbind(),
            environs: Environs::new(py, &config, &no_input)?,
            rules: Arc::new(HeaderRules::new(config.strict_headers)),
            spares: Mutex::default(),
            context: current_context(py)?,
            ended: EndedByHandler::default(),
        })
    }

    /// The exit code with which a signal handler of the application has ended the server, if one has: it has raised `SystemExit`, or
    /// anything else (code 1), between two requests, or `SystemExit` and its like within one.
    #[must_use]
    pub fn ended_by_handler(&self) -> Option<i32> {
        self.ended.code()
    }

    fn serve(
        &self,
        py: Python<'_>,
        (head, path): (&RequestHead, &[u8]),
        (body, connection): (Body, &Arc<ConnectionInfo>),
        response: ResponseWriter,
    ) -> PyResult<()> {
        let body_len = body.len();
        let input = match body_len {
            Some(0) => None,
            _ => Some(Bound::new(py, Input::new(body))?),
        };
        let environ = self.environs.build(py, (head, path), connection, (input.as_ref(), body_len))?;
        let callables = self.callables(py)?;
        log::trace!(target: "funicorn::wsgi", "the environ has {} keys: calling the application", environ.len());
        {
            let _context = EnteredContext::copy_of(self.context.bind(py))?;
            let _open = callables.open(py, Response::new(response));
            let raised = |error: &PyErr| self.ended.look_at(py, error);
            let bystanders = Bystanders { request: &|| describe(head), raised: &raised };
            respond(self.application.bind(py), &environ, &callables, &bystanders);
        }
        drop(environ);
        self.keep(py, callables);
        Ok(())
    }

    fn callables(&self, py: Python<'_>) -> PyResult<Callables> {
        let spare = self.spares.try_lock().ok().and_then(|mut spares| spares.pop());
        spare.map_or_else(|| Callables::new(py, &self.rules), Ok)
    }

    /// Keeps `callables` for another request, unless the application has kept them.
    fn keep(&self, py: Python<'_>, callables: Callables) {
        if callables.are_unknown(py)
            && let Ok(mut spares) = self.spares.try_lock()
            && spares.len() < SPARES
        {
            spares.push(callables);
        }
    }
}

impl Service for WsgiService {
    /// Calls the application, on a thread that is attached to the interpreter if [`thread`](Self::thread)
    /// wraps its life (any other thread is attached for the time of the call, which costs more).
    fn call(&self, request: Request, response: ResponseWriter) {
        let Request { head, body, connection, .. } = request;
        let path = path::percent_decode(head.path());
        if path.contains(&0) {
            // Whether the client is still there concerns nobody.
            let _ = Refusal::NulInPath.answer(response);
            return;
        }
        Python::attach(|py| {
            if let Err(error) = self.serve(py, (&head, &path), (body, &connection), response) {
                log::error!(
                    "{}: the request could not be set up\n{}",
                    describe(&head),
                    traceback::format(py, &error)
                );
            }
        });
    }

    fn start_thread(&self, name: &str, life: ThreadLife) -> io::Result<StartedThread> {
        threads::start(name, life, &self.ended)
    }

    fn thread(&self, body: &mut dyn FnMut()) {
        Python::attach(|_| body());
    }

    fn blocking(&self, wait: &mut dyn FnMut()) {
        without_interpreter(wait);
    }

    fn attend(&self) -> ControlFlow<()> {
        Python::attach(|py| self.ended.run_handlers(py));
        self.ended.code().map_or(ControlFlow::Continue(()), |_| ControlFlow::Break(()))
    }

    /// With several application threads Python's main thread calls none of the requests, as in gunicorn's thread worker: what a signal
    /// handler raises there is nobody's request, and every request runs on a thread with `threading`'s hooks.
    fn attends_apart(&self) -> bool {
        true
    }
}

/// A request in the words of a log line.
fn describe(head: &RequestHead) -> String {
    format!("{} {}", head.method().escape_ascii(), head.target().escape_ascii())
}
