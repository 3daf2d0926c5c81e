//! The kernel's part: sockets with numbers, and a poller that tells each edge once.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use shuttle::sync::{Condvar, Mutex, MutexGuard};

use super::interpreter::INTERPRETER;
use crate::poller::{Batch, Event, Seat, Token};
use crate::transport::Transport;

/// Bytes that a socket keeps for a client that does not read.
const ROOM: usize = 300;

/// Bytes of one read, so that what a client sends at once does not always come at once.
const READ: usize = 40;

shuttle::lazy_static! {
    /// The network of the schedule that is being tried.
    pub(crate) static ref NETWORK: Network = Network::default();
}

/// See the module.
#[derive(Default)]
pub(crate) struct Network {
    state: Mutex<State>,
    /// Told at every change: whoever waits looks whether it concerns him.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    links: Vec<Link>,
    /// Which link each open number stands for. A number that is closed goes to the next connection.
    numbers: Vec<Option<usize>>,
    /// Links that the listener has not given out.
    backlog: VecDeque<usize>,
    is_listening: bool,
    /// Edges that have not been told.
    edges: BTreeMap<(u32, u32), Event>,
    is_woken: bool,
    has_order: bool,
}

/// One connection.
#[derive(Default)]
struct Link {
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// The client sends nothing more.
    client_has_ended: bool,
    /// The server sends nothing more.
    server_has_ended: bool,
    is_reset: bool,
    /// The poller tells when there is room again for what the server sends.
    tells_of_room: bool,
    /// Where the poller tells of it.
    seat: Option<Seat>,
}

impl State {
    fn link(&mut self, number: usize) -> &mut Link {
        let link = self.numbers[number].expect("a number is used only while it is open");
        &mut self.links[link]
    }

    fn tell(&mut self, link: usize, what: impl FnOnce(&mut Event)) {
        let Some(seat) = self.links[link].seat else { return };
        let silent = Event {
            token: Token::Connection(seat),
            readable: false,
            writable: false,
            ended: false,
            hung_up: false,
        };
        what(self.edges.entry((seat.index, seat.generation)).or_insert(silent));
    }
}

