//! The `funicorn` command. What it does is in the library, from [`funicorn_cli::main`] on.

use std::process::ExitCode;

fn main() -> ExitCode {
    funicorn_cli::main(std::env::args_os().collect())
}
