//! What does the application learn about a request? The environ: PEP 3333, "environ Variables"; RFC 3875
//! §4.1.
//!
//! What is the same for every request, or for most, stands in a template that is copied; copying a
//! dictionary costs a fifth of filling one. What differs from it is set. Every value is a native string (see
//! [`native_string`](crate::native_string)), and what is not known is left out.

use std::sync::{Arc, Mutex, TryLockError};

use funicorn_http::{Address, ConnectionInfo, HeaderMap, RequestHead, Scheme, TargetForm, Version};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::WsgiConfig;
use crate::errors::ErrorStream;
use crate::file_wrapper::FileWrapper;
use crate::header_keys::HeaderKey;
use crate::input::Input;
use crate::native_string::{decimal, to_native};
use crate::path;
use crate::proxied;
use crate::recollection::Recollection;
use crate::repeated::Repeated;

/// What most requests have in common. The template holds it, and [`Environs::build`] sets what differs.
const USUAL: [(&str, &str); 9] = [
    ("REQUEST_METHOD", "GET"),
    ("PATH_INFO", "/"),
    ("QUERY_STRING", ""),
    ("RAW_URI", "/"),
    ("REQUEST_URI", "/"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REMOTE_ADDR", ""),
    // Set for each request, or in the template of a listener; only their places are made ready.
    ("SERVER_NAME", ""),
    ("SERVER_PORT", ""),
];

/// Makes environs.
#[derive(Debug)]
pub(crate) struct Environs {
    template: Py<PyDict>,
    /// `SCRIPT_NAME` as bytes.
    root: Vec<u8>,
    header_map: HeaderMap,
    recollection: Mutex<Recollection>,
}

impl Environs {
    /// `no_input` is the `wsgi.input` of a request without a body.
    pub(crate) fn new(py: Python<'_>, config: &WsgiConfig, no_input: &Bound<'_, Input>) -> PyResult<Self> {
        let root = path::normalize_root(&config.root_path).into_bytes();
        let template = PyDict::new(py);
        for (key, value) in USUAL {
            template.set_item(PyString::intern(py, key), PyString::intern(py, value))?;
        }
        template.set_item(intern!(py, "wsgi.input"), no_input)?;
        template.set_item("wsgi.version", (1, 0))?;
        template.set_item("wsgi.url_scheme", intern!(py, "http"))?;
        template.set_item("wsgi.errors", ErrorStream::new(config.errors.clone()).into_pyobject(py)?)?;
        template.set_item("wsgi.multithread", config.multithread)?;
        template.set_item("wsgi.multiprocess", config.multiprocess)?;
        template.set_item("wsgi.run_once", false)?;
        // Every body is complete when the application is called, and reading past its end gives b"".
        template.set_item("wsgi.input_terminated", true)?;
        template.set_item("wsgi.file_wrapper", py.get_type::<FileWrapper>())?;
        template.set_item("SERVER_SOFTWARE", to_native(py, config.server_software.as_bytes())?)?;
        template.set_item("SCRIPT_NAME", to_native(py, &root)?)?;
        grow(&template)?;
        let header_map = config.header_map;
        let recollection = Mutex::new(Recollection::new(header_map));
        Ok(Self { template: template.unbind(), root, header_map, recollection })
    }

    /// The environ of one request, whose decoded path is `path`. Its body, if it has one, has `body_len`
    /// bytes and is read through `input`.
    pub(crate) fn build<'py>(
        &self,
        py: Python<'py>,
        (head, path): (&RequestHead, &[u8]),
        connection: &Arc<ConnectionInfo>,
        (input, body_len): (Option<&Bound<'py, Input>>, Option<u64>),
    ) -> PyResult<Bound<'py, PyDict>> {
        let environ = match Repeated::of(head, connection, body_len) {
            Some(repeated) => repeated.environ(py)?,
            None => self.start(py, head, connection, body_len)?,
        };
        self.set_request_line(&environ, head, (path, connection))?;
        if let Some(input) = input {
            environ.set_item(intern!(py, "wsgi.input"), input)?;
        }
        if let Some(proxied) = &connection.proxied {
            proxied::set_server(&environ, proxied, (head, connection.scheme))?;
        }
        Ok(environ)
    }

    /// An environ with what the connection and the header lines say, and how long the body is.
    fn start<'py>(
        &self,
        py: Python<'py>,
        head: &RequestHead,
        connection: &Arc<ConnectionInfo>,
        body_len: Option<u64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (mut shared, mut empty);
        let recollection = match self.recollection.try_lock() {
            Ok(guard) => {
                shared = guard;
                &mut *shared
            }
            Err(TryLockError::Poisoned(guard)) => {
                shared = guard.into_inner();
                &mut *shared
            }
            // Waiting for a lock while attached could be waiting for ever.
            Err(TryLockError::WouldBlock) => {
                empty = Recollection::new(self.header_map);
                &mut empty
            }
        };
        let environ = self.copy_template(py, recollection, head, connection)?;
        let announces_body = set_headers(&environ, recollection, head)?;
        match body_len {
            // The length of the body as it is read: a chunked one, being complete, has one too. Without a
            // body that was announced there is none.
            Some(len) if announces_body || len > 0 => {
                environ.set_item(intern!(py, "CONTENT_LENGTH"), decimal(py, len)?)?;
            }
            _ => {}
        }
        Repeated::keep(head, connection, (&environ, body_len))?;
        Ok(environ)
    }

    /// A copy of the template with what belongs to the connection.
    fn copy_template<'py>(
        &self,
        py: Python<'py>,
        recollection: &mut Recollection,
        head: &RequestHead,
        connection: &ConnectionInfo,
    ) -> PyResult<Bound<'py, PyDict>> {
        let template = self.template.bind(py);
        let environ = match &connection.local {
            Address::Tcp(addr) => recollection.environ_at(template, *addr)?,
            // A Unix socket has no name that a client could use; what it used stands in Host.
            _ => {
                let host = head.authority().or_else(|| head.headers().get("host")).unwrap_or_default();
                let (name, port) = split_host(host, connection.scheme);
                let environ = template.copy()?;
                environ.set_item(intern!(py, "SERVER_NAME"), to_native(py, name)?)?;
                environ.set_item(intern!(py, "SERVER_PORT"), to_native(py, port)?)?;
                environ
            }
        };
        if let Some(ip) = connection.peer.ip() {
            environ.set_item(intern!(py, "REMOTE_ADDR"), recollection.client(py, ip)?)?;
        }
        if let Address::Tcp(addr) = &connection.peer {
            environ.set_item(intern!(py, "REMOTE_PORT"), recollection.port(py, addr.port())?)?;
        }
        if connection.scheme == Scheme::Https {
            environ.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
            environ.set_item(intern!(py, "HTTPS"), intern!(py, "on"))?;
        }
        Ok(environ)
    }

    /// Sets what the request line says beyond `GET / HTTP/1.1`, with the path as seen from where the
    /// application is mounted.
    fn set_request_line(
        &self,
        environ: &Bound<'_, PyDict>,
        head: &RequestHead,
        (path, connection): (&[u8], &ConnectionInfo),
    ) -> PyResult<()> {
        let py = environ.py();
        if head.method() != b"GET" {
            environ.set_item(intern!(py, "REQUEST_METHOD"), method(py, head.method())?)?;
        }
        if head.version() == Version::Http10 {
            environ.set_item(intern!(py, "SERVER_PROTOCOL"), intern!(py, "HTTP/1.0"))?;
        }
        if head.target() != b"/" {
            let target = to_native(py, head.target())?;
            environ.set_item(intern!(py, "RAW_URI"), &target)?;
            environ.set_item(intern!(py, "REQUEST_URI"), target)?;
        }
        if !head.query().is_empty() {
            environ.set_item(intern!(py, "QUERY_STRING"), to_native(py, head.query())?)?;
        }
        let prefix = connection.proxied.as_ref().and_then(|proxied| proxied.prefix.as_deref());
        let root = prefix.map_or(&self.root[..], str::as_bytes);
        if head.form() == TargetForm::Asterisk {
            // `OPTIONS *` asks about the server as a whole, which is mounted nowhere.
            environ.set_item(intern!(py, "SCRIPT_NAME"), intern!(py, ""))?;
        } else if prefix.is_some() {
            environ.set_item(intern!(py, "SCRIPT_NAME"), to_native(py, root)?)?;
        }
        match path::path_info(path, root) {
            b"/" => Ok(()),
            info => environ.set_item(intern!(py, "PATH_INFO"), to_native(py, info)?),
        }
    }
}

