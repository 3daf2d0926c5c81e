//! What does the command do? It composes: flags, listeners, a supervisor, and in each worker a server.

use std::cell::RefCell;
use std::ffi::OsString;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use funicorn_net::{
    Lifecycle, Listener, Observer, Signals, SuperviseError, Supervisor, WorkerContext, fork_guard,
};

use crate::funicorn::{ServeError, Serving, listen, open_access_log};
use crate::{Config, ConfigError, Exit, logging, version};

/// The `funicorn` command. `args` begins with the program.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let config = match Config::from_args(args) {
        Ok(config) => config,
        Err(error) => {
            // Nobody may be listening, which is no reason to fail.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    logging::start(config.log_level);
    match supervise(&config) {
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            log::error!("{error}");
            error.exit().into()
        }
    }
}

/// Why the command ended before a worker could serve.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Supervise(#[from] SuperviseError),
}

impl CommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Serve(error) => exit(error),
            Self::Supervise(_) => Exit::Internal,
        }
    }
}

/// Whose fault it was, as an exit code.
fn exit(error: &ServeError) -> Exit {
    match error {
        ServeError::Config(_) => Exit::Usage,
        ServeError::Bind(_) => Exit::Bind,
        ServeError::Python(_) => Exit::Python,
        ServeError::Application(_) => Exit::Application,
        ServeError::System(_) | ServeError::RanBefore => Exit::Internal,
    }
}

/// Prepares all that the workers share, and keeps them until the end. Returns the exit code.
fn supervise(config: &Config) -> Result<i32, CommandError> {
    log::info!("funicorn {}", version::short());
    if let Some(warning) = version::mismatch() {
        log::warn!("{warning}");
    }
    change_directory(config)?;
    let signals = Signals::install(true).map_err(ServeError::System)?;
    config.check_spool_dir().map_err(ServeError::Config)?;
    let observer = open_access_log(config).map_err(ServeError::Config)?;
    let listeners = Rc::new(RefCell::new(listen(config).map_err(ServeError::Bind)?));
    let lifecycle = CloseListeners(Rc::clone(&listeners));
    let supervisor = Supervisor::new(config.supervisor(), signals, Box::new(lifecycle));
    Ok(supervisor.run(&mut |context| work(config, listeners.take(), observer.clone(), context))?)
}

fn change_directory(config: &Config) -> Result<(), ServeError> {
    let Some(directory) = &config.chdir else { return Ok(()) };
    Ok(std::env::set_current_dir(directory).map_err(|error| ConfigError::Chdir(directory.clone(), error))?)
}

/// Turns clients away as soon as the server is to stop.
struct CloseListeners(Rc<RefCell<Vec<Listener>>>);

impl Lifecycle for CloseListeners {
    fn stopping(&mut self) {
        self.0.take();
    }
}

/// The whole of a worker's life; returns its exit code.
fn work(
    config: &Config,
    listeners: Vec<Listener>,
    observer: Option<Arc<dyn Observer>>,
    context: WorkerContext,
) -> i32 {
    let serving = Serving { config, workers: config.workers, observer };
    let stopped = || bound_finalization(config.graceful_timeout);
    match serving.run(listeners, context.control, context.ready, stopped) {
        Ok(()) => Exit::Success.code(),
        Err(error) => {
            log::error!("{error}");
            exit(&error).code()
        }
    }
}

/// Ends the process should Python not end: it waits for the application's own threads, however long they run.
fn bound_finalization(timeout: Duration) {
    let guard = move || {
        thread::sleep(timeout);
        log::error!(
            "Python does not end, perhaps since a thread of the application still runs: ending at once"
        );
        fork_guard::exit_process(Exit::Internal.code());
    };
    if let Err(error) = thread::Builder::new().name("finalization".to_owned()).spawn(guard) {
        log::warn!("nobody watches the end of Python: {error}");
    }
}
