//! How does CPython start and end inside this process? ("Python Initialization Configuration", PEP 587.)
//!
//! It is configured as the `python` command would be (the `PYTHON*` variables, `pyvenv.cfg`, `site`), with
//! three differences: the command line is not Python's, signal handlers are not installed, and the
//! executable is one that we chose, for Python would otherwise take *this program* for `sys.executable`.
#![allow(unsafe_code, reason = "the calls that start and end an interpreter have no safe binding")]

use std::env;
use std::ffi::{CStr, CString, OsStr, OsString, c_char};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::executable::{PythonChoice, SERIES, Surroundings};
use crate::fs_string;
use crate::retired;

/// How the interpreter is to start.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct InterpreterConfig {
    /// The `python` whose environment to use. `None`: `FUNICORN_PYTHON`, else that of the active virtual
    /// environment (`VIRTUAL_ENV`), else the one beside this program if it lies in a virtual environment;
    /// else, where it fits, that of the active conda environment (`CONDA_PREFIX`) or the `python` on `PATH`; else the one
    /// this crate was built with, else `python3.X` on `PATH`.
    pub python: Option<PathBuf>,
    /// `sys.argv`: the name of the program and the arguments as they were typed.
    pub argv: Vec<OsString>,
    /// Put in front of `sys.path`, in this order. The working directory follows, then Python's own path.
    pub pythonpath: Vec<PathBuf>,
}

impl InterpreterConfig {
    /// Chooses the Python that [`Interpreter::start`] would, as long as the environment stays the same. Works
    /// without an interpreter, so a supervisor can choose once for all its workers.
    ///
    /// # Errors
    /// When what was named for this program does not fit, or nothing does.
    pub fn choose(&self) -> Result<PythonChoice, InterpreterError> {
        Surroundings::of_this_process().choose(self.python.as_deref())
    }
}

