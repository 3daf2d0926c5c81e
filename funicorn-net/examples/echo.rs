//! Another protocol than HTTP on the half of funicorn-net that keeps processes: listeners, a supervisor, its workers and
//! the orders that they obey. Whatever a client sends comes back.
//!
//! `cargo run -p funicorn-net --example echo -- 127.0.0.1:7000`, then `nc 127.0.0.1 7000`, then TERM to the supervisor.

use std::error::Error;
use std::io::copy;
use std::net::TcpStream;

use funicorn_net::{BACKLOG, Control, Listener, Signals, Supervisor, SupervisorConfig, WorkerContext};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned()).parse()?;
    let mut listeners = Listener::bind(&address, BACKLOG)?;
    println!("{}", listeners[0].local());
    let supervisor = Supervisor::new(SupervisorConfig::default(), Signals::install(true)?, Box::new(()));
    let code = supervisor.run(&mut |WorkerContext { control, ready, .. }| {
        let listener = listeners.remove(0);
        ready.ready();
        serve(&listener, &control).map_or(1, |()| 0)
    })?;
    std::process::exit(code)
}

/// Accepts until there is an order, one thread per connection.
fn serve(listener: &Listener, control: &Control) -> std::io::Result<()> {
    while control.take().is_none() {
        while let Ok((socket, _)) = listener.accept() {
            let stream = TcpStream::from(socket);
            stream.set_nonblocking(false)?;
            std::thread::spawn(move || copy(&mut &stream, &mut &stream));
        }
        let orders = control.sources();
        let mut fds = [PollFd::new(listener, PollFlags::IN), PollFd::new(&orders[0], PollFlags::IN)];
        retry_on_intr(|| poll(&mut fds, None))?;
    }
    Ok(())
}
