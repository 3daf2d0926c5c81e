//! What can be told of a `python` without running it? Its series, and whether its packages would work with the library that this
//! program is linked with.

use std::ffi::CStr;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::SERIES;

/// An extension module of the standard library that some builds of CPython (Debian's, uv's) have in the library itself, as they
/// have others, and the rest as files. Files of the one kind of build are not enough for a library of the other.
pub(crate) const LANDMARK: &CStr = c"math";

/// Why a `python` cannot stand for the interpreter of this process. Displayed as what follows "which".
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    Missing,
    /// A shim of pyenv or asdf, or somebody's wrapper: which interpreter it would run is known to it alone.
    Script,
    /// Neither its files nor its name say of which series it is.
    Unknown,
    Series(String),
    /// Its extension modules are inside an executable or library that is not loaded here.
    Modules,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("does not exist"),
            Self::Script => f.write_str("is a script"),
            Self::Unknown => f.write_str("is of an unknown version"),
            Self::Series(series) => write!(f, "is Python {series} where {SERIES} is needed"),
            Self::Modules => f.write_str("has standard modules built in that are missing here"),
        }
    }
}

/// Whether `python` is an interpreter of our series whose standard library is whole for a libpython that brings its extension
/// modules itself (`has_modules`) or does not.
pub(super) fn fitness(python: &Path, has_modules: bool) -> Result<(), Unfit> {
    if !is_executable(python) {
        return Err(Unfit::Missing);
    }
    if is_script(python) {
        return Err(Unfit::Script);
    }
    match series_of(python) {
        None => Err(Unfit::Unknown),
        Some(found) if found != SERIES => Err(Unfit::Series(found)),
        Some(_) if has_modules || has_module_files(python) => Ok(()),
        Some(_) => Err(Unfit::Modules),
    }
}

pub(super) fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

pub(super) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Whether the file is for an interpreter to run, and none itself.
pub(super) fn is_script(path: &Path) -> bool {
    let mut start = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

/// The series of `python`, as far as it can be told without running it: from the `pyvenv.cfg` of its
/// virtual environment, or from the name of the file that it links to (`python3.11`).
pub(super) fn series_of(python: &Path) -> Option<String> {
    if let Some(text) = pyvenv(python) {
        return series_in_pyvenv(&text);
    }
    let target = fs::canonicalize(python).ok()?;
    let version = target.file_name()?.to_str()?.strip_prefix("python")?;
    let (major, minor) = version.split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(major) && is_number(minor)).then(|| version.to_owned())
}

/// The `pyvenv.cfg` of the virtual environment of `python`.
fn pyvenv(python: &Path) -> Option<String> {
    fs::read_to_string(python.parent()?.parent()?.join("pyvenv.cfg")).ok()
}

/// `version = 3.11.7` is what `venv` writes, `version_info = 3.11.7.final.0` what virtualenv and uv do.
pub(super) fn series_in_pyvenv(text: &str) -> Option<String> {
    let version = value(text, &["version", "version_info"])?;
    let mut parts = version.split('.');
    Some(format!("{}.{}", parts.next()?, parts.next()?))
}

fn value<'a>(pyvenv: &'a str, names: &[&str]) -> Option<&'a str> {
    pyvenv.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        names.contains(&name.trim().to_ascii_lowercase().as_str()).then(|| value.trim())
    })
}

/// Whether the [`LANDMARK`] lies beside the standard library: below the directory that the executable links to, or that its
/// virtual environment was made from.
fn has_module_files(python: &Path) -> bool {
    let pyvenv = pyvenv(python);
    let home = pyvenv.as_deref().and_then(|text| value(text, &["home"])).map(PathBuf::from);
    let target = fs::canonicalize(python).ok().and_then(|target| target.parent().map(Path::to_path_buf));
    let roots = target.iter().chain(&home).filter_map(|bin| bin.parent());
    let is_landmark =
        |name: &str| name.split_once('.').is_some_and(|(stem, _)| stem.as_bytes() == LANDMARK.to_bytes());
    roots
        .flat_map(|root| {
            ["lib", "lib64"].map(|lib| root.join(lib).join(format!("python{SERIES}/lib-dynload")))
        })
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flat_map(Iterator::flatten)
        .any(|entry| entry.file_name().to_str().is_some_and(is_landmark))
}
