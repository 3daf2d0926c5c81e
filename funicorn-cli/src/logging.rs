//! Where do the libraries' words go? To standard error, a line each, in gunicorn's form:
//! `[2026-11-22 22:05:44 +0000] [1234] [INFO] message`.
//!
//! Nobody can forge such a line: control characters are escaped, and further lines of a message (a traceback) are indented.
//! A line of the trace says between level and message which layer speaks: `funicorn::net`, `funicorn::http` or
//! `funicorn::wsgi`. One write(2) per message, past the standard library's lock: a child that the application forks while another
//! thread holds that lock could never log again.

use std::fmt::Write as _;
use std::io;
use std::os::fd::AsFd;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::clock::Moment;
use crate::write_whole;

/// The one logger of the process.
static LOGGER: Logger = Logger;

struct Logger;

/// Sends everything up to `level` to standard error, panics included. Later calls change the level only.
pub fn start(level: LevelFilter) {
    log::set_max_level(level);
    if log::set_logger(&LOGGER).is_ok() {
        std::panic::set_hook(Box::new(|panic| log::error!("internal error: {panic}")));
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let message = match record.level() {
                Level::Trace => format!("{}: {}", record.target(), record.args()),
                _ => record.args().to_string(),
            };
            let line = format_line(&Moment::now(), std::process::id(), record.level(), &message);
            // When standard error is gone there is nobody left to tell.
            let _ = write_whole(io::stderr().as_fd(), line.as_bytes());
        }
    }

    fn flush(&self) {}
}

fn format_line(moment: &Moment, pid: u32, level: Level, message: &str) -> String {
    let level = if level == Level::Warn { "WARNING" } else { level.as_str() };
    let mut line = format!("[{}] [{pid}] [{level}] ", moment.iso());
    for char in message.trim_end_matches('\n').chars() {
        match char {
            '\n' => line.push_str("\n  "),
            '\t' => line.push(char),
            _ if char.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(line, "{}", char.escape_default());
            }
            _ => line.push(char),
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn line(level: Level, message: &str) -> String {
        format_line(&Moment::of(UNIX_EPOCH), 7, level, message)
    }

    #[test]
    fn one_line() {
        assert_eq!(line(Level::Info, "ready"), "[1970-01-01 00:00:00 +0000] [7] [INFO] ready\n");
        assert_eq!(line(Level::Warn, "so so"), "[1970-01-01 00:00:00 +0000] [7] [WARNING] so so\n");
    }

    #[test]
    fn no_message_forges_a_line() {
        let forged = line(Level::Error, "a\r\n[1970-01-01 00:00:00 +0000] [7] [INFO] b\x1b[2J\u{85}");
        let lines: Vec<_> = forged.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "[1970-01-01 00:00:00 +0000] [7] [ERROR] a\\r");
        assert_eq!(lines[1], "  [1970-01-01 00:00:00 +0000] [7] [INFO] b\\u{1b}[2J\\u{85}");
    }
}
