//! What is the server to do? The meaning of the flags, checked as far as that goes without serving.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};
use funicorn_http::{ForwardingPolicy, HeaderMap, PeerList, ProxyProtocol};
use funicorn_net::{BindAddress, Deadlines, SupervisorConfig, WorkerConfig, WorkerLimits};
use funicorn_wsgi::{ApplicationSpec, InterpreterConfig, WsgiConfig};
use log::LevelFilter;

use crate::flags::Flags;
use crate::limit_flags::flag_of;
use crate::paths::{default_spool_dir, split_dirs};
use crate::{AccessLogTarget, Exit, gunicorn};

/// Everything that can be set.
///
/// ```
/// use funicorn_cli::Config;
///
/// let mut config = Config::new("shop.wsgi:application".parse()?);
/// config.bind = vec!["unix:/run/shop.sock".parse()?];
/// config.threads = 8;
///
/// // As it would be typed:
/// let args = ["funicorn", "--bind", "unix:/run/shop.sock", "--threads", "8", "shop.wsgi:application"];
/// let typed = Config::from_args(args.map(Into::into).to_vec())?;
/// assert_eq!((typed.bind, typed.threads), (config.bind, config.threads));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The application to serve.
    pub application: ApplicationSpec,
    /// Where to listen.
    pub bind: Vec<BindAddress>,
    /// Bits that are taken out of the mode of Unix sockets, 0 to 0o777.
    pub umask: u32,
    /// Worker processes, at least 1. Only the command forks them; [`Funicorn`](crate::Funicorn) serves in its own process.
    pub workers: usize,
    /// Application threads of each worker, at least 1.
    pub threads: usize,
    /// How long requests in flight may take to finish.
    pub graceful_timeout: Duration,
    /// The directory to change to. Only the command does.
    pub chdir: Option<PathBuf>,
    /// What comes before the working directory in `sys.path`.
    pub pythonpath: Vec<PathBuf>,
    /// The `python` whose environment to use.
    pub python: Option<PathBuf>,
    /// `sys.argv`.
    pub argv: Vec<OsString>,
    /// `SCRIPT_NAME`: empty, or a path without a slash at its end.
    pub root_path: String,
    /// Whether statuses and headers of the application that PEP 3333 forbids are errors.
    pub strict_headers: bool,
    /// Whose forwarding headers count, and which.
    pub forwarding: ForwardingPolicy,
    /// Which versions of the PROXY protocol are spoken.
    pub proxy_protocol: ProxyProtocol,
    /// The peers that speak it.
    pub proxy_allow_from: PeerList,
    /// What becomes of headers whose names hold `_`.
    pub header_map: HeaderMap,
    /// How much clients may send, and how much may wait.
    pub limits: WorkerLimits,
    /// How long clients may take.
    pub deadlines: Deadlines,
    /// Where large request bodies wait, and responses whose clients are slow.
    pub spool_dir: PathBuf,
    /// Where the access log goes, if anywhere.
    pub access_log: Option<AccessLogTarget>,
    /// What the other log says.
    pub log_level: LevelFilter,
    /// What is to be said at the start, once there is a log.
    pub(crate) warnings: Vec<String>,
}

