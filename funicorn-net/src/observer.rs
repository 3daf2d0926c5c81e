//! Who is told about each exchange? An [`Observer`]: the access log today, metrics tomorrow.

use std::time::Duration;

use funicorn_http::{ConnectionInfo, RequestHead};

/// Is told when a request has been answered or given up.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use funicorn_net::{Exchange, Observer};
///
/// #[derive(Default)]
/// struct Failures(AtomicU64);
///
/// impl Observer for Failures {
///     fn exchange(&self, exchange: &Exchange<'_>) {
///         self.0.fetch_add(u64::from(exchange.status >= 500), Ordering::Relaxed);
///     }
/// }
/// ```
pub trait Observer: Send + Sync {
    /// Called once a request, on the thread that ended the response, with nothing locked.
    fn exchange(&self, exchange: &Exchange<'_>);

    /// Called when the files that it writes to may have been moved away (a log that was rotated), and are to be opened anew. Exchanges
    /// may be told meanwhile. It must not block: nobody polls the sockets meanwhile.
    fn reopen(&self) {}
}

/// One request and what became of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Exchange<'a> {
    /// The request's head.
    pub head: &'a RequestHead,
    /// The connection that it came over.
    pub connection: &'a ConnectionInfo,
    /// The status code of the response, or 0 when there was none.
    pub status: u16,
    /// Bytes of the body handed over, without its framing.
    pub body_sent: u64,
    /// From the end of the request to the end of the response's making.
    pub duration: Duration,
}
