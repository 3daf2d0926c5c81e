//! Which Python is meant? The one whose environment is active, unless somebody says otherwise.
//!
//! An environment is active when `VIRTUAL_ENV` or `CONDA_PREFIX` names it, or when its `python` is the one that a shell would
//! run: a container image often says no more than `ENV PATH=/opt/venv/bin:$PATH`. The first two were meant for us, and the wrong
//! series there is an error. Of the others one that does not fit is passed over, and remembered for the message about a module that
//! is missing.
//!
//! An embedded interpreter finds its standard library and its site-packages from the path of a `python`
//! executable, and it hands that path on as `sys.executable`, with which `multiprocessing` and `subprocess`
//! start others. So one must be chosen before the interpreter starts, and it must be of the series (3.11,
//! 3.12 ...) that this program is linked with: with another one Python would start and then not find a
//! single installed package.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::InterpreterError;

/// The series this crate was built for, such as `3.11`.
pub(crate) const SERIES: &str = env!("FUNICORN_BUILD_SERIES");

/// Where a chosen executable came from, in the words of a message.
const FROM_CONFIG: &str = "the Python that was asked for";
const FROM_VARIABLE: &str = "FUNICORN_PYTHON";
const FROM_ACTIVE: &str = "VIRTUAL_ENV";
const FROM_BESIDE: &str = "the virtual environment that this program is installed in";
const FROM_CONDA: &str = "CONDA_PREFIX";
const FROM_PATH: &str = "the first python on PATH";
const FROM_BUILD: &str = "the Python that this program was built with";

/// The environment that the choice depends on, as values so that it can be tested.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    pub(crate) funicorn_python: Option<PathBuf>,
    pub(crate) virtual_env: Option<PathBuf>,
    pub(crate) conda_prefix: Option<PathBuf>,
    pub(crate) own_executable: Option<PathBuf>,
    pub(crate) build_python: Option<PathBuf>,
    pub(crate) search_path: Vec<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_this_process() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            funicorn_python: variable("FUNICORN_PYTHON"),
            virtual_env: variable("VIRTUAL_ENV"),
            conda_prefix: variable("CONDA_PREFIX"),
            own_executable: env::current_exe().ok(),
            build_python: option_env!("FUNICORN_BUILD_PYTHON").map(PathBuf::from),
            search_path: env::var_os("PATH")
                .map(|path| env::split_paths(&path).collect())
                .unwrap_or_default(),
        }
    }

    /// Chooses: what was asked for, `FUNICORN_PYTHON`, the active virtual environment, the one that this
    /// program lies in, the active conda environment, `python` or `python3` on `PATH`, the Python of the build, `python3.X` on
    /// `PATH`.
    pub(crate) fn choose(&self, asked: Option<&Path>) -> Result<PythonChoice, InterpreterError> {
        let active = self.virtual_env.as_ref().map(|root| root.join("bin/python"));
        let named = [
            (asked.map(Path::to_path_buf), FROM_CONFIG),
            (self.funicorn_python.clone(), FROM_VARIABLE),
            (active, FROM_ACTIVE),
            (self.beside_own_executable(), FROM_BESIDE),
        ];
        for (python, origin) in named {
            if let Some(python) = python {
                let python = check(self.resolve(python), origin)?;
                return Ok(PythonChoice { python, origin, passed_over: Vec::new() });
            }
        }
        self.choose_unnamed()
    }

    /// Chooses among those that nobody has named for us.
    fn choose_unnamed(&self) -> Result<PythonChoice, InterpreterError> {
        let conda = self.conda_prefix.as_ref().map(|root| root.join("bin/python"));
        let first_on_path = ["python", "python3"].iter().find_map(|name| self.on_path(OsStr::new(name)));
        let mut passed_over = Vec::new();
        for (python, origin) in [(conda, FROM_CONDA), (first_on_path, FROM_PATH)] {
            let Some(python) = python else { continue };
            match unfit(&python) {
                None => return Ok(PythonChoice { python, origin, passed_over }),
                Some(why) => passed_over.push(format!("{} ({origin}) {why}", python.display())),
            }
        }
        let by_series = self.on_path(OsStr::new(&format!("python{SERIES}")));
        let last = [(self.build_python.clone(), FROM_BUILD), (by_series, "PATH")];
        let found =
            last.into_iter().find_map(|(python, origin)| Some((python.filter(|it| is_file(it))?, origin)));
        let (python, origin) = found.ok_or(InterpreterError::NoPython { series: SERIES })?;
        Ok(PythonChoice { python, origin, passed_over })
    }

    /// `python` next to this program, if that directory belongs to a virtual environment.
    fn beside_own_executable(&self) -> Option<PathBuf> {
        let directory = self.own_executable.as_ref()?.parent()?;
        directory.parent()?.join("pyvenv.cfg").is_file().then(|| directory.join("python"))
    }

    /// A bare name is looked up on `PATH`, and a relative path is made absolute: the process may change its
    /// directory.
    fn resolve(&self, python: PathBuf) -> PathBuf {
        if python.components().count() == 1
            && let Some(found) = self.on_path(python.as_os_str())
        {
            return found;
        }
        std::path::absolute(&python).unwrap_or(python)
    }

    fn on_path(&self, name: &OsStr) -> Option<PathBuf> {
        self.search_path.iter().map(|directory| directory.join(name)).find(|python| is_file(python))
    }
}