/// A flag that names something which cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `--chdir`.
    #[error("cannot change to the directory {}: {}", .0.display(), .1)]
    Chdir(PathBuf, #[source] io::Error),
    /// `--spool-dir`.
    #[error("--spool-dir {} cannot be used: {}", .0.display(), .1)]
    SpoolDir(PathBuf, #[source] io::Error),
    /// `--access-logfile`.
    #[error("the access log {} cannot be opened: {}", .0.display(), .1)]
    AccessLog(PathBuf, #[source] io::Error),
}

impl Config {
    /// Serves `application` as the command does without flags.
    #[must_use]
    pub fn new(application: ApplicationSpec) -> Self {
        Self {
            application,
            bind: vec![BindAddress::Tcp { host: "127.0.0.1".to_owned(), port: 8000 }],
            umask: 0,
            workers: 1,
            threads: 1,
            graceful_timeout: SupervisorConfig::default().graceful_timeout,
            chdir: None,
            pythonpath: Vec::new(),
            python: None,
            argv: Vec::new(),
            root_path: String::new(),
            strict_headers: false,
            forwarding: ForwardingPolicy::default(),
            proxy_protocol: ProxyProtocol::default(),
            proxy_allow_from: PeerList::default(),
            header_map: HeaderMap::default(),
            limits: WorkerLimits::default(),
            deadlines: Deadlines::default(),
            spool_dir: default_spool_dir(),
            access_log: None,
            log_level: LevelFilter::Info,
            warnings: Vec::new(),
        }
    }

    /// Reads the command line, whose first word is the program.
    ///
    /// # Errors
    /// What clap says; also for `--help` and `--version`, whose text is an "error" with exit code 0.
    pub fn from_args(args: Vec<OsString>) -> Result<Self, clap::Error> {
        let mut command = Flags::command();
        let matches = command.try_get_matches_from_mut(&args);
        let mut matches = matches.map_err(|error| gunicorn::explain(error, &args, &mut command))?;
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let warnings = gunicorn::unread_variables(&matches, is_set).collect();
        let flags = Flags::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))?;
        let argv = sys_argv(args);
        Ok(Self {
            bind: flags.bind,
            umask: flags.umask,
            workers: flags.workers.into(),
            threads: flags.threads.into(),
            graceful_timeout: flags.graceful_timeout,
            chdir: flags.chdir,
            pythonpath: flags.pythonpath.iter().flat_map(|dirs| split_dirs(dirs)).collect(),
            python: flags.python,
            argv,
            root_path: flags.root_path,
            strict_headers: flags.strict_headers,
            forwarding: ForwardingPolicy::new(flags.forwarded_allow_ips, flags.forwarded_headers),
            proxy_protocol: flags.proxy_protocol,
            proxy_allow_from: flags.proxy_allow_from,
            header_map: flags.header_map,
            limits: flags.limits.to_limits(),
            deadlines: flags.timeouts.to_deadlines(),
            spool_dir: flags.limits.spool_dir.unwrap_or_else(default_spool_dir),
            access_log: flags.access_logfile,
            log_level: log_level(&flags.log_level),
            warnings,
            ..Self::new(flags.application)
        })
    }

    pub(crate) fn supervisor(&self) -> SupervisorConfig {
        let mut config = SupervisorConfig::default();
        config.workers = self.workers;
        config.graceful_timeout = self.graceful_timeout;
        config.fatal_codes = Exit::FATAL.map(Exit::code).to_vec();
        config
    }

    /// `workers`: as for [`wsgi`](Self::wsgi).
    pub(crate) fn worker(&self, workers: usize) -> WorkerConfig {
        let mut config = WorkerConfig::default();
        config.has_siblings = workers > 1;
        config.threads = self.threads;
        config.limits.clone_from(&self.limits);
        config.deadlines.clone_from(&self.deadlines);
        config.graceful_timeout = self.graceful_timeout;
        config.spool_dir.clone_from(&self.spool_dir);
        config.forwarding.clone_from(&self.forwarding);
        config.proxy_protocol = self.proxy_protocol;
        config.proxy_allow_from.clone_from(&self.proxy_allow_from);
        config.header_map = self.header_map;
        config.bound_name = flag_of;
        config
    }

    pub(crate) fn interpreter(&self) -> InterpreterConfig {
        let mut config = InterpreterConfig::default();
        config.python.clone_from(&self.python);
        config.argv.clone_from(&self.argv);
        config.pythonpath.clone_from(&self.pythonpath);
        config
    }

    /// `workers`: how many processes serve, so that `wsgi.multiprocess` tells the truth.
    pub(crate) fn wsgi(&self, workers: usize) -> WsgiConfig {
        let mut config = WsgiConfig::default();
        config.root_path.clone_from(&self.root_path);
        config.header_map = self.header_map;
        config.strict_headers = self.strict_headers;
        config.multithread = self.threads > 1;
        config.multiprocess = workers > 1;
        config.server_software = concat!("funicorn/", env!("CARGO_PKG_VERSION")).to_owned();
        config
    }
}

/// As Python sets it for a console script: the program with its path, then the arguments as they were typed.
fn sys_argv(mut args: Vec<OsString>) -> Vec<OsString> {
    let has_path = |program: &OsString| Path::new(program).components().count() > 1;
    if let (Some(program), Ok(executable)) =
        (args.first_mut().filter(|program| !has_path(program)), std::env::current_exe())
    {
        *program = executable.into();
    }
    args
}

