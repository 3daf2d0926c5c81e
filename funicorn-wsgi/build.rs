//! Lets what links CPython find its shared library at run time, and remembers which CPython this is built for.

use std::process::Command;

fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
    println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
    let python = pyo3_build_config::get();
    println!("cargo:rustc-env=FUNICORN_BUILD_SERIES={}.{}", python.version().major, python.version().minor);
    if let Some(executable) = python.executable() {
        println!("cargo:rustc-env=FUNICORN_BUILD_PYTHON={executable}");
        if let Some(version) = full_version(executable) {
            println!("cargo:rustc-env=FUNICORN_BUILD_VERSION={version}");
        }
    }
}

/// `3.11.7`, where the configuration of the build knows `3.11` only.
fn full_version(executable: &str) -> Option<String> {
    let program = "import platform; print(platform.python_version())";
    let output = Command::new(executable).args(["-I", "-c", program]).output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !version.is_empty()).then_some(version)
}
