//! Writes the streams of `funicorn-http/tests/wire` and `wire-proxy` to `fuzz/corpus`, from where the fuzz targets start.

#[path = "../../funicorn-http/tests/corpus/mod.rs"]
mod corpus;

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for target in ["head", "chunked", "session", "proxy"] {
        fs::create_dir_all(here.join("corpus").join(target))?;
    }
    for case in corpus::corpus(&here.join("../funicorn-http/tests/wire")) {
        let write =
            |target: &str, bytes: &[u8]| fs::write(here.join("corpus").join(target).join(&case.name), bytes);
        write("session", &case.stream)?;
        let end = case
            .stream
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .map_or(case.stream.len(), |at| at + 4);
        let (head, body) = case.stream.split_at(end);
        write("head", head)?;
        if case.name.starts_with("chunked") {
            write("chunked", body)?;
        }
    }
    for case in corpus::corpus(&here.join("../funicorn-http/tests/wire-proxy")) {
        fs::write(here.join("corpus/proxy").join(&case.name), &case.stream)?;
    }
    Ok(())
}
