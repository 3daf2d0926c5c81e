//! A Rust function served by funicorn-net: no Python is linked.
//!
//! `cargo run --release -p funicorn-net --example hello -- 127.0.0.1:8000`, then `curl http://127.0.0.1:8000/`.

use std::sync::Arc;

use funicorn_http::{BodyLength, Request, ResponseHead, ResponseWriter, SendError, Service};
use funicorn_net::{BACKLOG, Control, Listener, Signals, Worker, WorkerConfig};

struct Hello;

impl Service for Hello {
    fn call(&self, _request: Request, response: ResponseWriter) {
        if let Err(error) = answer(response) {
            eprintln!("the response was not sent: {error}");
        }
    }
}

fn answer(mut response: ResponseWriter) -> Result<(), SendError> {
    const TEXT: &[u8] = b"Hello, World!";
    let mut head = ResponseHead::new(200, b"OK").map_err(|_| SendError::Order)?;
    head.append(b"Content-Type", b"text/plain").map_err(|_| SendError::Order)?;
    response.start(head, BodyLength::Known(TEXT.len() as u64))?;
    response.send(TEXT)?;
    response.finish()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    let listeners = Listener::bind(&address.parse()?, BACKLOG)?;
    println!("{}", listeners[0].local());
    let control = Control::new(Some(Signals::install(false)?))?;
    Worker::new(listeners, Arc::new(Hello), WorkerConfig::default(), control, None)?.run()?;
    Ok(())
}