/// Which Python has been chosen, by what, and which were not: for the log, and for whoever misses a module.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PythonChoice {
    /// The path of the executable. Its environment is where modules are looked for.
    pub python: PathBuf,
    /// What has led to it, such as `VIRTUAL_ENV`.
    pub origin: &'static str,
    /// Those that would have come first, each with the reason against it.
    pub passed_over: Vec<String>,
}

impl std::fmt::Display for PythonChoice {
    /// `/opt/venv (VIRTUAL_ENV)`: the directory that has the packages.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = self.python.parent().and_then(Path::parent).unwrap_or(&self.python);
        write!(f, "{} ({})", root.display(), self.origin)
    }
}

/// What speaks against a Python that nobody has named for us; nothing is run to learn it.
fn unfit(python: &Path) -> Option<String> {
    if !is_file(python) {
        return Some("does not exist".to_owned());
    }
    match series_of(python) {
        Some(found) if found == SERIES => None,
        Some(found) => Some(format!("is Python {found}, and this funicorn is built for Python {SERIES}")),
        None => Some(format!("does not show that it is Python {SERIES} (a version manager's script?)")),
    }
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Refuses an executable that does not exist or that belongs to another series.
fn check(python: PathBuf, origin: &'static str) -> Result<PathBuf, InterpreterError> {
    if !is_file(&python) {
        return Err(InterpreterError::Missing { python, origin });
    }
    match series_of(&python) {
        Some(found) if found != SERIES => {
            Err(InterpreterError::WrongSeries { python, origin, found, series: SERIES })
        }
        _ => Ok(python),
    }
}

/// The series of `python`, as far as it can be told without running it: from the `pyvenv.cfg` of its
/// virtual environment, or from the name of the file that it links to (`python3.11`).
fn series_of(python: &Path) -> Option<String> {
    let root = python.parent().and_then(Path::parent)?;
    if let Ok(text) = fs::read_to_string(root.join("pyvenv.cfg")) {
        return series_in_pyvenv(&text);
    }
    let target = fs::canonicalize(python).ok()?;
    let version = target.file_name()?.to_str()?.strip_prefix("python")?;
    let (major, minor) = version.split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(major) && is_number(minor)).then(|| version.to_owned())
}

/// `version = 3.11.7` is what `venv` writes, `version_info = 3.11.7.final.0` what virtualenv and uv do.
fn series_in_pyvenv(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        if !matches!(key.trim().to_ascii_lowercase().as_str(), "version" | "version_info") {
            return None;
        }
        let mut parts = value.trim().split('.');
        Some(format!("{}.{}", parts.next()?, parts.next()?))
    })
}

#[cfg(test)]
mod tests;
