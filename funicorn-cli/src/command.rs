//! What does the command do? It composes: flags, listeners, a supervisor, and in each worker a server.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use funicorn_net::{
    Lifecycle, Listener, Observer, Signals, SuperviseError, Supervisor, WorkerContext, fork_guard,
    raise_descriptor_limit,
};
use funicorn_wsgi::Interpreter;
use rustix::event::{EventfdFlags, eventfd};

use crate::funicorn::{ServeError, Serving, listen, open_access_log, settle};
use crate::{Config, ConfigError, Exit, freed_memory, gunicorn, logging, version};

/// What Python may take to end after the application could not be loaded and an operator waits for the prompt.
const FAILED_FINALIZATION: Duration = Duration::from_millis(300);

/// The `funicorn` command. `args` begins with the program.
#[must_use]
pub fn main(args: Vec<OsString>) -> ExitCode {
    let mut config = match Config::from_args(args) {
        Ok(config) => config,
        Err(error) => {
            // Nobody may be listening, which is no reason to fail.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    logging::start(config.log_level);
    freed_memory::keep();
    match supervise(&mut config) {
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
fn supervise(config: &mut Config) -> Result<i32, CommandError> {
    log::info!("funicorn {}", version::short());
    if let Some(warning) = version::mismatch() {
        log::warn!("{warning}");
    }
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    change_directory(config)?;
    gunicorn::unread_file().into_iter().for_each(|warning| log::warn!("{warning}"));
    settle(config)?;
    let config = &*config;
    let signals = Signals::install(true).map_err(ServeError::System)?;
    config.check_spool_dir().map_err(ServeError::Config)?;
    raise_descriptor_limit(config.limits.connections);
    let observer = open_access_log(config).map_err(ServeError::Config)?;
    let listeners = Rc::new(RefCell::new(listen(config).map_err(ServeError::Bind)?));
    let speaker = Rc::new(Speaker::new().map_err(ServeError::System)?);
    let lifecycle = Composition {
        listeners: Rc::clone(&listeners),
        speaker: Rc::clone(&speaker),
        observer: observer.clone(),
    };
    let supervisor = Supervisor::new(config.supervisor(), signals, Box::new(lifecycle));
    Ok(supervisor.run(&mut |context| {
        let serving = Serving { config, workers: config.workers, observer: observer.clone() };
        work(serving, listeners.take(), context, &speaker)
    })?)
}

fn change_directory(config: &Config) -> Result<(), ServeError> {
    let Some(directory) = &config.chdir else { return Ok(()) };
    Ok(std::env::set_current_dir(directory).map_err(|error| ConfigError::Chdir(directory.clone(), error))?)
}

/// What the command does as the supervisor's workers come and go.
struct Composition {
    listeners: Rc<RefCell<Vec<Listener>>>,
    speaker: Rc<Speaker>,
    observer: Option<Arc<dyn Observer>>,
}

impl Lifecycle for Composition {
    fn before_fork(&mut self) {
        self.speaker.allow_one();
    }

    fn reopen(&mut self) {
        if let Some(observer) = &self.observer {
            observer.reopen();
        }
    }

    /// Clients are to be turned away as soon as the server is to stop.
    fn stopping(&mut self) {
        self.listeners.take();
    }
}

/// Which of the workers that fail alike at the start says why? The first: an eventfd that all of them share, and that
/// the first one empties. A worker that replaces another may speak again.
struct Speaker {
    may_speak: OwnedFd,
}

impl Speaker {
    fn new() -> io::Result<Self> {
        let may_speak = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        fork_guard::watch(may_speak.as_fd());
        Ok(Self { may_speak })
    }

    fn allow_one(&self) {
        // It can only fail when it is full, and then it allows one already.
        let _ = rustix::io::write(&self.may_speak, &1u64.to_ne_bytes());
    }

    /// Says why this worker cannot serve, unless another one has, and returns the exit code for it.
    fn give_up(&self, error: &ServeError) -> Exit {
        if rustix::io::read(&self.may_speak, &mut [0u8; 8]).is_ok() {
            log::error!("{error}");
        }
        exit(error)
    }
}

/// The whole of a worker's life; returns its exit code.
fn work(serving: Serving<'_>, listeners: Vec<Listener>, context: WorkerContext, speaker: &Speaker) -> i32 {
    let graceful_timeout = serving.config.graceful_timeout;
    let interpreter = match Interpreter::start(&serving.config.interpreter()) {
        Ok(interpreter) => interpreter,
        Err(error) => return speaker.give_up(&error.into()).code(),
    };
    let code = match serving.run(listeners, context.control, context.ready) {
        Ok(ended_by_handler) => {
            bound_finalization(graceful_timeout, Exit::Internal);
            ended_by_handler.unwrap_or(Exit::Success.code())
        }
        Err(error) => {
            let exit = speaker.give_up(&error);
            bound_finalization(FAILED_FINALIZATION, exit);
            exit.code()
        }
    };
    interpreter.finalize();
    code
}

/// Ends the process with `exit` should Python not end: it waits for the application's own threads, however long they run.
fn bound_finalization(timeout: Duration, exit: Exit) {
    let guard = move || {
        thread::sleep(timeout);
        log::error!(
            "Python does not end, perhaps since a thread of the application still runs: ending at once"
        );
        fork_guard::exit_process(exit.code());
    };
    if let Err(error) = thread::Builder::new().name("finalization".to_owned()).spawn(guard) {
        log::warn!("nobody watches the end of Python: {error}");
    }
}
