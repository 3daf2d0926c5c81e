//! What goes from the loop to an application thread? A complete request, and the means to answer it.

use std::time::Instant;

use funicorn_http::{Refusal, Request, ResponseWriter};

use crate::refusals::Refused;
use crate::shared::Shared;

/// A request that waits for an application thread.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) response: ResponseWriter,
    /// When the request was complete.
    pub(crate) received_at: Instant,
}

impl Call {
    /// Refuses the request in the application's place.
    pub(crate) fn turn_away(self, refusal: Refusal, shared: &Shared) {
        let refused = Refused::with_head(refusal, &self.request.head);
        shared.refusals.note(&self.request.connection.peer, &refused, &shared.config);
        // If the peer has gone, its next event says so.
        let _ = refusal.answer(self.response);
    }
}
