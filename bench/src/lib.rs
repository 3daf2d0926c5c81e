//! What do the benchmarks and the counted loop have in common? The requests, and a connection that exists in memory.

mod connection;
mod kind;

use std::error::Error;
use std::path::PathBuf;

use funicorn_wsgi::{Interpreter, InterpreterConfig, WsgiConfig, WsgiService};

pub use connection::{Connection, date, feed};
pub use kind::{KINDS, Kind};

/// Starts Python with the applications of the benchmarks on its path.
///
/// # Errors
/// When there is no Python of the series that this was built for.
pub fn start_python() -> Result<Interpreter, Box<dyn Error>> {
    let mut config = InterpreterConfig::default();
    config.pythonpath = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR"))];
    Ok(Interpreter::start(&config)?)
}

/// Loads the application called `name` from `apps.py`.
///
/// # Errors
/// When there is none.
pub fn load(name: &str) -> Result<WsgiService, Box<dyn Error>> {
    Ok(WsgiService::load(&format!("apps:{name}").parse()?, WsgiConfig::default())?)
}
