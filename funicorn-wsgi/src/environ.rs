//! What does the application learn about a request? The environ: PEP 3333, "environ Variables"; RFC 3875
//! §4.1.
//!
//! What is the same for every request stands in a template that is copied; copying a dictionary costs a
//! fifth of filling one. Every value is a native string (see [`native_string`](crate::native_string)), and
//! what is not known is left out.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Mutex, TryLockError};

use funicorn_http::{Address, ConnectionInfo, RequestHead, Scheme, TargetForm, Version};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::WsgiConfig;
use crate::errors::ErrorStream;
use crate::file_wrapper::FileWrapper;
use crate::header_keys::{HeaderKey, HeaderKeys};
use crate::native_string::to_native;
use crate::path;

/// What every request sets. Their places in the template are made ready.
const ALWAYS: [&str; 10] = [
    "REQUEST_METHOD",
    "PATH_INFO",
    "QUERY_STRING",
    "RAW_URI",
    "REQUEST_URI",
    "SERVER_PROTOCOL",
    "SERVER_NAME",
    "SERVER_PORT",
    "REMOTE_ADDR",
    "wsgi.input",
];

/// Makes environs.
#[derive(Debug)]
pub(crate) struct Environs {
    template: Py<PyDict>,
    /// `SCRIPT_NAME` as bytes.
    root: Vec<u8>,
    keys: Mutex<HeaderKeys>,
    /// `SERVER_NAME` and `SERVER_PORT` of the listener that was seen last.
    local: Mutex<Option<Local>>,
}

/// The two strings that name a TCP listener.
#[derive(Debug)]
struct Local {
    addr: SocketAddr,
    name: Py<PyString>,
    port: Py<PyString>,
}

impl Environs {
    pub(crate) fn new(py: Python<'_>, config: &WsgiConfig) -> PyResult<Self> {
        let root = path::normalize_root(&config.root_path).into_bytes();
        let template = PyDict::new(py);
        for key in ALWAYS {
            template.set_item(PyString::intern(py, key), py.None())?;
        }
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
        Ok(Self { template: template.unbind(), root, keys: Mutex::default(), local: Mutex::default() })
    }

    /// The environ of one request, whose body has `body_len` bytes and is read through `input`.
    pub(crate) fn build<'py>(
        &self,
        py: Python<'py>,
        head: &RequestHead,
        connection: &ConnectionInfo,
        input: &Bound<'py, PyAny>,
        body_len: Option<u64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let environ = self.template.bind(py).copy()?;
        environ.set_item(intern!(py, "REQUEST_METHOD"), method(py, head.method())?)?;
        self.set_target(&environ, head)?;
        let protocol = match head.version() {
            Version::Http10 => intern!(py, "HTTP/1.0"),
            Version::Http11 => intern!(py, "HTTP/1.1"),
        };
        environ.set_item(intern!(py, "SERVER_PROTOCOL"), protocol)?;
        if connection.scheme == Scheme::Https {
            environ.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
            environ.set_item(intern!(py, "HTTPS"), intern!(py, "on"))?;
        }
        self.set_addresses(&environ, head, connection)?;
        environ.set_item(intern!(py, "wsgi.input"), input)?;
        self.set_headers(&environ, head)?;
        set_content_length(&environ, head, body_len)?;
        Ok(environ)
    }

    fn set_target(&self, environ: &Bound<'_, PyDict>, head: &RequestHead) -> PyResult<()> {
        let py = environ.py();
        let target = native(py, head.target())?;
        environ.set_item(intern!(py, "RAW_URI"), &target)?;
        environ.set_item(intern!(py, "REQUEST_URI"), target)?;
        environ.set_item(intern!(py, "QUERY_STRING"), native(py, head.query())?)?;
        if head.form() == TargetForm::Asterisk {
            // `OPTIONS *` asks about the server as a whole, which is mounted nowhere.
            environ.set_item(intern!(py, "SCRIPT_NAME"), intern!(py, ""))?;
            return environ.set_item(intern!(py, "PATH_INFO"), intern!(py, ""));
        }
        let path = path::percent_decode(head.path());
        environ.set_item(intern!(py, "PATH_INFO"), native(py, path::path_info(&path, &self.root))?)
    }

    fn set_addresses(
        &self,
        environ: &Bound<'_, PyDict>,
        head: &RequestHead,
        connection: &ConnectionInfo,
    ) -> PyResult<()> {
        let py = environ.py();
        let (name, port) = match &connection.local {
            Address::Tcp(addr) => self.local_names(py, *addr),
            // A Unix socket has no name that a client could use; what it used stands in Host.
            _ => {
                let host = head.authority().or_else(|| head.headers().get("host")).unwrap_or_default();
                let (name, port) = split_host(host, connection.scheme);
                (to_native(py, name)?, to_native(py, port)?)
            }
        };
        environ.set_item(intern!(py, "SERVER_NAME"), name)?;
        environ.set_item(intern!(py, "SERVER_PORT"), port)?;
        let Address::Tcp(addr) = &connection.peer else {
            return environ.set_item(intern!(py, "REMOTE_ADDR"), intern!(py, ""));
        };
        let mut text = String::with_capacity(46);
        // Writing into a String cannot fail.
        let _ = write!(text, "{}", addr.ip().to_canonical());
        environ.set_item(intern!(py, "REMOTE_ADDR"), PyString::new(py, &text))?;
        text.clear();
        let _ = write!(text, "{}", addr.port());
        environ.set_item(intern!(py, "REMOTE_PORT"), PyString::new(py, &text))
    }

    fn local_names<'py>(
        &self,
        py: Python<'py>,
        addr: SocketAddr,
    ) -> (Bound<'py, PyString>, Bound<'py, PyString>) {
        let mut last = try_lock(&self.local);
        if let Some(Some(local)) = last.as_deref()
            && local.addr == addr
        {
            return (local.name.bind(py).clone(), local.port.bind(py).clone());
        }
        let ip = addr.ip().to_canonical();
        // RFC 3875 §4.1.14: an IPv6 address in brackets, so that a URL can be put together from it.
        let name = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        let (name, port) = (PyString::new(py, &name), PyString::new(py, &addr.port().to_string()));
        if let Some(last) = &mut last {
            **last = Some(Local { addr, name: name.clone().unbind(), port: port.clone().unbind() });
        }
        (name, port)
    }

    fn set_headers(&self, environ: &Bound<'_, PyDict>, head: &RequestHead) -> PyResult<()> {
        let py = environ.py();
        let mut keys = try_lock(&self.keys);
        for (name, value) in head.headers() {
            let set = |key: &Bound<'_, PyString>| {
                let before = environ.len();
                environ.set_item(key, native(py, value)?)?;
                // A key that was there already is a header that came twice; that is rare, so only then is
                // it looked at.
                if environ.len() == before { join_repeated(environ, head, name, key) } else { Ok(()) }
            };
            match &mut keys {
                Some(keys) => keys.with_key(py, name, set)?,
                None => HeaderKey::of(py, name).apply(py, set)?,
            }
        }
        match head.authority() {
            Some(authority) => environ.set_item(intern!(py, "HTTP_HOST"), native(py, authority)?),
            None => Ok(()),
        }
    }
}

