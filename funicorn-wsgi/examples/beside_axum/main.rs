//! A WSGI application mounted under a path of an axum server, beside a route in Rust.
//!
//! `cargo run -p funicorn-wsgi --example beside_axum -- hello:app 127.0.0.1:8000`, in the directory of `hello.py`, then
//! `curl http://127.0.0.1:8000/legacy/path`. Bodies stream both ways, and a client that goes away ends its call. The
//! application runs on a thread of its own, so that one that blocks holds up no route. Ends with its standard input.

mod bridge;

use std::error::Error;
use std::io::stdin;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use funicorn_wsgi::{Interpreter, InterpreterConfig, PoolConfig, ThreadPool, WsgiConfig, WsgiService};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: beside_axum MODULE[:APP] ADDRESS";
    let (application, address) = (args.next().ok_or(usage)?.parse()?, args.next().ok_or(usage)?);
    // Python wants the main thread; what axum runs on is its own affair.
    let interpreter = Interpreter::start(&InterpreterConfig::default())?;
    let mut config = WsgiConfig::default();
    config.root_path = "/legacy".to_owned();
    let service = Arc::new(WsgiService::load(&application, config)?);
    let pool = Arc::new(ThreadPool::start(service, &PoolConfig::default())?);
    Runtime::new()?.block_on(serve(&address, Arc::clone(&pool)))?;
    drop(pool);
    interpreter.finalize();
    Ok(())
}

async fn serve(address: &str, pool: Arc<ThreadPool>) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    println!("{local}");
    let mounted = Router::new().fallback(bridge::answer).with_state((pool, local));
    let router = Router::new().route("/", get("a route in Rust")).nest("/legacy", mounted);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let end = spawn_blocking(|| stdin().read_line(&mut String::new()));
    axum::serve(listener, service).with_graceful_shutdown(async { drop(end.await) }).await
}
