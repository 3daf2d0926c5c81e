//! An application that does what the path of a request says, attached to the interpreter of the model.

use bytes::Bytes;
use funicorn_http::{BodyLength, Request, ResponseHead, ResponseWriter, SendError, Service};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

use super::interpreter::INTERPRETER;

shuttle::lazy_static! {
    /// What some calls wait for.
    pub(crate) static ref GATE: Gate = Gate::default();
}

#[derive(Default)]
pub(crate) struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn is_open(&self) -> bool {
        *self.is_open.lock().unwrap()
    }

    fn wait(&self) {
        let mut is_open = self.is_open.lock().unwrap();
        while !*is_open {
            is_open = self.opened.wait(is_open).unwrap();
        }
    }
}

/// See the module.
pub(crate) struct Scripted;

impl Service for Scripted {
    fn call(&self, request: Request, response: ResponseWriter) {
        assert!(INTERPRETER.is_held_by_us(), "calls are made attached");
        let path = request.head.path().escape_ascii().to_string();
        // The client may have gone; the scenarios that care look at the connection.
        let _ = match path.as_str() {
            "/stream" => stream(response),
            "/large" => large(response),
            _ => {
                work(&path);
                answer(response, &path)
            }
        };
    }

    fn thread(&self, body: &mut dyn FnMut()) {
        INTERPRETER.attach();
        body();
        INTERPRETER.detach();
    }

    fn blocking(&self, wait: &mut dyn FnMut()) {
        INTERPRETER.let_go(wait);
    }
}

fn work(path: &str) {
    match path {
        // A call that waits, as for a database.
        "/gate" => INTERPRETER.let_go(&mut || GATE.wait()),
        // One that never lets go of the interpreter.
        "/hold" => {
            while !GATE.is_open() {
                thread::yield_now();
            }
        }
        "/sleep" => INTERPRETER.let_go(&mut || (0..3).for_each(|_| thread::yield_now())),
        _ => {}
    }
}

fn answer(mut response: ResponseWriter, path: &str) -> Result<(), SendError> {
    let text = format!("ok {path}\n");
    response.start(ResponseHead::new(200, b"OK").unwrap(), BodyLength::Known(text.len() as u64))?;
    response.send_last(text.as_bytes(), &mut |taken| Bytes::copy_from_slice(&text.as_bytes()[taken..]))?;
    response.finish()
}

fn stream(mut response: ResponseWriter) -> Result<(), SendError> {
    response.start(ResponseHead::new(200, b"OK").unwrap(), BodyLength::Unknown)?;
    response.send(b"one")?;
    response.send(b"two")?;
    INTERPRETER.let_go(&mut || GATE.wait());
    response.send(b"three")?;
    response.finish()
}

/// What `/large` sends.
pub(crate) const BLOCKS: [&str; 5] = ["a", "b", "c", "d", "e"];
pub(crate) const BLOCK: usize = 200;

fn large(mut response: ResponseWriter) -> Result<(), SendError> {
    let len = (BLOCKS.len() * BLOCK) as u64;
    response.start(ResponseHead::new(200, b"OK").unwrap(), BodyLength::Known(len))?;
    for block in BLOCKS {
        response.send(block.repeat(BLOCK).as_bytes())?;
    }
    response.finish()
}
