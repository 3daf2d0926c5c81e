//! Which Funicorn, which Python, built how? What a bug report should begin with.

use funicorn_wsgi::python_versions;

/// Funicorn's own version.
#[must_use]
pub fn short() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// All of them, over several lines; with a warning when another CPython was loaded than the one it was built for.
#[must_use]
pub fn long() -> String {
    let (built, running) = python_versions();
    let mut text = format!(
        "{}\nCPython {running} (built for {built})\nbuilt by {} for {}, {} profile",
        short(),
        env!("FUNICORN_RUSTC_VERSION"),
        env!("FUNICORN_TARGET"),
        env!("FUNICORN_PROFILE"),
    );
    if let Some(warning) = mismatch() {
        text.push_str("\nwarning: ");
        text.push_str(&warning);
    }
    text
}

/// A sentence for the operator when the loader has found another CPython than the one this program was built for.
#[must_use]
pub fn mismatch() -> Option<String> {
    let (built, running) = python_versions();
    (built != running).then(|| {
        format!(
            "built for CPython {built}, but the loader found libpython of {running}; \
             unset LD_LIBRARY_PATH, or build again with PYO3_PYTHON set to the Python to use"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_run_with_the_python_they_were_built_for() {
        assert_eq!(mismatch(), None);
        assert!(long().starts_with(short()), "{}", long());
    }
}
