//! Who asked for what, and what did they get? One line per request in gunicorn's default format:
//!
//! `%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"`, which is Apache's "combined".
//!
//! A line is one write(2) to a file opened for appending, so that the lines of several workers do not mix. A file that has been moved
//! away is opened anew at USR1, in every process. What comes from the peer is escaped as Apache does it, so that nobody can forge a line or a field.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use funicorn_http::{Address, RequestHead};
use funicorn_net::{Exchange, Observer};

use crate::clock::Moment;
use crate::{ConfigError, base64, write_whole};

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessLogTarget {
    /// Standard output.
    Stdout,
    /// A file, appended to, made if it does not exist.
    File(PathBuf),
}

impl FromStr for AccessLogTarget {
    type Err = std::convert::Infallible;

    /// `-` or a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "-" { Self::Stdout } else { Self::File(text.into()) })
    }
}

/// Writes a line per request.
#[derive(Debug)]
pub struct AccessLog {
    /// `None`: standard output.
    file: Option<LogFile>,
    has_failed: AtomicBool,
}

#[derive(Debug)]
struct LogFile {
    /// Absolute, since an application may change the directory.
    path: PathBuf,
    /// Locked for no longer than it takes to know which one it is: a write may have to wait.
    current: Mutex<Arc<File>>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let current = Mutex::new(Arc::new(append_to(&path)?));
        Ok(Self { path, current })
    }

    fn current(&self) -> Arc<File> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reopen(&self) -> io::Result<()> {
        let file = Arc::new(append_to(&self.path)?);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl AccessLog {
    /// Opens the log.
    ///
    /// # Errors
    /// [`ConfigError::AccessLog`] when the file cannot be opened for appending.
    pub fn open(target: &AccessLogTarget) -> Result<Self, ConfigError> {
        let file = match target {
            AccessLogTarget::Stdout => None,
            AccessLogTarget::File(path) => {
                let file = LogFile::open(path);
                Some(file.map_err(|error| ConfigError::AccessLog(path.clone(), error))?)
            }
        };
        Ok(Self { file, has_failed: AtomicBool::new(false) })
    }
}

impl Observer for AccessLog {
    fn exchange(&self, exchange: &Exchange<'_>) {
        let line = Line {
            head: exchange.head,
            peer: &exchange.connection.peer,
            status: exchange.status,
            body_sent: exchange.body_sent,
        };
        let line = line.format(&Moment::now());
        let written = match &self.file {
            Some(file) => write_whole(file.current().as_fd(), &line),
            None => write_whole(io::stdout().as_fd(), &line),
        };
        if let Err(error) = written {
            // Said once: a full disk would fill the other log too.
            if !self.has_failed.swap(true, Ordering::Relaxed) {
                log::error!("the access log cannot be written: {error}");
            }
        }
    }

    fn reopen(&self) {
        let Some(file) = &self.file else { return };
        match file.reopen() {
            Ok(()) => self.has_failed.store(false, Ordering::Relaxed),
            Err(error) => {
                let path = file.path.display();
                log::error!("the access log {path} cannot be opened anew and goes on where it was: {error}");
            }
        }
    }
}

/// What a line says.
struct Line<'a> {
    head: &'a RequestHead,
    peer: &'a Address,
    /// 0 when the request got no response.
    status: u16,
    body_sent: u64,
}

impl Line<'_> {
    fn format(&self, now: &Moment) -> Vec<u8> {
        let head = self.head;
        let mut line = Vec::with_capacity(256);
        match self.peer.ip() {
            Some(ip) => line.extend_from_slice(ip.to_string().as_bytes()),
            None => line.push(b'-'),
        }
        line.extend_from_slice(b" - ");
        match head.headers().get("authorization").and_then(basic_user) {
            Some(user) => escape(&user, true, &mut line),
            None => line.push(b'-'),
        }
        line.extend_from_slice(format!(" [{}] \"", now.common_log()).as_bytes());
        escape(head.method(), false, &mut line);
        line.push(b' ');
        escape(head.target(), false, &mut line);
        line.push(b' ');
        line.extend_from_slice(head.version().as_str().as_bytes());
        line.extend_from_slice(format!("\" {:03} {}", self.status, self.body_sent).as_bytes());
        for name in ["referer", "user-agent"] {
            line.extend_from_slice(b" \"");
            escape(head.headers().get(name).unwrap_or(b"-"), false, &mut line);
            line.push(b'"');
        }
        line.push(b'\n');
        line
    }
}

/// The user of HTTP Basic authentication (RFC 7617 §2), unless there is none to show.
fn basic_user(authorization: &[u8]) -> Option<Vec<u8>> {
    let (scheme, credentials) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut user = base64::decode(credentials.trim_ascii())?;
    let colon = user.iter().position(|&byte| byte == b':')?;
    user.truncate(colon);
    (!user.is_empty()).then_some(user)
}

/// Appends `text` with quotes, backslashes and everything but printable ASCII escaped; in a field that is not
/// `bare` (not between quotes) a space may stay.
fn escape(text: &[u8], bare: bool, line: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
            b' ' if !bare => line.push(byte),
            b'!'..=b'~' => line.push(byte),
            _ => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
