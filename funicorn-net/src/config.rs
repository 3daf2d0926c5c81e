//! What can be set about a worker? Every number that bounds its memory or its time.

use std::path::PathBuf;
use std::time::Duration;

use funicorn_http::Limits;

/// How a [`Worker`](crate::Worker) serves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// Application threads, each running one call at a time; at least 1.
    pub threads: usize,
    /// What one request may be.
    pub limits: Limits,
    /// How long peers may take.
    pub deadlines: Deadlines,
    /// How long requests in flight may take to finish once the worker is told to stop. 30 s, as gunicorn has it.
    pub graceful_timeout: Duration,
    /// Connections held at once; past it `accept` pauses. 16,384 (gunicorn: 1,000 per worker, nginx: 512).
    pub connections: usize,
    /// Where request bodies past `body_memory` go, as unlinked files. Best on a disk: a tmpfs is memory again.
    pub spool_dir: PathBuf,
    /// Bytes of one request body that are kept in memory. 256 KiB (waitress: 512 KiB, nginx: 16 KiB).
    pub body_memory: usize,
    /// Bytes of one response that may wait in memory for a slow client before the application waits. 1 MiB, as
    /// waitress has it (`outbuf_overflow`).
    pub response_memory: usize,
    /// The value of the `Server` header where the application sets none.
    pub server: String,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            threads: 1,
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            graceful_timeout: Duration::from_secs(30),
            connections: 16 * 1024,
            spool_dir: std::env::temp_dir(),
            body_memory: 256 * 1024,
            response_memory: 1024 * 1024,
            server: "funicorn".to_owned(),
        }
    }
}

/// How long a peer may take. Checked about once a second, so each may be passed by as much.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// From a connection's first byte, or a new connection, to the end of a request head: 30 s (nginx: 60 s, Node: 60 s). 408.
    pub head: Duration,
    /// Between two arrivals of body bytes: 30 s (nginx: 60 s). 408.
    pub body: Duration,
    /// An idle keep-alive connection: 75 s, as nginx has it; longer than the 60 s for which common load balancers keep theirs.
    pub keep_alive: Duration,
    /// Without progress while output waits for the peer: 60 s, as nginx has it (`send_timeout`). The connection is cut.
    pub write: Duration,
    /// After a refusal, without input: 2 s (nginx: 5 s, `lingering_timeout`).
    pub linger_idle: Duration,
    /// After a refusal, in all: 10 s (nginx: 30 s, `lingering_time`).
    pub linger_total: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            write: Duration::from_secs(60),
            linger_idle: Duration::from_secs(2),
            linger_total: Duration::from_secs(10),
        }
    }
}