impl Network {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `look` finds something.
    fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.lock();
        loop {
            if let Some(found) = look(&mut state) {
                drop(state);
                self.changed.notify_all();
                return found;
            }
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Has the worker look at its control.
    pub(crate) fn give_order(&self) {
        self.change(|state| state.has_order = true);
    }

    pub(crate) fn listen(&self, is_listening: bool) {
        self.change(|state| state.is_listening = is_listening);
    }

    /// A number for the next connection that waits.
    pub(crate) fn accept(&self) -> Option<usize> {
        self.change(|state| {
            let link = state.backlog.pop_front()?;
            let number = state.numbers.iter().position(Option::is_none).unwrap_or(state.numbers.len());
            state.numbers.resize(state.numbers.len().max(number + 1), None);
            state.numbers[number] = Some(link);
            Some(number)
        })
    }

    pub(crate) fn read(&self, number: usize, buf: &mut [u8]) -> io::Result<usize> {
        self.change(|state| {
            let link = state.link(number);
            if link.is_reset {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let len = link.to_server.len().min(buf.len()).min(READ);
            if len == 0 && !link.client_has_ended {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            link.to_server.drain(..len).zip(buf).for_each(|(byte, place)| *place = byte);
            if !link.to_server.is_empty() {
                // Where the kernel would have filled the buffer, it was not so long as asked for; but as a short read
                // counts for the last one, the rest comes as a new arrival.
                let index = state.numbers[number].expect("it is open");
                state.tell(index, |event| event.readable = true);
            }
            Ok(len)
        })
    }

    pub(crate) fn write(&self, number: usize, bytes: &[u8]) -> io::Result<usize> {
        self.change(|state| {
            let link = state.link(number);
            if link.is_reset || link.server_has_ended {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let len = bytes.len().min(ROOM - link.to_client.len());
            if len == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            link.to_client.extend(&bytes[..len]);
            Ok(len)
        })
    }

    pub(crate) fn end(&self, number: usize) {
        self.change(|state| state.link(number).server_has_ended = true);
    }

    pub(crate) fn close(&self, number: usize, with_reset: bool) {
        self.change(|state| {
            let link = state.link(number);
            link.server_has_ended = true;
            link.is_reset |= with_reset || !link.to_server.is_empty();
            link.seat = None;
            state.numbers[number] = None;
        });
    }
}

/// The poller of the model.
#[derive(Debug)]
pub(crate) struct Poller;

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) fn add(&self, transport: &Transport, seat: Seat) -> io::Result<()> {
        NETWORK.change(|state| {
            let index = state.numbers[transport.number()].expect("it is open");
            let link = &mut state.links[index];
            link.seat = Some(seat);
            let (readable, ended) = (!link.to_server.is_empty(), link.client_has_ended);
            let hung_up = link.is_reset;
            state.tell(index, |event| {
                event.readable = readable || ended || hung_up;
                event.ended = ended || hung_up;
                event.hung_up = hung_up;
            });
        });
        Ok(())
    }

    pub(crate) fn watch_output(&self, transport: &Transport, _: Seat) -> io::Result<()> {
        NETWORK.change(|state| {
            let index = state.numbers[transport.number()].expect("it is open");
            state.links[index].tells_of_room = true;
            if state.links[index].to_client.len() < ROOM {
                state.tell(index, |event| event.writable = true);
            }
        });
        Ok(())
    }

    pub(crate) fn remove(&self, transport: &Transport) -> io::Result<()> {
        NETWORK.change(|state| {
            if let Some(seat) = state.link(transport.number()).seat.take() {
                state.edges.remove(&(seat.index, seat.generation));
            }
        });
        Ok(())
    }

    pub(crate) fn add_control(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn wait(&self, batch: &mut Batch, timeout: Option<Duration>) -> io::Result<()> {
        let may_wait = timeout != Some(Duration::ZERO);
        if may_wait {
            INTERPRETER.assert_free_of_us();
        }
        let events = NETWORK.wait(|state| {
            let mut tokens = Vec::new();
            if std::mem::take(&mut state.is_woken) {
                tokens.push(Token::Wake);
            }
            if std::mem::take(&mut state.has_order) {
                tokens.push(Token::Control);
            }
            if state.is_listening && !state.backlog.is_empty() {
                tokens.push(Token::Listener(0));
            }
            let others = tokens.into_iter().map(|token| Event {
                token,
                readable: true,
                writable: false,
                ended: false,
                hung_up: false,
            });
            let edges = std::mem::take(&mut state.edges).into_values();
            let events: Vec<Event> = others.chain(edges).collect();
            (!events.is_empty() || !may_wait).then_some(events)
        });
        if events.is_empty() {
            // Whoever looks without waiting will look again: now it is another one's turn.
            shuttle::thread::yield_now();
        }
        batch.fill(events.into_iter());
        Ok(())
    }

    pub(crate) fn wake(&self) {
        NETWORK.change(|state| state.is_woken = true);
    }
}

/// A client's end of a connection.
pub(crate) struct Client {
    link: usize,
}

impl Client {
    pub(crate) fn connect() -> Self {
        NETWORK.change(|state| {
            state.links.push(Link::default());
            let link = state.links.len() - 1;
            state.backlog.push_back(link);
            Self { link }
        })
    }

    pub(crate) fn send(&self, text: &str) {
        NETWORK.change(|state| {
            state.links[self.link].to_server.extend(text.as_bytes());
            state.tell(self.link, |event| event.readable = true);
        });
    }

    /// Reads on until what has been read since the last time ends with `end`, or the server ends; returns it.
    pub(crate) fn read_to(&self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let byte = NETWORK.wait(|state| {
                let link = &mut state.links[self.link];
                let makes_room = link.tells_of_room && link.to_client.len() == ROOM;
                let byte = link.to_client.pop_front();
                if makes_room && byte.is_some() {
                    state.tell(self.link, |event| event.writable = true);
                }
                let link = &state.links[self.link];
                (byte.is_some() || link.server_has_ended || link.is_reset).then_some(byte)
            });
            let Some(byte) = byte else { break };
            read.push(byte);
        }
        String::from_utf8(read).unwrap()
    }

    /// What comes until the server's end.
    pub(crate) fn rest(&self) -> String {
        self.read_to("never sent")
    }

    /// Says that nothing more will be sent.
    pub(crate) fn end(&self) {
        NETWORK.change(|state| {
            state.links[self.link].client_has_ended = true;
            state.tell(self.link, |event| (event.readable, event.ended) = (true, true));
        });
    }

    /// Goes without a word.
    pub(crate) fn reset(&self) {
        NETWORK.change(|state| {
            state.links[self.link].is_reset = true;
            state.tell(self.link, |event| {
                (event.readable, event.ended, event.hung_up) = (true, true, true);
            });
        });
    }
}
