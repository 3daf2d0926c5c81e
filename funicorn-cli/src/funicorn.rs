//! How do the layers become a server? A [`Funicorn`] in the calling process; the command puts a supervisor around the same.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use funicorn_http::Address;
use funicorn_net::{BACKLOG, BindError, Control, Listener, Observer, Order, ReadyNotice, StopHandle, Worker};
use funicorn_wsgi::{Interpreter, InterpreterError, LoadError, SignalWakeup, WsgiService, python_versions};

use crate::{AccessLog, Config, ConfigError};

/// A WSGI server in this process: no fork, no signal handlers, stopped from another thread.
///
/// ```no_run
/// use funicorn_cli::{Config, Funicorn};
///
/// let funicorn = Funicorn::new(Config::new("shop.wsgi:application".parse()?))?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         std::io::stdin().read_line(&mut String::new()).ok();
///         funicorn.stop();
///     });
///     funicorn.run()
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Funicorn {
    config: Config,
    stop: StopHandle,
    addresses: Vec<Address>,
    /// Taken by `run`.
    parts: Mutex<Option<(Vec<Listener>, Control)>>,
}

/// Why there is nothing to serve, or no way to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A flag or setting names something that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened at.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The Python environment is unusable.
    #[error(transparent)]
    Python(#[from] InterpreterError),
    /// The application cannot be loaded.
    #[error(transparent)]
    Application(#[from] LoadError),
    /// The system failed.
    #[error("cannot serve: {0}")]
    System(#[from] io::Error),
    /// [`Funicorn::run`] was called before.
    #[error("a server runs once")]
    RanBefore,
}

impl Funicorn {
    /// Listens at every address of `config`. Connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// When an address cannot be listened at, the spool directory not be used, or there is no fitting Python.
    pub fn new(mut config: Config) -> Result<Self, ServeError> {
        settle(&mut config)?;
        config.check_spool_dir()?;
        let listeners = listen(&config)?;
        let addresses = listeners.iter().map(|listener| listener.local().clone()).collect();
        let control = Control::new(None)?;
        let stop = control.handle();
        Ok(Self { config, stop, addresses, parts: Mutex::new(Some((listeners, control))) })
    }

    /// Where it listens, with the ports that the system chose for port 0.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Starts Python, loads the application and serves it until [`stop`](Self::stop); then finalizes Python.
    ///
    /// Call it on the process's main thread, which becomes Python's, and once in a process.
    ///
    /// # Errors
    /// When Python cannot start or the application not be loaded.
    pub fn run(&self) -> Result<(), ServeError> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (listeners, control) = parts.ok_or(ServeError::RanBefore)?;
        let observer = open_access_log(&self.config)?;
        let interpreter = Interpreter::start(&self.config.interpreter())?;
        let serving = Serving { config: &self.config, workers: 1, observer };
        let served = serving.run(listeners, control, ReadyNotice::to_nobody());
        interpreter.finalize();
        served.map(drop)
    }

    /// Has [`run`](Self::run) return once the requests in flight are finished. From any thread, also before `run`.
    pub fn stop(&self) {
        self.stop.stop(Order::StopGracefully);
    }

    /// A handle for other ways to stop, and for threads that outlive this value.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }
}

/// Decides once what else would depend on when one looks: on the working directory, and on the environment.
pub(crate) fn settle(config: &mut Config) -> Result<(), ServeError> {
    config.fix_paths()?;
    let python = config.interpreter().choose()?;
    log::info!("Python {} with the packages of {python}", python_versions().1);
    config.python = Some(python.executable);
    Ok(())
}

/// Listens at every address of `config`.
pub(crate) fn listen(config: &Config) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::new();
    for address in &config.bind {
        listeners.append(&mut Listener::bind_masked(address, BACKLOG, config.umask)?);
    }
    for listener in &listeners {
        log::info!("listening at {}", in_words(listener.local()));
    }
    Ok(listeners)
}

/// A TCP address as one can click on it.
fn in_words(address: &Address) -> String {
    match address {
        Address::Tcp(addr) => format!("http://{addr}"),
        other => other.to_string(),
    }
}

pub(crate) fn open_access_log(config: &Config) -> Result<Option<Arc<dyn Observer>>, ConfigError> {
    let Some(target) = &config.access_log else { return Ok(None) };
    Ok(Some(Arc::new(AccessLog::open(target)?)))
}

/// What one process does between the start of Python and its end, whether a supervisor has forked it or not.
pub(crate) struct Serving<'a> {
    pub(crate) config: &'a Config,
    /// Processes that serve the same.
    pub(crate) workers: usize,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl Serving<'_> {
    /// Loads the application and serves it. Everything that holds Python objects is gone when this returns: the exit code, if a signal
    /// handler of the application has ended the server with one.
    pub(crate) fn run(
        self,
        listeners: Vec<Listener>,
        mut control: Control,
        ready: ReadyNotice,
    ) -> Result<Option<i32>, ServeError> {
        let service = WsgiService::load(&self.config.application, self.config.wsgi(self.workers))?;
        let service = Arc::new(service);
        // After the application, which may want to be told of signals itself.
        let wakeup = SignalWakeup::install();
        match &wakeup {
            Ok(wakeup) => control.attend_to(wakeup.source()?)?,
            Err(error) => log::debug!("nobody is told of signals for Python: {error}"),
        }
        let config = self.config.worker(self.workers);
        let for_worker = Arc::clone(&service);
        let worker = Worker::new(listeners, for_worker, config, control, self.observer)?;
        ready.ready();
        worker.run()?;
        Ok(service.ended_by_handler())
    }
}
