//! Which Python is meant? That of the active environment, unless somebody says otherwise.
//!
//! An embedded interpreter finds its standard library and its site-packages from the path of a `python`
//! executable, and it hands that path on as `sys.executable`, with which `multiprocessing` and `subprocess`
//! start others. So one must be chosen before the interpreter starts, and it must be of the series (3.11,
//! 3.12 ...) that this program is linked with: with another one Python would start and then not find a
//! single installed package.
//!
//! What was named for this program, or is made for it, must fit, or there is no start. What may be there for
//! other programs (a conda environment, the `python` on `PATH`) is passed over when it does not fit. Nothing
//! is run to find out.

mod installation;

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::InterpreterError;
use installation::{Unfit, is_file, series_of};

/// The series this crate was built for, such as `3.11`.
pub(crate) const SERIES: &str = env!("FUNICORN_BUILD_SERIES");

/// Where a chosen executable came from, in the words of a message.
const FROM_CONFIG: &str = "the Python that was asked for";
const FROM_VARIABLE: &str = "FUNICORN_PYTHON";
const FROM_ACTIVE: &str = "VIRTUAL_ENV";
const FROM_BESIDE: &str = "the virtual environment that this program is installed in";
const FROM_CONDA: &str = "CONDA_PREFIX";
const FROM_PATH: &str = "the python on PATH";
const FROM_BUILD: &str = "the Python of the build";
const FROM_HERE: &str = "not active";

/// The `python` whose environment an interpreter has, and what chose it. Displayed as the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PythonChoice {
    /// The executable, as an absolute path.
    pub executable: PathBuf,
    /// What chose it, in the words of a message: `VIRTUAL_ENV`, `the python on PATH`.
    pub origin: &'static str,
}

impl fmt::Display for PythonChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = self.executable.parent().and_then(Path::parent).unwrap_or(&self.executable);
        write!(f, "{} ({})", root.display(), self.origin)
    }
}

