//! The WSGI adapter: PEP 3333 over an embedded CPython, as a [`funicorn_http::Service`].
//!
//! It knows no sockets: a server, or a test, hands it requests and takes the responses. Read it in the
//! order in which things happen:
//!
//! 1. [`Interpreter`]: how CPython starts and ends in this process, and which Python is used (`executable`).
//! 2. [`ApplicationSpec`] and [`LoadError`]: how `shop.wsgi:application` becomes a callable (`spec`,
//!    `application`).
//! 3. [`WsgiService`]: one request (`service`). Its environ is made from a template (`environ`, `header_keys`,
//!    `path`, `proxied`, `recollection`), its body is read through `wsgi.input` (`input`), and what is not for the client goes to
//!    `wsgi.errors` ([`ErrorLog`]).
//! 4. `start_response` and `write`: two callables over one slot (`exchange`), with the rules for status and
//!    headers (`start_response`).
//! 5. What the application returns: iterated, or sent by the kernel (`response`, `file_wrapper`).
//! 6. [`ThreadPool`]: threads that call the application for a server that is not `funicorn-net` (`pool`), and get the
//!    response as [`ResponsePart`]s (`parts`).
//!
//! `unsafe` is confined to five modules: `interpreter` (starting and ending), `attachment` (waits and
//! contexts), `file_wrapper` (a borrowed descriptor), `sole_reference` (whether objects
//! can be used again) and `native_string` (Latin-1).
//!
//! ```
//! use funicorn_wsgi::{Interpreter, InterpreterConfig, WsgiConfig, WsgiService};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let interpreter = Interpreter::start(&InterpreterConfig::default())?;
//! let application = "wsgiref.simple_server:demo_app".parse()?;
//! let service = WsgiService::load(&application, WsgiConfig::default())?;
//! // Hand `service` to a server here.
//! drop(service);
//! interpreter.finalize();
//! # Ok(())
//! # }
//! ```

mod application;
mod attachment;
mod environ;
mod errors;
mod exchange;
mod executable;
mod file_wrapper;
mod fs_string;
mod green_threads;
mod header_keys;
mod header_rules;
mod input;
mod interpreter;
mod native_string;
mod parts;
mod path;
mod pool;
mod proxied;
mod recollection;
mod repeated;
mod response;
mod retired;
mod service;
mod signals;
mod sole_reference;
mod spec;
mod start_response;
mod threads;
mod traceback;

pub use application::LoadError;
pub use errors::ErrorLog;
pub use executable::PythonChoice;
pub use interpreter::{Interpreter, InterpreterConfig, InterpreterError, python_versions};
pub use parts::ResponsePart;
pub use pool::{Busy, PoolConfig, ThreadPool};
pub use service::{WsgiConfig, WsgiService};
pub use signals::SignalWakeup;
pub use spec::{ApplicationSpec, SpecError};

/// The README's example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are the chapter's.
#[cfg(doctest)]
#[doc = include_str!("../../docs/book/3-wsgi.md")]
struct Chapter;