/// Why the interpreter did not start. The operator's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterpreterError {
    /// The chosen executable does not exist.
    #[error(
        "there is no Python at {} ({origin}): set FUNICORN_PYTHON to a Python {SERIES}, or unset what points \
         there", python.display()
    )]
    Missing {
        /// The path that was chosen.
        python: PathBuf,
        /// What chose it.
        origin: &'static str,
    },
    /// The chosen executable is of another series than the library this program is linked with.
    #[error(
        "{} ({origin}) is Python {found}, but this funicorn is built for Python {series}: make a virtual \
         environment with python{series}, or build funicorn with PYO3_PYTHON={}",
        python.display(), python.display()
    )]
    WrongSeries {
        /// The path that was chosen.
        python: PathBuf,
        /// What chose it.
        origin: &'static str,
        /// Its series, such as `3.12`.
        found: String,
        /// Ours.
        series: &'static str,
    },
    /// Nothing points to a Python, and none is on `PATH`.
    #[error(
        "no Python {series} was found: activate a virtual environment, or set FUNICORN_PYTHON to a python{series}"
    )]
    NoPython {
        /// Ours.
        series: &'static str,
    },
    /// Python itself could not start.
    #[error("Python could not start with {}: {reason} (are PYTHONHOME and PYTHONPATH right?)", python.display())]
    Start {
        /// The executable that it was told to be.
        python: PathBuf,
        /// What it said.
        reason: String,
    },
    /// There is an interpreter in this process already.
    #[error("Python is running in this process already")]
    Running,
    /// A path or an argument that cannot be handed to Python.
    #[error("{0:?} contains a NUL byte")]
    Nul(OsString),
    /// The working directory cannot be put on `sys.path`.
    #[error("the working directory is unknown: {0}")]
    WorkingDirectory(#[source] std::io::Error),
    /// `sys.path` could not be changed.
    #[error("sys.path cannot be changed: {0}")]
    Path(#[source] PyErr),
}

/// The interpreter of this process. Starts and ends on the process's main thread, which Python will call
/// its main thread.
///
/// Install handlers for the signals that the server wants *before* starting it: Python leaves alone what it
/// finds. If it is dropped instead of [finalized](Self::finalize), Python stays alive until the process
/// ends and runs no `atexit` functions.
#[derive(Debug)]
pub struct Interpreter {
    /// Not `Send`: Python must be finalized by the thread that started it.
    not_send: PhantomData<*mut ()>,
}

impl Interpreter {
    /// Starts Python and sets `sys.path`; the calling thread is not attached afterwards.
    ///
    /// # Errors
    /// See [`InterpreterError`]. After [`InterpreterError::Start`] Python cannot be started in this process
    /// any more.
    pub fn start(config: &InterpreterConfig) -> Result<Self, InterpreterError> {
        // SAFETY: may be called at any time.
        if unsafe { ffi::Py_IsInitialized() } != 0 {
            return Err(InterpreterError::Running);
        }
        initialize(&config.choose()?.executable, &config.argv)?;
        let interpreter = Self { not_send: PhantomData };
        extend_path(&config.pythonpath)?;
        Ok(interpreter)
    }

    /// Ends Python: waits for its non-daemon threads, runs `atexit` functions, flushes its files.
    ///
    /// No other thread may be attached, or attach later. Python objects that Rust still holds stay in
    /// memory, and dropping them afterwards is safe.
    ///
    /// # Panics
    /// If the calling thread is attached, as inside `Python::attach`: it could never detach again.
    pub fn finalize(self) {
        // SAFETY: may be called on any thread.
        let is_attached = unsafe { ffi::PyGILState_Check() } != 0;
        assert!(!is_attached, "Python is finalized by a thread that is attached to it");
        retired::end_releaser();
        // SAFETY: the interpreter was started by this thread (the type is not Send), which is not attached;
        // FinalizeEx wants it attached and leaves it without a state.
        let outcome = unsafe {
            ffi::PyGILState_Ensure();
            ffi::Py_FinalizeEx()
        };
        if outcome != 0 {
            log::warn!("Python could not flush its standard streams at the end");
        }
    }
}

/// The version of the CPython that this crate was built with, and of the library that is loaded, such as
/// `("3.11.7", "3.11.7")`. Works without an interpreter. When they differ, the loader found another library.
#[must_use]
pub fn python_versions() -> (&'static str, &'static str) {
    let running = Python::version_str();
    (option_env!("FUNICORN_BUILD_VERSION").unwrap_or(SERIES), running.split(' ').next().unwrap_or(running))
}

/// Whether the library that is loaded brings the extension module `name` itself. Works without an interpreter.
pub(crate) fn is_built_in(name: &CStr) -> bool {
    // SAFETY: the table is libpython's, static, ended by an entry without a name, and changed by nobody: that
    // would be PyImport_AppendInittab, which we do not call.
    unsafe {
        let mut entry = ffi::PyImport_Inittab;
        while !(*entry).name.is_null() {
            if CStr::from_ptr((*entry).name) == name {
                return true;
            }
            entry = entry.add(1);
        }
    }
    false
}

/// Runs the two steps of PEP 587 and leaves the thread detached.
fn initialize(python: &std::path::Path, argv: &[OsString]) -> Result<(), InterpreterError> {
    let executable = c_string(python.as_os_str())?;
    let empty = [OsString::new()];
    let argv = if argv.is_empty() { &empty } else { argv };
    let argv = argv.iter().map(|argument| c_string(argument)).collect::<Result<Vec<_>, _>>()?;
    let failed = |status: ffi::PyStatus| InterpreterError::Start {
        python: python.to_path_buf(),
        // SAFETY: the message of a PyStatus is null or a static string.
        reason: unsafe { reason(&status) },
    };
    // SAFETY: PEP 587's sequence: pre-configuration, configuration, start; each configuration is
    // initialised by its own function before use, the pointers outlive the calls, which copy, and the
    // configuration is cleared exactly once. SaveThread detaches the thread that Py_InitializeFromConfig
    // has attached, so that pyo3 can count from zero.
    unsafe {
        let mut pre = MaybeUninit::<ffi::PyPreConfig>::uninit();
        ffi::PyPreConfig_InitPythonConfig(pre.as_mut_ptr());
        (*pre.as_mut_ptr()).parse_argv = 0;
        let status = ffi::Py_PreInitialize(pre.as_ptr());
        if ffi::PyStatus_Exception(status) != 0 {
            return Err(failed(status));
        }
        let mut config = MaybeUninit::<ffi::PyConfig>::uninit();
        ffi::PyConfig_InitPythonConfig(config.as_mut_ptr());
        let status = configure(&mut *config.as_mut_ptr(), &executable, &argv);
        ffi::PyConfig_Clear(config.as_mut_ptr());
        if ffi::PyStatus_Exception(status) != 0 {
            return Err(failed(status));
        }
        ffi::PyEval_SaveThread();
    }
    Ok(())
}

/// Fills `config` and starts the interpreter with it.
///
/// # Safety
/// `config` is initialised, Python is pre-initialised, and no interpreter runs.
unsafe fn configure(config: &mut ffi::PyConfig, executable: &CStr, argv: &[CString]) -> ffi::PyStatus {
    config.parse_argv = 0;
    config.install_signal_handlers = 0;
    let mut argv: Vec<*mut c_char> = argv.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
    // SAFETY: the caller's promise; the places written are fields of `config`, and every string ends in NUL.
    unsafe {
        let (executable_place, name_place) = (&raw mut config.executable, &raw mut config.program_name);
        let mut status = ffi::PyConfig_SetBytesString(config, executable_place, executable.as_ptr());
        if ffi::PyStatus_Exception(status) == 0 {
            status = ffi::PyConfig_SetBytesString(config, name_place, executable.as_ptr());
        }
        if ffi::PyStatus_Exception(status) == 0 {
            status = ffi::PyConfig_SetBytesArgv(config, argv.len() as isize, argv.as_mut_ptr().cast());
        }
        if ffi::PyStatus_Exception(status) == 0 {
            status = ffi::Py_InitializeFromConfig(config);
        }
        status
    }
}

/// The words of a failed status.
///
/// # Safety
/// The message must be null or a valid C string.
unsafe fn reason(status: &ffi::PyStatus) -> String {
    if status.err_msg.is_null() {
        return format!("it ended with code {}", status.exitcode);
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { CStr::from_ptr(status.err_msg) }.to_string_lossy().into_owned()
}

fn c_string(text: &OsStr) -> Result<CString, InterpreterError> {
    CString::new(text.as_bytes()).map_err(|_| InterpreterError::Nul(text.to_owned()))
}

/// Puts `pythonpath` and the working directory in front of `sys.path`, as absolute paths: the application
/// may change its directory.
fn extend_path(pythonpath: &[PathBuf]) -> Result<(), InterpreterError> {
    let here = env::current_dir().map_err(InterpreterError::WorkingDirectory)?;
    Python::attach(|py| {
        let path = py.import("sys")?.getattr("path")?.cast_into::<PyList>()?;
        let front = pythonpath.iter().map(|entry| here.join(entry)).chain([here.clone()]);
        for (index, entry) in front.enumerate() {
            path.insert(index, fs_string::decode(py, entry.as_os_str())?)?;
        }
        Ok(())
    })
    .map_err(InterpreterError::Path)
}
