//! A WSGI server whose network is two byte vectors; the session and the adapter do not notice.
//!
//! `printf 'GET /there HTTP/1.1\r\nHost: a\r\n\r\n' | cargo run -p funicorn-wsgi --example in_memory -- hello:app`

mod network;

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};
use std::sync::Arc;

use funicorn_wsgi::{Interpreter, InterpreterConfig, PoolConfig, ThreadPool, WsgiConfig, WsgiService};

fn main() -> Result<(), Box<dyn Error>> {
    let application = std::env::args().nth(1).ok_or("usage: in_memory MODULE[:APP]")?.parse()?;
    let interpreter = Interpreter::start(&InterpreterConfig::default())?;
    let service = Arc::new(WsgiService::load(&application, WsgiConfig::default())?);
    let pool = ThreadPool::start(service, &PoolConfig::default())?;
    let mut received = Vec::new();
    stdin().read_to_end(&mut received)?;
    let sent = network::serve(&received, &pool)?;
    drop(pool);
    interpreter.finalize();
    Ok(stdout().write_all(&sent)?)
}
