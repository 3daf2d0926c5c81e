//! What goes from the loop to an application thread? A complete request, and the means to answer it.

use std::time::Instant;

use funicorn_http::{Refusal, Request, ResponseWriter};

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
        shared.refusals.note(&self.request.connection.peer, refusal);
        // If the peer has gone, its next event says so.
        let _ = refusal.answer(self.response);
    }
}
