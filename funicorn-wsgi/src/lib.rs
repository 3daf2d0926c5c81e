//! The WSGI adapter: PEP 3333 over an embedded CPython, as a [`funicorn_http::Service`].
//!
//! It knows no sockets: a server, or a test, hands it requests and takes the responses. Read it in this order:
//!
//! 1. [`Interpreter`]: how CPython starts and ends in this process, and which Python is used.
//! 2. [`ApplicationSpec`] and [`LoadError`]: how `shop.wsgi:application` becomes a callable.
//! 3. [`WsgiService`]: one request from the environ to `close()`.

mod application;
mod attachment;
mod environ;
mod errors;
mod exchange;
mod executable;
mod file_wrapper;
mod header_keys;
mod input;
mod interpreter;
mod native_string;
mod path;
mod response;
mod service;
mod spec;
mod start_response;
mod traceback;

pub use application::LoadError;
pub use errors::ErrorLog;
pub use interpreter::{Interpreter, InterpreterConfig, InterpreterError, python_versions};
pub use service::{WsgiConfig, WsgiService};
pub use spec::{ApplicationSpec, SpecError};
