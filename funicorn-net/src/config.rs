//! What can be set about a worker? Every number that bounds its memory or its time.

use std::path::PathBuf;
use std::time::Duration;

use funicorn_http::{ForwardingPolicy, HeaderMap, Limits, PeerList, ProxyProtocol};

use crate::bound::Bound;

/// How a [`Worker`](crate::Worker) serves.
///
/// ```
/// use std::time::Duration;
///
/// use funicorn_net::WorkerConfig;
///
/// let mut config = WorkerConfig::default();
/// config.threads = 8;
/// config.limits.request.body = 10 << 20;
/// config.deadlines.keep_alive = Duration::from_secs(5);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// Application threads, each running one call at a time; at least 1.
    pub threads: usize,
    /// Whether other processes accept from the same listeners: then a worker leaves new connections to them while all of its
    /// threads are in calls. A supervisor's workers do.
    pub has_siblings: bool,
    /// How much peers may send, and how much may wait here.
    pub limits: WorkerLimits,
    /// How long peers may take.
    pub deadlines: Deadlines,
    /// How long requests in flight may take to finish once the worker is told to stop. 30 s, as gunicorn has it.
    pub graceful_timeout: Duration,
    /// Where what is too large for memory goes, as unlinked files. Best on a disk: a tmpfs is memory again.
    pub spool_dir: PathBuf,
    /// The value of the `Server` header where the application sets none.
    pub server: String,
    /// Whose forwarding headers count, and which: those of this machine, `X-Forwarded-For` and `-Proto`.
    pub forwarding: ForwardingPolicy,
    /// Which versions of the PROXY protocol are spoken: none.
    pub proxy_protocol: ProxyProtocol,
    /// The peers that speak it, each of which must; those of this machine.
    pub proxy_allow_from: PeerList,
    /// What is done with header names that hold `_`. Here only a refusal is; see [`HeaderMap`].
    pub header_map: HeaderMap,
    /// What the log calls the number that a refused request has passed: the field. A program whose users set it by another name
    /// gives that.
    pub bound_name: fn(Bound) -> &'static str,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            threads: 1,
            has_siblings: false,
            limits: WorkerLimits::default(),
            deadlines: Deadlines::default(),
            graceful_timeout: Duration::from_secs(30),
            spool_dir: std::env::temp_dir(),
            server: "funicorn".to_owned(),
            forwarding: ForwardingPolicy::default(),
            proxy_protocol: ProxyProtocol::Off,
            proxy_allow_from: PeerList::default(),
            header_map: HeaderMap::Drop,
            bound_name: Bound::field,
        }
    }
}

/// How much a worker takes and keeps. What one request may be is in [`request`](Self::request); the rest is about all
/// of them together, and about what waits.
///
/// The worst case of a worker's memory, beside the application's own, is
/// `connections * (request.head + response_memory) + body_memory`, and of its disk, `spool`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerLimits {
    /// What one request may be.
    pub request: Limits,
    /// Connections held at once: 16,384 (gunicorn: 1,000, nginx: 512). Past it the ones that linger after a refusal and
    /// then the longest idle ones are closed for new ones; if all are in use, clients wait in the kernel's queue.
    /// A worker that may not have so many descriptors holds fewer.
    pub connections: usize,
    /// Requests that may wait for an application thread as long as it takes: 256. Those behind them wait at most
    /// [`Deadlines::queue`] (gunicorn's gthread and waitress have no such limit; uWSGI: the kernel's queue of 100).
    pub queue: usize,
    /// Bytes of one request body that are kept in memory; a larger body waits in a file. 256 KiB (waitress: 512 KiB,
    /// nginx: 16 KiB).
    pub body_buffer: u64,
    /// Bytes of all request bodies that are kept in memory; past it, bodies wait in files: 64 MiB.
    pub body_memory: u64,
    /// Bytes of one response that wait in memory for a slow client; past it, the response goes on in a file. 1 MiB, as
    /// waitress has it (`outbuf_overflow`).
    pub response_memory: usize,
    /// Bytes of one response that wait in a file; past it, the application waits: 256 MiB (nginx: 1 GiB, waitress: 16 MiB).
    pub response_spool: u64,
    /// Bytes of all files in which bodies and responses wait: 8 GiB. Past it, a request whose body needs a file is refused
    /// with 503, and a response makes the application wait.
    pub spool: u64,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            request: Limits::default(),
            connections: 16 * 1024,
            queue: 256,
            body_buffer: 256 << 10,
            body_memory: 64 << 20,
            response_memory: 1 << 20,
            response_spool: 256 << 20,
            spool: 8 << 30,
        }
    }
}

/// How long a peer may take. Checked about once a second, so each may be passed by as much.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// From a connection's first byte, or a new connection, to the end of a request head: 30 s (nginx: 60 s, Node: 60 s). 408.
    pub head: Duration,
    /// Between two arrivals of body bytes, and before [`min_body_rate`](Self::min_body_rate) is looked at: 30 s
    /// (nginx: 60 s, Apache httpd: 20 s). 408.
    pub body: Duration,
    /// Bytes of a body that must arrive in a second, in the mean since its head: 240, as Kestrel has it (Apache httpd: 500).
    /// 0 is no minimum. 408.
    pub min_body_rate: u64,
    /// An idle keep-alive connection: 75 s, as nginx has it; longer than the 60 s for which common load balancers keep theirs.
    /// Zero closes every connection behind its first response.
    pub keep_alive: Duration,
    /// Without progress while output waits for the peer, and before [`min_send_rate`](Self::min_send_rate) is looked at: 60 s, as
    /// nginx has it (`send_timeout`). Progress is what the peer's machine acknowledges. The connection is cut.
    pub write: Duration,
    /// Bytes of a response that must be taken in a second, in the mean over the time in which output waits for the peer: 240, as
    /// Kestrel and IIS have it. 0 is no minimum. The connection is cut.
    pub min_send_rate: u64,
    /// From the first byte of a request to the last of its response; none by default. A request that is late gets 408, a response
    /// that is late is cut. The call of the application goes on: there is no way to stop a thread from outside.
    pub request: Option<Duration>,
    /// For a request that waits behind [`WorkerLimits::queue`] others: 30 s (HAProxy: `timeout queue`). 503.
    pub queue: Duration,
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
            min_body_rate: 240,
            keep_alive: Duration::from_secs(75),
            write: Duration::from_secs(60),
            min_send_rate: 240,
            request: None,
            queue: Duration::from_secs(30),
            linger_idle: Duration::from_secs(2),
            linger_total: Duration::from_secs(10),
        }
    }
}
