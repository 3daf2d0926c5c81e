//! How does a worker stop? It takes no new work, lets what is in flight end, and cuts what takes too long.

use std::sync::Arc;
use std::time::Duration;

use super::{Io, queue};
use crate::control::Order;
use crate::shared::{Shared, Stage};

/// What a call that is just ending may take when requests are not waited for: its response has left already, perhaps, and a cut
/// would take it from the client.
const JUST_ENDING: Duration = Duration::from_millis(100);

impl Io {
    /// Does what the operator or the supervisor asks for.
    pub(super) fn obey(&mut self, shared: &Arc<Shared>) {
        if self.control.take_attention() {
            shared.attention.ask();
        }
        match self.control.take() {
            None => {}
            Some(Order::StopGracefully) => self.stop_gracefully(shared),
            Some(Order::StopNow) => self.stop_soon(shared),
            Some(Order::EndAtOnce) => crate::worker::end_process("told twice to stop"),
        }
        if self.control.take_reopen()
            && let Some(observer) = &shared.observer
        {
            observer.reopen();
        }
    }

    fn stop_gracefully(&mut self, shared: &Arc<Shared>) {
        if self.stop_at.is_none() {
            log::info!("stopping: requests in flight have {} s", shared.config.graceful_timeout.as_secs());
            self.drain(shared.config.graceful_timeout, shared);
        }
    }

    fn stop_soon(&mut self, shared: &Arc<Shared>) {
        log::info!("stopping without waiting for requests");
        self.drain(JUST_ENDING, shared);
    }

    /// Takes no new work, and lets what is in flight end within `timeout`.
    fn drain(&mut self, timeout: Duration, shared: &Arc<Shared>) {
        self.stop_at = Some(self.now + timeout);
        self.stop_listening(shared);
        shared.set_stage(Stage::Draining);
        // A request may have arrived that nobody has read yet: each gets one more turn before it is let go.
        for peer in self.peers.iter_mut() {
            if peer.is_idle() {
                peer.look_again();
                let seat = peer.connection.seat;
                queue(peer, &mut self.ready, seat);
            }
        }
    }

    /// Takes in those who have connected already, then closes the listeners.
    fn stop_listening(&mut self, shared: &Arc<Shared>) {
        if !self.acceptor.is_paused() {
            self.accept_from_all(shared.config.limits.connections, shared);
        }
        self.acceptor.close(&shared.poller);
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.stop_at.is_some_and(|at| self.peers.is_empty() || at <= self.now)
    }

    /// Cuts what is left when the worker stops.
    pub(super) fn drop_all(&mut self, shared: &Arc<Shared>) {
        shared.set_stage(Stage::Ending);
        self.take_completions(shared);
        let seats: Vec<_> = self.peers.iter().map(|peer| (peer.connection.seat, peer.is_idle())).collect();
        for (seat, idle) in seats {
            if idle { self.close(seat, shared) } else { self.reset(seat, shared) }
        }
    }
}
