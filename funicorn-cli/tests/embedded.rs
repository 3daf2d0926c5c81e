//! A [`Funicorn`] in the calling process: no fork, no signal handlers, stopped from another thread.
//!
//! Python wants the process's main thread, which the test harness keeps for itself; so this test brings its own `main`.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::TcpStream;

use funicorn_cli::{Config, Funicorn, ServeError};
use funicorn_http::Address;

const APPLICATION: &str = "
import atexit, os, pathlib, signal
goodbye = pathlib.Path(__file__).with_name('goodbye')
atexit.register(lambda: goodbye.write_text('goodbye'))

def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [f'pid {os.getpid()}, {environ[\"wsgi.multiprocess\"]}, {signal.getsignal(signal.SIGTERM)!r}'.encode()]
";

fn main() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("embedded.py"), APPLICATION).unwrap();
    let mut config = Config::new("embedded".parse().unwrap());
    config.bind = vec!["127.0.0.1:0".parse().unwrap()];
    config.pythonpath = vec![dir.path().to_owned()];

    let funicorn = Funicorn::new(config).unwrap();
    let answer = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let answer = get(&funicorn.addresses()[0]);
            funicorn.stop();
            answer
        });
        funicorn.run().unwrap();
        client.join().unwrap()
    });

    let expected = format!("pid {}, False, <Handlers.SIG_DFL: 0>", std::process::id());
    assert!(answer.ends_with(&expected), "{answer}");
    assert_eq!(std::fs::read_to_string(dir.path().join("goodbye")).unwrap(), "goodbye");
    assert!(matches!(funicorn.run(), Err(ServeError::RanBefore)));
}

fn get(address: &Address) -> String {
    let Address::Tcp(addr) = address else { panic!("{address}") };
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