fn log_level(name: &str) -> LevelFilter {
    match name.to_ascii_lowercase().as_str() {
        // gunicorn's gravest; nothing is graver than an error here.
        "error" | "critical" => LevelFilter::Error,
        "warning" => LevelFilter::Warn,
        "debug" => LevelFilter::Debug,
        "trace" => LevelFilter::Trace,
        _ => LevelFilter::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &str) -> Result<Config, clap::Error> {
        Config::from_args(["/bin/funicorn"].into_iter().chain(args.split(' ')).map(OsString::from).collect())
    }

    #[test]
    fn the_defaults() {
        let config = config("app").unwrap();
        assert_eq!(config.application.to_string(), "app");
        assert_eq!(config.bind, ["127.0.0.1:8000".parse().unwrap()]);
        assert_eq!((config.workers, config.threads), (1, 1));
        assert_eq!(config.graceful_timeout, Duration::from_secs(30));
        assert_eq!(config.forwarding, ForwardingPolicy::default());
        assert_eq!(config.proxy_protocol, ProxyProtocol::Off);
        assert_eq!(config.proxy_allow_from, PeerList::default());
        assert_eq!(config.header_map, HeaderMap::Drop);
        assert_eq!(config.limits.request.body, 1 << 30);
        assert_eq!(config.access_log, None);
        assert_eq!(config.argv, ["/bin/funicorn", "app"]);
    }

    #[test]
    fn flags_are_heard() {
        let config = config(
            "--bind [::1]:80 -b unix:/x -w 3 --threads 4 --pythonpath a:b --pythonpath c,d --limit-request-body 2G \
             --access-logfile - --log-level WARNING --root-path /p/ --strict-headers m:f(1,a='b')",
        )
        .unwrap();
        assert_eq!(config.bind, ["[::1]:80".parse().unwrap(), "unix:/x".parse().unwrap()]);
        assert_eq!((config.workers, config.threads), (3, 4));
        assert_eq!(config.pythonpath, ["a", "b", "c", "d"].map(PathBuf::from));
        assert_eq!(config.limits.request.body, 2 << 30);
        assert_eq!(config.access_log, Some(AccessLogTarget::Stdout));
        assert_eq!(config.log_level, LevelFilter::Warn);
        assert_eq!(config.root_path, "/p");
        assert!(config.strict_headers);
    }

    #[test]
    fn the_last_of_a_repeated_flag_counts_and_addresses_add_up() {
        let config = config(
            "-w 2 -w 4 --threads 2 --threads 3 --log-level info --log-level error --strict-headers --strict-headers \
             --limit-request-line 1 --limit-request-line 2 --keep-alive 1 --keep-alive 2 -b :1 --bind :2 -b :3 \
             --pythonpath a --pythonpath b app",
        )
        .unwrap();
        assert_eq!((config.workers, config.threads, config.log_level), (4, 3, LevelFilter::Error));
        assert_eq!((config.limits.request.request_line, config.deadlines.keep_alive.as_secs()), (2, 2));
        assert_eq!(config.bind.len(), 3);
        assert_eq!(config.pythonpath.len(), 2);
    }

    #[test]
    fn flags_about_proxies_reach_the_layers() {
        let config = config(
            "--forwarded-allow-ips 10.0.0.0/8,unix --forwarded-headers forwarded --proxy-protocol \
             --proxy-allow-from * --header-map refuse app",
        )
        .unwrap();
        let worker = config.worker(1);
        assert_eq!(worker.forwarding.trusted, "10.0.0.0/8,unix".parse().unwrap());
        assert_eq!(worker.forwarding.headers, "forwarded".parse().unwrap());
        assert_eq!(worker.proxy_protocol, ProxyProtocol::Auto);
        assert_eq!(worker.proxy_allow_from, "*".parse().unwrap());
        assert_eq!((worker.header_map, config.wsgi(1).header_map), (HeaderMap::Refuse, HeaderMap::Refuse));
    }

    #[test]
    fn the_proxy_protocol_has_versions() {
        for (flag, expected) in [
            ("--proxy-protocol=v1 app", ProxyProtocol::V1),
            ("--proxy-protocol=v2 app", ProxyProtocol::V2),
            ("--proxy-protocol=off app", ProxyProtocol::Off),
            ("app --proxy-protocol", ProxyProtocol::Auto),
        ] {
            assert_eq!(config(flag).unwrap().proxy_protocol, expected, "{flag}");
        }
    }

    #[test]
    fn wrong_flags_end_with_code_2() {
        for args in [
            "",
            "app --workers 0",
            "app --threads 0",
            "app --threads x",
            "app --bind 8000",
            "app --no-such-flag",
            "app other",
            "app.py/x",
            "app --log-level loud",
            "app --limit-request-body lots",
            "app --forwarded-allow-ips localhost",
            "app --forwarded-allow-ips 10.0.0.1/8",
            "app --forwarded-headers x-real-ip",
            "app --forwarded-headers forwarded,x-forwarded-for",
            "app --proxy-protocol=v3",
            "app --proxy-allow-from x",
            "app --header-map Drop",
        ] {
            assert_eq!(config(args).unwrap_err().exit_code(), 2, "{args}");
        }
    }

    #[test]
    fn help_and_version_are_no_failure() {
        for args in ["--help", "-h", "--version", "-V"] {
            assert_eq!(config(args).unwrap_err().exit_code(), 0, "{args}");
        }
    }
}
