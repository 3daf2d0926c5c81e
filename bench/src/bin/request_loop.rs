//! Answers COUNT requests of one KIND in memory and says how many bytes the answers had: `request_loop KIND COUNT`. It is run
//! under callgrind, twice with different counts, so that the difference is what the requests alone cost.

use std::error::Error;

use funicorn_bench::{Connection, KINDS, Kind, load, start_python};
use funicorn_http::Service;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = || {
        format!(
            "usage: request_loop KIND COUNT, where KIND is one of {}",
            KINDS.map(|kind| kind.name).join(", ")
        )
    };
    let kind = arguments.next().and_then(|name| Kind::named(&name)).ok_or_else(usage)?;
    let count: u64 = arguments.next().ok_or_else(usage)?.parse()?;
    let interpreter = start_python()?;
    let service = load(kind.app)?;
    let wires = kind.wires();
    let mut outcome = Ok(0);
    service.thread(&mut || {
        let mut connection = Connection::default();
        let turns = (0..count).zip(wires.iter().cycle());
        outcome = turns.map(|(_, wire)| connection.exchange(wire, &service)).sum();
    });
    println!("{} bytes", outcome?);
    drop(service);
    interpreter.finalize();
    Ok(())
}
