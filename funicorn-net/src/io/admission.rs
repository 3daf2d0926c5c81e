//! Who gets a seat? New connections, as long as there is room or somebody can make room.

use std::sync::Arc;

use funicorn_http::ConnectionInfo;

use super::{ACCEPTS, Io};
use crate::acceptor::Accepted;
use crate::connection::Connection;
use crate::peer::Peer;
use crate::shared::Shared;
use crate::transport::Transport;

impl Io {
    /// Takes in up to `most` from each listener.
    pub(super) fn accept_from_all(&mut self, most: usize, shared: &Arc<Shared>) {
        for index in 0..self.acceptor.len() {
            self.accept(index, most, shared);
        }
    }

    /// Takes in up to `most` from a listener. Returns whether so many had come.
    pub(super) fn accept(&mut self, index: usize, most: usize, shared: &Arc<Shared>) -> bool {
        for _ in 0..most {
            if self.peers.len() >= shared.config.limits.connections && !self.make_room(shared) {
                self.acceptor.pause(&shared.poller, "all places for connections are taken");
                return false;
            }
            match self.acceptor.accept(index) {
                Accepted::Connection(socket, info) => self.seat(Transport::plain(socket), info, shared),
                Accepted::Nobody => return false,
                Accepted::Shortage(error) => {
                    if !self.make_room(shared) {
                        self.acceptor.pause(&shared.poller, &error.to_string());
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Closes connections that are not in use. Returns whether there were any.
    fn make_room(&mut self, shared: &Shared) -> bool {
        let seats = self.peers.dispensable(ACCEPTS, self.now);
        seats.iter().for_each(|&seat| self.close(seat, shared));
        !seats.is_empty()
    }

    fn seat(&mut self, transport: Transport, info: ConnectionInfo, shared: &Arc<Shared>) {
        let seated = self.peers.seat(|seat| {
            let connection = Arc::new(Connection::new(transport, info, seat, Arc::clone(&shared.poller)));
            shared.poller.add(&connection.transport, seat)?;
            log::trace!(target: "funicorn::net", "accepted {}: seat {}", connection.info.peer, seat.index);
            Ok::<_, std::io::Error>(Peer::new(connection, self.now, shared))
        });
        if let Err(error) = seated {
            log::error!("a connection could not be added to the poller: {error}");
        }
    }
}