/// Gives the template's table room for twenty more entries, so that no copy of it grows while headers are
/// set: a tenth of the cost of an environ. A table grows by insertion and keeps its size at deletion; its
/// copies have the same, as long as few of its entries are deleted ones.
fn grow(template: &Bound<'_, PyDict>) -> PyResult<()> {
    let passing = ["grow 1", "grow 2", "grow 3", "grow 4"];
    passing.iter().try_for_each(|key| template.set_item(key, ()))?;
    passing.iter().try_for_each(|key| template.del_item(key))
}

/// Joins the values of all lines called `name`, in order: by `,`, and those of Cookie, where a comma is
/// data, by `; `.
fn join_repeated(
    environ: &Bound<'_, PyDict>,
    head: &RequestHead,
    name: &[u8],
    key: &Bound<'_, PyString>,
) -> PyResult<()> {
    let separator: &[u8] = if name.eq_ignore_ascii_case(b"cookie") { b"; " } else { b"," };
    let values = head.headers().iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let values: Vec<&[u8]> = values.map(|(_, value)| value).collect();
    environ.set_item(key, to_native(environ.py(), &values.join(separator))?)
}

/// `CONTENT_LENGTH` is the length of the body as it is read: a chunked one, being complete, has one too.
/// Without a body that was announced there is none.
fn set_content_length(
    environ: &Bound<'_, PyDict>,
    head: &RequestHead,
    body_len: Option<u64>,
) -> PyResult<()> {
    let py = environ.py();
    let headers = head.headers();
    let announced = body_len != Some(0)
        || headers.get("content-length").is_some()
        || headers.get("transfer-encoding").is_some();
    match body_len {
        Some(len) if announced => {
            environ.set_item(intern!(py, "CONTENT_LENGTH"), PyString::new(py, &len.to_string()))
        }
        _ => Ok(()),
    }
}

/// Ready-made strings for the values that most requests have.
fn native<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    Ok(match bytes {
        b"" => intern!(py, "").clone(),
        b"/" => intern!(py, "/").clone(),
        _ => to_native(py, bytes)?,
    })
}

fn method<'py>(py: Python<'py>, method: &[u8]) -> PyResult<Bound<'py, PyString>> {
    Ok(match method {
        b"GET" => intern!(py, "GET").clone(),
        b"POST" => intern!(py, "POST").clone(),
        b"HEAD" => intern!(py, "HEAD").clone(),
        b"PUT" => intern!(py, "PUT").clone(),
        b"DELETE" => intern!(py, "DELETE").clone(),
        _ => to_native(py, method)?,
    })
}

/// The name and port in a Host header or an authority; never empty.
fn split_host(host: &[u8], scheme: Scheme) -> (&[u8], &[u8]) {
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

/// A cache that another thread holds is done without: waiting for a lock while attached could be waiting
/// for ever.
fn try_lock<T>(mutex: &Mutex<T>) -> Option<std::sync::MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
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
