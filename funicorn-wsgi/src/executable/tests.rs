//! Which Python is found in which surroundings.

use std::fs;
use std::path::{Path, PathBuf};

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

    /// A virtual environment called `name` whose `pyvenv.cfg` says `line`; its root.
    fn environment(&self, name: &str, line: &str) -> PathBuf {
        let root = self.0.join(name);
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::write(root.join("pyvenv.cfg"), format!("home = /usr/bin\n{line}\n")).unwrap();
        fs::write(root.join("bin/python"), "").unwrap();
        root
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The path of the executable that is chosen.
fn chosen(surroundings: &Surroundings, asked: Option<&Path>) -> PathBuf {
    surroundings.choose(asked).unwrap().python
}

#[test]
fn the_order_is_asked_variable_active_beside_conda_path_build_series() {
    let scratch = Scratch::new("order");
    let environment = |name: &str| scratch.environment(name, &format!("version = {SERIES}.1"));
    let python = |name: &str| environment(name).join("bin/python");
    let by_series = scratch.0.join("path");
    fs::create_dir_all(&by_series).unwrap();
    fs::write(by_series.join(format!("python{SERIES}")), "").unwrap();
    let mut surroundings = Surroundings {
        funicorn_python: Some(python("variable")),
        virtual_env: Some(environment("active")),
        own_executable: Some(environment("beside").join("bin/funicorn")),
        conda_prefix: Some(environment("conda")),
        build_python: Some(python("build")),
        search_path: vec![
            by_series.clone(),
            environment("first").join("bin"),
            environment("second").join("bin"),
        ],
    };
    assert_eq!(chosen(&surroundings, Some(&python("asked"))), python("asked"));
    assert_eq!(chosen(&surroundings, None), python("variable"));
    surroundings.funicorn_python = None;
    assert_eq!(chosen(&surroundings, None), python("active"));
    surroundings.virtual_env = None;
    assert_eq!(chosen(&surroundings, None), python("beside"));
    surroundings.own_executable = Some(PathBuf::from("/usr/bin/funicorn"));
    assert_eq!(chosen(&surroundings, None), python("conda"));
    surroundings.conda_prefix = None;
    assert_eq!(chosen(&surroundings, None), python("first"));
    surroundings.search_path.truncate(1);
    assert_eq!(chosen(&surroundings, None), python("build"));
    surroundings.build_python = Some(PathBuf::from("/nowhere/python"));
    assert_eq!(chosen(&surroundings, None), by_series.join(format!("python{SERIES}")));
    surroundings.search_path.clear();
    assert!(matches!(surroundings.choose(None), Err(InterpreterError::NoPython { .. })));
}

#[test]
fn a_python_on_path_that_does_not_fit_is_passed_over_with_its_reason() {
    let scratch = Scratch::new("passed");
    let other = scratch.environment("other", "version = 3.2.1").join("bin");
    let script = scratch.0.join("shims");
    fs::create_dir_all(&script).unwrap();
    fs::write(script.join("python"), "#!/bin/sh\n").unwrap();
    let build = scratch.environment("build", &format!("version = {SERIES}.1")).join("bin/python");
    for (search_path, reason) in [(other, "is Python 3.2"), (script, "a version manager's script?")] {
        let surroundings = Surroundings {
            search_path: vec![search_path, build.parent().unwrap().to_owned()],
            build_python: Some(build.clone()),
            ..Surroundings::default()
        };
        let choice = surroundings.choose(None).unwrap();
        assert_eq!((choice.python.as_path(), choice.origin), (build.as_path(), FROM_BUILD));
        assert!(choice.passed_over[0].contains(reason), "{:?}", choice.passed_over);
    }
}

#[test]
fn a_conda_environment_of_another_series_is_passed_over_too() {
    let scratch = Scratch::new("conda");
    let build = scratch.environment("build", &format!("version = {SERIES}.1")).join("bin/python");
    let surroundings = Surroundings {
        conda_prefix: Some(scratch.environment("base", "version = 3.2.1")),
        build_python: Some(build.clone()),
        ..Surroundings::default()
    };
    let choice = surroundings.choose(None).unwrap();
    assert_eq!(choice.python, build);
    assert!(choice.passed_over[0].contains("CONDA_PREFIX"), "{:?}", choice.passed_over);
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
