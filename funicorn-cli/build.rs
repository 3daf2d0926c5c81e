//! Lets what links CPython find its shared library at run time, and notes for `--version` how the program was built.

use std::env;
use std::process::Command;

fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
    println!("cargo:rerun-if-changed=build.rs");
    for (name, value) in
        [("RUSTC_VERSION", rustc_version()), ("PROFILE", variable("PROFILE")), ("TARGET", variable("TARGET"))]
    {
        println!("cargo:rustc-env=FUNICORN_{name}={value}");
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| "unknown".to_owned())
}

/// Such as `rustc 1.95.0`.
fn rustc_version() -> String {
    let output = Command::new(variable("RUSTC")).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let words: Vec<_> = text.split_whitespace().take(2).collect();
    if words.is_empty() { "rustc of unknown version".to_owned() } else { words.join(" ") }
}
