//! Lets what links CPython find its shared library at run time.

fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
}
