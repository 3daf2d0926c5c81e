//! What is there of a request whose body is on its way? Its head, the body as far as it has come, and by when more must come.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use funicorn_http::{ConnectionInfo, ReceivedHead, Refusal, Request, RequestHead, ResponseWriter};

use crate::bound::Bound;
use crate::call::Call;
use crate::config::Deadlines;
use crate::connection::Connection;
use crate::refusals::Refused;
use crate::shared::Shared;
use crate::sink::Http1Sink;
use crate::spool::BodyBuffer;

/// See the module.
pub(crate) struct Arriving {
    head: RequestHead,
    info: Arc<ConnectionInfo>,
    body: BodyBuffer,
    /// Since when the body may come, and how much of it has.
    since: Instant,
    received: u64,
}

impl Arriving {
    /// Nothing but the head, which came from where `info` says.
    pub(crate) fn new(
        received: ReceivedHead,
        info: Arc<ConnectionInfo>,
        shared: &Shared,
        now: Instant,
    ) -> Self {
        let body = BodyBuffer::new(received.length, &shared.spool);
        Self { head: received.head, info, body, since: now, received: 0 }
    }

    /// Appends a part of the body.
    pub(crate) fn push(&mut self, bytes: &[u8], shared: &Shared) -> Result<(), Refused> {
        self.received += bytes.len() as u64;
        self.body.push(bytes, &shared.spool).map_err(|error| unavailable(&error, &self.head))
    }

    /// The request, refused.
    pub(crate) fn refused(&self, refusal: Refusal) -> Refused {
        Refused::with_head(refusal, &self.head)
    }

    /// When more of the body must have come: soon, and at the latest when what has come is too little for the time.
    pub(crate) fn deadline(&self, now: Instant, deadlines: &Deadlines) -> Instant {
        let next = now + deadlines.body;
        self.paid_for(deadlines).map_or(next, |paid| next.min(paid))
    }

    /// Until when what has come is enough, if there is a minimum.
    fn paid_for(&self, deadlines: &Deadlines) -> Option<Instant> {
        let seconds = self.received.checked_div(deadlines.min_body_rate)?;
        Some(self.since + deadlines.body + Duration::from_secs(seconds))
    }

    /// What it passes by being late at `now`.
    pub(crate) fn bound(&self, now: Instant, deadlines: &Deadlines) -> Bound {
        let is_slow = self.paid_for(deadlines).is_some_and(|paid| paid <= now);
        // A body of which nothing has come is late by its pause, though it has paid for nothing either.
        if is_slow && self.received > 0 { Bound::MinBodyRate } else { Bound::BodyTime }
    }

    /// Everything has come: the request is to be called.
    pub(crate) fn complete(
        self,
        connection: &Arc<Connection>,
        shared: &Arc<Shared>,
        now: Instant,
    ) -> Result<Box<Call>, Refused> {
        let Self { head, info, body, .. } = self;
        let (body, memory) = body.complete().map_err(|error| unavailable(&error, &head))?;
        log::trace!(target: "funicorn::net", "request complete, {} bytes of body: Calling", body.len().unwrap_or(0));
        let (connection, shared) = (Arc::clone(connection), Arc::clone(shared));
        let sink = Http1Sink::new(shared, connection, Arc::clone(&info), &head, now, memory);
        Ok(Box::new(Call {
            request: Request::new(head, body, info),
            response: ResponseWriter::new(Box::new(sink)),
            received_at: now,
        }))
    }
}

fn unavailable(error: &io::Error, head: &RequestHead) -> Refused {
    let refused = Refused::with_head(Refusal::Unavailable, head);
    // At our own limit on spooled data the refusal says enough; what the system says is for the operator.
    let is_ours = error.kind() == io::ErrorKind::StorageFull && error.raw_os_error().is_none();
    if is_ours {
        return refused.past(Bound::Spool);
    }
    log::error!("a request body cannot be spooled: {error}");
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WorkerLimits;
    use crate::spool::Spool;

    #[test]
    fn what_comes_steadily_gets_the_time_that_it_needs_and_no_more() {
        let spool = Spool::new(std::env::temp_dir(), &WorkerLimits::default());
        let nowhere = funicorn_http::Address::Unix(None);
        let since = Instant::now();
        let mut arriving = Arriving {
            head: RequestHead::builder("POST", "/").build(),
            info: Arc::new(ConnectionInfo::new(nowhere.clone(), nowhere)),
            body: BodyBuffer::new(None, &spool),
            since,
            received: 0,
        };
        let mut deadlines = Deadlines::default();
        let seconds = Duration::from_secs;
        let after = |arriving: &Arriving, deadlines: &Deadlines, now: u64| {
            arriving.deadline(since + seconds(now), deadlines) - since
        };
        assert_eq!(after(&arriving, &deadlines, 0), seconds(30));
        arriving.received = 2400;
        assert_eq!(after(&arriving, &deadlines, 5), seconds(35), "the next bytes within 30 s");
        assert_eq!(
            after(&arriving, &deadlines, 25),
            seconds(40),
            "2400 bytes pay for 10 s beyond the first 30"
        );
        deadlines.min_body_rate = 0;
        assert_eq!(after(&arriving, &deadlines, 25), seconds(55));
    }
}
