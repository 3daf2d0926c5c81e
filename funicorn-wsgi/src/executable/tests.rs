//! Which Python is found in which surroundings.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::installation::series_in_pyvenv;
use super::*;

/// A directory that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("funicorn-wsgi-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// An executable at `path` that begins with `bytes`.
    fn executable(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A virtual environment called `name` whose `pyvenv.cfg` says `line`; its root.
    fn environment(&self, name: &str, line: &str) -> PathBuf {
        self.executable(&format!("{name}/bin/python"), b"\x7fELF");
        let root = self.0.join(name);
        fs::write(root.join("pyvenv.cfg"), format!("home = /usr/bin\n{line}\n")).unwrap();
        root
    }

    /// An installation of `series` called `name`, with its modules as files; its root.
    fn installation(&self, name: &str, series: &str) -> PathBuf {
        self.executable(&format!("{name}/bin/python{series}"), b"\x7fELF");
        self.executable(&format!("{name}/lib/python{series}/lib-dynload/math.cpython-linux.so"), b"");
        let root = self.0.join(name);
        symlink(format!("python{series}"), root.join("bin/python")).unwrap();
        root
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn chosen(surroundings: &Surroundings) -> PathBuf {
    surroundings.choose(None).unwrap().executable
}

#[test]
fn the_order_is_asked_variable_active_beside_conda_path_build() {
    let scratch = Scratch::new("order");
    let environment = |name: &str| scratch.environment(name, &format!("version = {SERIES}.1"));
    let python = |name: &str| environment(name).join("bin/python");
    let bare = scratch.executable(&format!("bare/python{SERIES}"), b"\x7fELF");
    let mut surroundings = Surroundings {
        funicorn_python: Some(python("variable")),
        virtual_env: Some(environment("active")),
        own_executable: Some(environment("beside").join("bin/funicorn")),
        conda_prefix: Some(scratch.installation("conda", SERIES)),
        build_python: Some(python("build")),
        search_path: vec![scratch.installation("path", SERIES).join("bin")],
        directory: None,
        has_modules: false,
    };
    let asked = surroundings.choose(Some(&python("asked"))).unwrap();
    assert_eq!(asked.executable, python("asked"));
    assert_eq!(chosen(&surroundings), python("variable"));
    surroundings.funicorn_python = None;
    assert_eq!(chosen(&surroundings), python("active"));
    surroundings.virtual_env = None;
    assert_eq!(chosen(&surroundings), python("beside"));
    surroundings.own_executable = Some(PathBuf::from("/usr/bin/funicorn"));
    assert_eq!(surroundings.choose(None).unwrap().origin, FROM_CONDA);
    surroundings.conda_prefix = None;
    let on_path = surroundings.choose(None).unwrap();
    assert_eq!(on_path.to_string(), format!("{} (the python on PATH)", scratch.0.join("path").display()));
    surroundings.search_path = vec![bare.parent().unwrap().to_owned()];
    assert_eq!(chosen(&surroundings), python("build"));
    surroundings.build_python = Some(PathBuf::from("/nowhere/python"));
    assert_eq!(chosen(&surroundings), bare);
    surroundings.search_path.clear();
    assert!(matches!(surroundings.choose(None), Err(InterpreterError::NoPython { .. })));
}

/// A virtual environment on `PATH`, as containers have it, is one of the same installation as any.
#[test]
fn a_virtual_environment_on_the_path_is_used() {
    let scratch = Scratch::new("container");
    let base = scratch.installation("base", SERIES);
    let root = scratch.environment("venv", &format!("version = {SERIES}.2"));
    fs::remove_file(root.join("bin/python")).unwrap();
    symlink(base.join("bin/python"), root.join("bin/python")).unwrap();
    let search_path = vec![root.join("bin"), base.join("bin")];
    let surroundings = Surroundings { search_path, ..Surroundings::default() };
    assert_eq!(chosen(&surroundings), root.join("bin/python"), "the link is not followed");
}

#[test]
fn what_does_not_fit_is_passed_over_and_named() {
    let scratch = Scratch::new("passed-over");
    let build_python = Some(scratch.installation("build", SERIES).join("bin/python"));
    let shim = scratch.executable("shims/python", b"#!/usr/bin/env bash\nexec pyenv exec python\n");
    scratch.executable("data/python", b"\x7fELF");
    let whole = scratch.installation("whole", SERIES).join("bin/python");
    let without_files = scratch.installation("debian", SERIES);
    fs::remove_dir_all(without_files.join("lib")).unwrap();
    for (python, words) in [
        (
            scratch.installation("other", "3.2").join("bin/python"),
            "other/bin/python (the python on PATH, which is Python 3.2 where",
        ),
        (shim.clone(), "shims/python (the python on PATH, which is a script)"),
        (scratch.0.join("data/python"), "(the python on PATH, which is of an unknown version)"),
        (without_files.join("bin/python"), "which has standard modules built in that are missing here)"),
    ] {
        let search_path = vec![python.parent().unwrap().to_owned()];
        let surroundings =
            Surroundings { search_path, build_python: build_python.clone(), ..Surroundings::default() };
        let choice = surroundings.choose(None).unwrap();
        assert_eq!((Some(&choice.executable), choice.origin), (build_python.as_ref(), FROM_BUILD));
        let others = surroundings.others(&choice.executable);
        assert!(others.len() == 1 && others[0].contains(words), "{others:?}");
    }
    // Without execute permission a shell goes on looking.
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o644)).unwrap();
    let search_path = [&shim, &whole].map(|python| python.parent().unwrap().to_owned()).to_vec();
    assert_eq!(chosen(&Surroundings { search_path, ..Surroundings::default() }), whole);
}

