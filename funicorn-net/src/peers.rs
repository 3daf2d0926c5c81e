//! Which connections does the loop have? A table of [`Peer`]s by their [`Seat`]s.

use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use crate::connection::Connection;
use crate::peer::Peer;
use crate::poller::Seat;

/// A connection that has been idle for less is not closed for another: its request may be on its way.
const SETTLED: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(crate) struct Peers {
    slab: Slab<Peer>,
    generation: u32,
}

impl Peers {
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// The peer in `seat`, if it is still the one that was meant.
    pub(crate) fn find(&mut self, seat: Seat) -> Option<&mut Peer> {
        self.slab.get_mut(seat.index as usize).filter(|peer| peer.connection.seat == seat)
    }

    /// Gives a free seat to the peer that `make` makes for it, if it does.
    pub(crate) fn seat<E>(&mut self, make: impl FnOnce(Seat) -> Result<Peer, E>) -> Result<(), E> {
        self.generation = (self.generation + 1) & 0x7fff_ffff;
        let entry = self.slab.vacant_entry();
        let seat = Seat { index: entry.key() as u32, generation: self.generation };
        entry.insert(make(seat)?);
        Ok(())
    }

    /// Takes the peer in `seat` out of the table.
    pub(crate) fn remove(&mut self, seat: Seat) -> Option<Arc<Connection>> {
        self.find(seat)?;
        Some(self.slab.remove(seat.index as usize).connection)
    }

    /// All of them, for a walk during which they may be removed.
    pub(crate) fn seats(&self) -> Vec<Seat> {
        self.iter().map(|peer| peer.connection.seat).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.slab.iter().map(|(_, peer)| peer)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.slab.iter_mut().map(|(_, peer)| peer)
    }

    /// Up to `most` that can make place for others: those that only linger after a refusal, then the longest idle ones.
    pub(crate) fn dispensable(&self, most: usize, now: Instant) -> Vec<Seat> {
        let rank = |peer: &Peer| {
            let idle = peer.idle_since().filter(|&since| since + SETTLED <= now);
            if peer.is_lingering() { Some((false, now)) } else { idle.map(|since| (true, since)) }
        };
        let mut seats: Vec<_> =
            self.iter().filter_map(|peer| Some((rank(peer)?, peer.connection.seat))).collect();
        seats.sort_by_key(|&(rank, _)| rank);
        seats.truncate(most);
        seats.into_iter().map(|(_, seat)| seat).collect()
    }
}
