//! The whole server as a library in the calling process: no fork, no signal handlers, stopped from another thread.
//!
//! `cargo run -p funicorn-cli --example embedded -- hello:app`, in the directory of `hello.py`. The end of standard
//! input stops it.

use std::error::Error;
use std::io::{copy, sink, stdin};

use funicorn_cli::{Config, Funicorn};

fn main() -> Result<(), Box<dyn Error>> {
    let application = std::env::args().nth(1).ok_or("usage: embedded MODULE[:APP]")?;
    let mut config = Config::new(application.parse()?);
    config.bind = vec!["127.0.0.1:0".parse()?];
    config.threads = 2;
    let funicorn = Funicorn::new(config)?;
    println!("{}", funicorn.addresses()[0]);
    // Python's main thread is the process's; so that runs the server, and another one stops it.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Whether it ends or fails: nobody will type any more.
            let _ = copy(&mut stdin(), &mut sink());
            funicorn.stop();
        });
        funicorn.run()
    })?;
    println!("stopped");
    Ok(())
}