/// Sets what the header lines say, and tells whether they announce a body.
fn set_headers(
    environ: &Bound<'_, PyDict>,
    recollection: &mut Recollection,
    head: &RequestHead,
) -> PyResult<bool> {
    let py = environ.py();
    let mut announced = false;
    let mut expected = environ.len();
    for (name, value) in head.headers() {
        match recollection.keys.of(py, name) {
            HeaderKey::Variable(variable) => {
                variable.set(environ, value)?;
                expected += 1;
            }
            HeaderKey::Announcement => announced = true,
            HeaderKey::Left => {}
        }
    }
    // A line that added no key has come twice; that is rare, so only then are the keys compared.
    if environ.len() < expected {
        join_repeated(environ, recollection, head)?;
    }
    if let Some(authority) = head.authority() {
        environ.set_item(intern!(py, "HTTP_HOST"), to_native(py, authority)?)?;
    }
    Ok(announced)
}

/// Gives the template's table room for twenty more entries, so that no copy of it grows while headers are
/// set: a tenth of the cost of an environ. A table grows by insertion and keeps its size at deletion; its
/// copies have the same, as long as few of its entries are deleted ones.
fn grow(template: &Bound<'_, PyDict>) -> PyResult<()> {
    let passing = ["grow 1", "grow 2", "grow 3", "grow 4"];
    passing.iter().try_for_each(|key| template.set_item(key, ()))?;
    passing.iter().try_for_each(|key| template.del_item(key))
}

