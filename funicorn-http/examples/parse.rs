//! A request parsed from standard input and printed: the entities alone.
//!
//! `printf 'GET /a?b HTTP/1.1\r\nHost: c\r\n\r\n' | cargo run -p funicorn-http --example parse`
//!
//! What no server should take is refused, with the status that a client would see and an exit code of 1.

use std::io::{Read, stdin};
use std::process::ExitCode;
use std::sync::Arc;

use funicorn_http::{Event, Limits, RequestHead, Session};

fn main() -> ExitCode {
    let mut bytes = Vec::new();
    if let Err(error) = stdin().read_to_end(&mut bytes) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let mut session = Session::new(Arc::new(Limits::default()));
    let mut input = &bytes[..];
    loop {
        match session.receive(&mut input) {
            Ok(Event::Head(received)) => print_head(&received.head),
            Ok(Event::Data(bytes)) => println!("{}", bytes.escape_ascii()),
            Ok(Event::End) => return ExitCode::SUCCESS,
            Ok(Event::Incomplete) => {
                println!("the request is not complete");
                return ExitCode::FAILURE;
            }
            Err(refusal) => {
                let (code, reason) = refusal.status();
                println!("{code} {reason}: {refusal}");
                return ExitCode::FAILURE;
            }
        }
    }
}

fn print_head(head: &RequestHead) {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    println!("method {}\npath {}\nquery {}", text(head.method()), text(head.path()), text(head.query()));
    println!("version {}", head.version().as_str());
    for (name, value) in head.headers() {
        println!("header {}: {}", text(name), text(value));
    }
}
