//! PEP 3333, "Optional Platform-Specific File Handling".

use std::path::PathBuf;
use std::sync::OnceLock;

use funicorn_http::BodyLength;

use crate::common::{App, End, app, start_python};

/// A file of the bytes 0 to 99 as two-digit numbers, and a compressed copy of it.
fn path() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        start_python();
        let path = std::env::temp_dir().join(format!("funicorn-file-wrapper-{}", std::process::id()));
        std::fs::write(&path, numbers(0, 100)).unwrap();
        path
    })
}

fn numbers(from: u32, to: u32) -> String {
    (from..to).map(|number| format!("{number:02}")).collect()
}

/// Serves what `expression` gives, with `path` and `wrap` at hand.
fn serving(headers: &str, expression: &str) -> App {
    app(&format!(
        "
        import gzip, io, os, tempfile
        path = {path:?}
        closed = 0

        class Counting(io.BytesIO):
            def close(self):
                global closed
                closed += 1
                super().close()

        class CountingFile(io.FileIO):
            def close(self):
                global closed
                closed += 1
                super().close()

        class Bare:
            def __init__(self, *blocks):
                self.blocks = list(blocks)
                self.sizes = []
            def read(self, size):
                sizes.append(size)
                return self.blocks.pop(0) if self.blocks else b''

        sizes = []

        def opened(position=0, mode='rb', buffering=-1):
            file = open(path, mode, buffering)
            file.seek(position)
            return file

        def read_a_bit(file, count):
            file.read(count)
            return file

        def gzipped():
            target = tempfile.TemporaryFile()
            with gzip.GzipFile(fileobj=target, mode='wb') as packed:
                packed.write(open(path, 'rb').read())
            target.seek(0)
            return gzip.GzipFile(fileobj=target)

        def write_only():
            return open(os.devnull, 'wb')

        def pipe():
            reading, writing = os.pipe()
            os.write(writing, b'through a pipe')
            os.close(writing)
            return open(reading, 'rb')

        def app(environ, start_response):
            wrap = environ['wsgi.file_wrapper']
            start_response('200 OK', {headers})
            return {expression}
        ",
        path = path().to_str().unwrap()
    ))
}

#[test]
fn a_plain_file_is_sent_by_the_kernel_from_where_it_stands() {
    for (expression, body) in [
        ("wrap(opened())", numbers(0, 100)),
        ("wrap(opened(), 8192)", numbers(0, 100)),
        ("wrap(opened(100))", numbers(50, 100)),
        ("wrap(opened(100, buffering=0))", numbers(50, 100)),
        ("wrap(io.FileIO(path))", numbers(0, 100)),
        ("wrap(read_a_bit(opened(), 20))", numbers(10, 100)),
        ("wrap(opened(180, 'r+b'))", numbers(90, 100)),
        ("wrap(opened(200))", String::new()),
        ("wrap(opened(300))", String::new()),
    ] {
        let record = serving("[]", expression).get("/");
        let len = body.len() as u64;
        assert_eq!(record.text(), body, "{expression}");
        assert_eq!(record.files, usize::from(len > 0), "{expression}");
        assert_eq!(
            (record.length, record.end),
            (Some(BodyLength::Known(len)), Some(End::Finished)),
            "{expression}"
        );
    }
}

#[test]
fn what_a_random_buffer_holds_back_is_flushed_first() {
    let app = serving(
        "[]",
        "wrap((lambda file: (file.write(b'unflushed'), file.seek(2), file)[-1])(tempfile.TemporaryFile()))",
    );
    let record = app.get("/");
    assert_eq!((record.text().as_str(), record.files), ("flushed", 1));
}

#[test]
fn anything_else_is_read() {
    for (expression, body) in [
        ("wrap(io.BytesIO(b'in memory'))", "in memory".to_owned()),
        ("wrap(gzipped())", numbers(0, 100)),
        ("wrap(io.BufferedReader(gzipped()))", numbers(0, 100)),
        ("wrap(CountingFile(path))", numbers(0, 100)),
        ("wrap(io.BufferedReader(CountingFile(path)))", numbers(0, 100)),
        ("wrap(pipe())", "through a pipe".to_owned()),
        ("wrap(Bare(b'a', b'b'))", "ab".to_owned()),
        // A file of the kernel's: its size is 0, and it is not empty.
        ("wrap(open('/proc/self/comm', 'rb'))", std::fs::read_to_string("/proc/self/comm").unwrap()),
    ] {
        let record = serving("[]", expression).get("/");
        assert_eq!((record.text(), record.files, record.end), (body, 0, Some(End::Finished)), "{expression}");
    }
}

#[test]
fn the_block_size_is_what_read_is_asked_for() {
    for (arguments, size) in [("7", "7"), ("None", "65536"), ("0", "65536"), ("-1", "65536")] {
        let app = serving("[]", &format!("wrap(Bare(b'a'), {arguments})"));
        assert_eq!(app.get("/").text(), "a");
        assert_eq!(app.global("sizes"), format!("[{size}, {size}]"));
    }
}

#[test]
fn content_length_bounds_what_is_sent() {
    let record = serving("[('Content-Length', '10')]", "wrap(opened(2))").get("/");
    assert_eq!((record.text(), record.files, record.end), (numbers(1, 6), 1, Some(End::Finished)));
    let record = serving("[('Content-Length', '1000')]", "wrap(opened())").get("/");
    assert_eq!((record.text(), record.end), (numbers(0, 100), Some(End::TooShort)));
    let record = serving("[('Content-Length', '0')]", "wrap(opened())").get("/");
    assert_eq!((record.text().as_str(), record.end), ("", Some(End::Finished)));
}

#[test]
fn it_follows_what_write_has_sent() {
    let app = app(&format!(
        "
        def app(environ, start_response):
            write = start_response('200 OK', [])
            write(b'first ')
            return environ['wsgi.file_wrapper'](open({:?}, 'rb'))
        ",
        path().to_str().unwrap()
    ));
    let record = app.get("/");
    assert_eq!(record.text(), format!("first {}", numbers(0, 100)));
    assert_eq!((record.length, record.files), (Some(BodyLength::Unknown), 1));
}

#[test]
fn middleware_may_iterate_over_it() {
    let record = serving("[]", "(block.upper() for block in wrap(Bare(b'a', b'b')))").get("/");
    assert_eq!(record.text(), "AB");
    let record = serving("[]", "iter(wrap(opened(), 50))").get("/");
    // `iter` gives the wrapper itself, so that this is still the kernel's.
    assert_eq!((record.text(), record.files), (numbers(0, 100), 1));
}

#[test]
fn close_is_forwarded_once() {
    for (expression, files) in
        [("wrap(Counting(b'x'))", 0), ("wrap(io.BufferedReader(CountingFile(path)))", 0)]
    {
        let app = serving("[]", expression);
        let record = app.get("/");
        assert_eq!((record.end, record.files), (Some(End::Finished), files), "{expression}");
        assert_eq!(app.global("closed"), "1", "{expression}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_500() {
    for expression in
        ["wrap(write_only())", "wrap((lambda file: (file.close(), file)[-1])(opened()))", "wrap(5)"]
    {
        assert_eq!(serving("[]", expression).get("/").status(), 500, "{expression}");
    }
}
