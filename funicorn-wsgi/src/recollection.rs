//! What is remembered from one environ to the next? What would be made again for most requests: the keys of
//! headers, the names of listeners, the addresses of clients.
//!
//! Everything here is bounded, and nothing of it changes what an application sees: it is a question of cost
//! alone, and a thread that finds it taken makes do with an empty one.

use std::net::{IpAddr, SocketAddr};

use funicorn_http::HeaderMap;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::header_keys::HeaderKeys;
use crate::native_string::{decimal, to_native};

/// For how many listeners a template is kept.
const LISTENERS: usize = 16;

/// For how many clients, by the last byte of their address, the text of it is kept: behind a proxy one is
/// enough; many clients who take turns on connections that persist should not push each other out.
const CLIENTS: usize = 64;

/// For how many ports of clients, by their last bits, the text is kept: a connection has the same for all of its
/// requests, and those that are open at a time mostly have different ones.
const PORTS: usize = 256;

/// What is remembered.
#[derive(Debug)]
pub(crate) struct Recollection {
    pub(crate) keys: HeaderKeys,
    /// Templates that name their listener.
    listeners: Vec<(SocketAddr, Py<PyDict>)>,
    clients: Texts<IpAddr>,
    ports: Texts<u16>,
}

impl Recollection {
    /// Nothing yet.
    pub(crate) fn new(header_map: HeaderMap) -> Self {
        Self {
            keys: HeaderKeys::new(header_map),
            listeners: Vec::new(),
            clients: Texts::new(CLIENTS),
            ports: Texts::new(PORTS),
        }
    }

    /// A copy of `template` with `SERVER_NAME` and `SERVER_PORT` of the listener at `addr`.
    pub(crate) fn environ_at<'py>(
        &mut self,
        template: &Bound<'py, PyDict>,
        addr: SocketAddr,
    ) -> PyResult<Bound<'py, PyDict>> {
        let py = template.py();
        if let Some((_, known)) = self.listeners.iter().find(|(known, _)| *known == addr) {
            return known.bind(py).copy();
        }
        let named = template.copy()?;
        let ip = addr.ip().to_canonical();
        // RFC 3875 §4.1.14: an IPv6 address in brackets, so that a URL can be put together from it.
        let name = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        named.set_item(intern!(py, "SERVER_NAME"), to_native(py, name.as_bytes())?)?;
        named.set_item(intern!(py, "SERVER_PORT"), decimal(py, addr.port().into())?)?;
        let environ = named.copy()?;
        if self.listeners.len() < LISTENERS {
            self.listeners.push((addr, named.unbind()));
        }
        Ok(environ)
    }

    /// The text of a client's address.
    pub(crate) fn client<'py>(&mut self, py: Python<'py>, ip: IpAddr) -> PyResult<Bound<'py, PyString>> {
        let last_byte = match ip {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(ip) => ip.octets()[15],
        };
        self.clients.of(py, (ip, last_byte.into()), |ip| to_native(py, ip.to_string().as_bytes()))
    }

    /// The text of a client's port.
    pub(crate) fn port<'py>(&mut self, py: Python<'py>, port: u16) -> PyResult<Bound<'py, PyString>> {
        self.ports.of(py, (port, port.into()), |port| decimal(py, port.into()))
    }
}

/// Texts of what comes again, each in one of so many places until another needs that.
#[derive(Debug)]
struct Texts<T> {
    places: Box<[Option<Text<T>>]>,
}

/// What a text says, and the text.
type Text<T> = (T, Py<PyString>);

impl<T: Copy + PartialEq> Texts<T> {
    fn new(places: usize) -> Self {
        Self { places: std::iter::repeat_with(|| None).take(places).collect() }
    }

    /// The text of `what`, whose place is told by `number`; made by `make` if it is not there.
    fn of<'py>(
        &mut self,
        py: Python<'py>,
        (what, number): (T, usize),
        make: impl FnOnce(T) -> PyResult<Bound<'py, PyString>>,
    ) -> PyResult<Bound<'py, PyString>> {
        let len = self.places.len();
        let place = &mut self.places[number % len];
        if let Some((known, text)) = place
            && *known == what
        {
            return Ok(text.bind(py).clone());
        }
        let text = make(what)?;
        *place = Some((what, text.clone().unbind()));
        Ok(text)
    }
}