/// Joins the values of lines that have the same key, in order: by `,`, and those of Cookie, where a comma is
/// data, by `; `.
fn join_repeated(
    environ: &Bound<'_, PyDict>,
    recollection: &mut Recollection,
    head: &RequestHead,
) -> PyResult<()> {
    let py = environ.py();
    let variables = head.headers().iter().filter_map(|(name, value)| match recollection.keys.of(py, name) {
        HeaderKey::Variable(variable) => Some((variable.key.clone_ref(py), value)),
        HeaderKey::Announcement | HeaderKey::Left => None,
    });
    let variables: Vec<(Py<PyString>, &[u8])> = variables.collect();
    let cookie = intern!(py, "HTTP_COOKIE");
    for (index, (key, _)) in variables.iter().enumerate() {
        // Keys are interned: the same text is the same object.
        let is_same = |(other, _): &&(Py<PyString>, &[u8])| other.is(key);
        // Each key once, at its first line, and only if there is another.
        if variables[..index].iter().any(|line| is_same(&line)) {
            continue;
        }
        let values: Vec<&[u8]> = variables.iter().filter(is_same).map(|(_, value)| *value).collect();
        if values.len() > 1 {
            let separator: &[u8] = if key.is(cookie) { b"; " } else { b"," };
            environ.set_item(key, to_native(py, &values.join(separator))?)?;
        }
    }
    Ok(())
}

fn method<'py>(py: Python<'py>, method: &[u8]) -> PyResult<Bound<'py, PyString>> {
    Ok(match method {
        b"POST" => intern!(py, "POST").clone(),
        b"HEAD" => intern!(py, "HEAD").clone(),
        b"PUT" => intern!(py, "PUT").clone(),
        b"DELETE" => intern!(py, "DELETE").clone(),
        _ => to_native(py, method)?,
    })
}

/// The name and port in a Host header or an authority; never empty.
pub(crate) fn split_host(host: &[u8], scheme: Scheme) -> (&[u8], &[u8]) {
    let after_brackets = host.iter().rposition(|&byte| byte == b']').unwrap_or(0);
    let colon = host[after_brackets..].iter().rposition(|&byte| byte == b':').map(|at| after_brackets + at);
    let (name, port) = match colon {
        Some(colon) => (&host[..colon], &host[colon + 1..]),
        None => (host, &b""[..]),
    };
    let name = if name.is_empty() { b"localhost" } else { name };
    let is_number = !port.is_empty() && port.iter().all(u8::is_ascii_digit);
    let default: &[u8] = if scheme == Scheme::Https { b"443" } else { b"80" };
    (name, if is_number { port } else { default })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_a_port_and_never_empty() {
        for (host, name, port) in [
            ("", "localhost", "80"),
            ("a.example", "a.example", "80"),
            ("a.example:8080", "a.example", "8080"),
            ("[::1]", "[::1]", "80"),
            ("[::1]:8080", "[::1]", "8080"),
            (":8080", "localhost", "8080"),
            ("a:", "a", "80"),
            ("a:x", "a", "80"),
        ] {
            assert_eq!(
                split_host(host.as_bytes(), Scheme::Http),
                (name.as_bytes(), port.as_bytes()),
                "{host}"
            );
        }
        assert_eq!(split_host(b"a", Scheme::Https).1, b"443");
    }
}