/// The environment that the choice depends on, as values so that it can be tested.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    pub(crate) funicorn_python: Option<PathBuf>,
    pub(crate) virtual_env: Option<PathBuf>,
    pub(crate) own_executable: Option<PathBuf>,
    pub(crate) conda_prefix: Option<PathBuf>,
    pub(crate) build_python: Option<PathBuf>,
    pub(crate) search_path: Vec<PathBuf>,
    /// Where a virtual environment may lie that somebody has forgotten to activate.
    pub(crate) directory: Option<PathBuf>,
    /// Whether the library that this program is linked with brings its extension modules itself.
    pub(crate) has_modules: bool,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_this_process() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // The base environment is active in every shell of many users; its python is on PATH, where another
        // one that stands before it is meant.
        let is_base = env::var_os("CONDA_DEFAULT_ENV").is_some_and(|name| name == "base");
        Self {
            funicorn_python: variable("FUNICORN_PYTHON"),
            virtual_env: variable("VIRTUAL_ENV"),
            own_executable: env::current_exe().ok(),
            conda_prefix: variable("CONDA_PREFIX").filter(|_| !is_base),
            build_python: option_env!("FUNICORN_BUILD_PYTHON").map(PathBuf::from),
            search_path: env::var_os("PATH")
                .map(|path| env::split_paths(&path).collect())
                .unwrap_or_default(),
            directory: env::current_dir().ok(),
            has_modules: crate::interpreter::is_built_in(installation::LANDMARK),
        }
    }

    /// Chooses: what was asked for, `FUNICORN_PYTHON`, the active virtual environment, the one that this
    /// program lies in; then what fits of the active conda environment and of `python` and `python3` on
    /// `PATH`; then the Python of the build, `python3.X` on `PATH`.
    pub(crate) fn choose(&self, asked: Option<&Path>) -> Result<PythonChoice, InterpreterError> {
        let named = [
            (asked.map(Path::to_path_buf), FROM_CONFIG),
            (self.funicorn_python.clone(), FROM_VARIABLE),
            (self.active(), FROM_ACTIVE),
            (self.beside_own_executable(), FROM_BESIDE),
        ];
        for (python, origin) in named {
            if let Some(python) = python {
                let executable = check(self.resolve(python), origin)?;
                return Ok(PythonChoice { executable, origin });
            }
        }
        let around = self.around().find(|choice| self.fitness(&choice.executable).is_ok());
        around.or_else(|| self.fallback()).ok_or(InterpreterError::NoPython { series: SERIES })
    }

    /// What to add when a module is missing in the environment of `used`: the others in which somebody could
    /// have expected it, and what is wrong with each. Empty, or a line with the break before it.
    pub(crate) fn hint(&self, used: &Path) -> String {
        let others = self.others(used);
        let is_partial = self.fitness(used) == Err(Unfit::Modules);
        if others.is_empty() && !is_partial {
            return String::new();
        }
        let reason = if is_partial { format!(", which {}", Unfit::Modules) } else { String::new() };
        let others = match others.as_slice() {
            [] => String::new(),
            others => format!("; not looked at: {} (FUNICORN_PYTHON names another)", others.join(", ")),
        };
        format!("\nPython's environment is that of {}{reason}{others}", used.display())
    }

    /// The environments other than that of `used`, each in words, with the reason if there is one why it
    /// would not do.
    fn others(&self, used: &Path) -> Vec<String> {
        let named = [(self.active(), FROM_ACTIVE), (self.beside_own_executable(), FROM_BESIDE)];
        let named = named.into_iter().filter_map(|(python, origin)| Some((self.resolve(python?), origin)));
        let named = named.map(|(executable, origin)| PythonChoice { executable, origin });
        let build = self.build_python.iter().map(|python| choice(python.clone(), FROM_BUILD));
        let here = self.directory.iter().flat_map(|here| [".venv", "venv"].map(|name| here.join(name)));
        let here = here.filter(|root| root.join("pyvenv.cfg").is_file());
        let here = here.map(|root| choice(root.join("bin/python"), FROM_HERE));
        let directory = |python: &Path| python.parent().map(|parent| fs::canonicalize(parent).ok());
        let mut seen = vec![directory(used)];
        let mut others = Vec::new();
        for other in named.chain(self.around()).chain(here).chain(build) {
            let place = directory(&other.executable);
            if is_file(&other.executable) && !seen.contains(&place) {
                let reason = self.fitness(&other.executable).err().map(|unfit| format!(", which {unfit}"));
                let (python, origin) = (other.executable.display(), other.origin);
                others.push(format!("{python} ({origin}{})", reason.unwrap_or_default()));
                seen.push(place);
            }
        }
        others
    }

    /// What is there for whatever runs here.
    fn around(&self) -> impl Iterator<Item = PythonChoice> {
        let conda = self.conda_prefix.iter().map(|root| choice(root.join("bin/python"), FROM_CONDA));
        let on_path = ["python", "python3"].into_iter().filter_map(|name| self.on_path(OsStr::new(name)));
        conda.chain(on_path.map(|python| choice(python, FROM_PATH)))
    }

    /// What is left when nobody has said or prepared anything.
    fn fallback(&self) -> Option<PythonChoice> {
        let build = self.build_python.clone().filter(|python| is_file(python));
        if let Some(python) = build {
            return Some(choice(python, FROM_BUILD));
        }
        let python = self.on_path(OsStr::new(&format!("python{SERIES}")))?;
        (!installation::is_script(&python)).then(|| choice(python, FROM_PATH))
    }

    fn fitness(&self, python: &Path) -> Result<(), Unfit> {
        installation::fitness(python, self.has_modules)
    }

    fn active(&self) -> Option<PathBuf> {
        self.virtual_env.as_ref().map(|root| root.join("bin/python"))
    }

    /// `python` next to this program, if that directory belongs to a virtual environment.
    fn beside_own_executable(&self) -> Option<PathBuf> {
        let directory = self.own_executable.as_ref()?.parent()?;
        directory.parent()?.join("pyvenv.cfg").is_file().then(|| directory.join("python"))
    }

    /// A bare name is looked up on `PATH`, and a relative path is made absolute.
    fn resolve(&self, python: PathBuf) -> PathBuf {
        if python.components().count() == 1
            && let Some(found) = self.on_path(python.as_os_str())
        {
            return found;
        }
        absolute(python)
    }

    /// What a shell would run by this name.
    fn on_path(&self, name: &OsStr) -> Option<PathBuf> {
        let found = self.search_path.iter().map(|directory| directory.join(name));
        found.filter(|python| installation::is_executable(python)).map(absolute).next()
    }
}

fn choice(python: PathBuf, origin: &'static str) -> PythonChoice {
    PythonChoice { executable: absolute(python), origin }
}

/// The process may change its directory.
fn absolute(python: PathBuf) -> PathBuf {
    std::path::absolute(&python).unwrap_or(python)
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

#[cfg(test)]
mod tests;
