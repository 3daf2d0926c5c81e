//! The acceptor of the [model](crate::model): connections come from its network, and never too many.

use std::io;

use funicorn_http::{Address, ConnectionInfo};

use crate::listener::Listener;
use crate::model::NETWORK;
use crate::poller::Poller;

/// See `acceptor.rs`, whose items have the same names.
pub(crate) const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(100);

pub(crate) enum Accepted {
    Connection(usize, ConnectionInfo),
    Nobody,
    #[expect(dead_code, reason = "the network of the model has no end of numbers")]
    Shortage(io::Error),
}

pub(crate) struct Acceptor;

impl Acceptor {
    pub(crate) fn new(_: Vec<Listener>) -> Self {
        Self
    }

    pub(crate) fn len(&self) -> usize {
        1
    }

    pub(crate) fn is_paused(&self) -> bool {
        false
    }

    pub(crate) fn is_aside(&self) -> bool {
        false
    }

    pub(crate) fn stand_aside(&mut self, _: &Poller) {}

    pub(crate) fn come_back(&mut self, _: &Poller) {}

    pub(crate) fn must_help(&mut self) -> bool {
        false
    }

    pub(crate) fn appetite(&self) -> usize {
        1
    }

    pub(crate) fn note_event(&mut self, _: bool) {}

    pub(crate) fn accept(&self, _: usize) -> Accepted {
        let info = || ConnectionInfo::new(Address::Unix(None), Address::Unix(None));
        NETWORK.accept().map_or(Accepted::Nobody, |number| Accepted::Connection(number, info()))
    }

    pub(crate) fn pause(&mut self, _: &Poller, why: &str) {
        panic!("the model has room for all: {why}");
    }

    pub(crate) fn resume(&mut self, _: &Poller) {
        NETWORK.listen(true);
    }

    pub(crate) fn close(&mut self, _: &Poller) {
        NETWORK.listen(false);
    }
}