#[test]
fn a_library_that_brings_its_modules_needs_no_files() {
    let scratch = Scratch::new("modules");
    let root = scratch.installation("debian", SERIES);
    fs::remove_dir_all(root.join("lib")).unwrap();
    let search_path = vec![root.join("bin")];
    let surroundings = Surroundings { search_path, has_modules: true, ..Surroundings::default() };
    assert_eq!(chosen(&surroundings), root.join("bin/python"));
}

#[test]
fn the_environments_that_were_not_looked_at_are_named_once_each() {
    let scratch = Scratch::new("others");
    let used = scratch.environment("used", "version = 3.2");
    let conda = scratch.installation("conda", SERIES);
    let surroundings = Surroundings {
        virtual_env: Some(used.clone()),
        conda_prefix: Some(conda.clone()),
        search_path: vec![used.join("bin"), conda.join("bin")],
        build_python: Some(conda.join(format!("bin/python{SERIES}"))),
        ..Surroundings::default()
    };
    let others = surroundings.others(&used.join("bin/python"));
    assert!(others.len() == 1 && others[0].ends_with("(CONDA_PREFIX)"), "{others:?}");
}

#[test]
fn a_virtual_environment_that_nobody_has_activated_is_named_and_not_used() {
    let scratch = Scratch::new("here");
    let forgotten = scratch.environment(".venv", &format!("version = {SERIES}.1")).join("bin/python");
    let build_python = Some(scratch.installation("build", SERIES).join("bin/python"));
    let directory = Some(scratch.0.clone());
    let surroundings =
        Surroundings { directory, build_python: build_python.clone(), ..Surroundings::default() };
    let choice = surroundings.choose(None).unwrap();
    assert_eq!(Some(&choice.executable), build_python.as_ref());
    let others = surroundings.others(&choice.executable);
    assert!(others[0].starts_with(&format!("{} (not active", forgotten.display())), "{others:?}");
}

#[test]
fn the_hint_says_what_is_wrong_with_the_environment_that_is_used() {
    let scratch = Scratch::new("hint");
    let root = scratch.installation("debian", SERIES);
    let python = root.join("bin/python");
    let surroundings = Surroundings::default();
    assert_eq!(surroundings.hint(&python), "");
    fs::remove_dir_all(root.join("lib")).unwrap();
    assert!(
        surroundings.hint(&python).ends_with("which has standard modules built in that are missing here")
    );
    let surroundings = Surroundings { build_python: Some(python), ..Surroundings::default() };
    let hint = surroundings.hint(Path::new("/nowhere/bin/python"));
    assert!(
        hint.starts_with("\nPython's environment is that of /nowhere/bin/python; not looked at: /"),
        "{hint}"
    );
}

#[test]
fn an_environment_of_another_series_is_refused_with_advice() {
    let scratch = Scratch::new("series");
    let virtual_env = Some(scratch.environment("old", "version_info = 3.2.1.final.0"));
    let error = Surroundings { virtual_env, ..Surroundings::default() }.choose(None).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("Python 3.2") && text.contains(SERIES) && text.contains("VIRTUAL_ENV"), "{text}");
}

#[test]
fn an_executable_that_is_not_there_is_refused() {
    let error = Surroundings::default().choose(Some(Path::new("/nowhere/python"))).unwrap_err();
    assert!(matches!(error, InterpreterError::Missing { .. }), "{error}");
}

#[test]
fn the_series_is_read_from_what_venv_virtualenv_and_uv_write() {
    assert_eq!(series_in_pyvenv("home = /x\nversion = 3.11.7\n").as_deref(), Some("3.11"));
    assert_eq!(series_in_pyvenv("version_info = 3.9.18.final.0").as_deref(), Some("3.9"));
    assert_eq!(series_in_pyvenv("home = /x").as_deref(), None);
}
