//! What does the application learn about the address that its client asked for, when that is a proxy's?
//!
//! Applications make links out of `HTTP_HOST`, and of `SERVER_NAME` and `SERVER_PORT` where there is none (PEP 3333, "URL
//! Reconstruction"). So what a trusted proxy says of host and port goes into all three, and they agree.

use std::borrow::Cow;

use funicorn_http::{Proxied, RequestHead, Scheme};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::environ::split_host;
use crate::native_string::{decimal, to_native};

/// Sets what the host and the port that a proxy has said make different.
pub(crate) fn set_server(
    environ: &Bound<'_, PyDict>,
    proxied: &Proxied,
    (head, scheme): (&RequestHead, Scheme),
) -> PyResult<()> {
    let py = environ.py();
    if let Some(host) = &proxied.host {
        let (name, port) = split_host(host.as_bytes(), scheme);
        environ.set_item(intern!(py, "SERVER_NAME"), to_native(py, name)?)?;
        environ.set_item(intern!(py, "SERVER_PORT"), to_native(py, port)?)?;
    }
    if let Some(port) = proxied.port {
        environ.set_item(intern!(py, "SERVER_PORT"), decimal(py, port.into())?)?;
    }
    let sent = || head.authority().or_else(|| head.headers().get("host"));
    match proxied.host.as_ref().map(String::as_bytes).or_else(sent) {
        Some(host) if proxied.host.is_some() || proxied.port.is_some() => {
            let host = host_at(host, proxied.port, scheme);
            environ.set_item(intern!(py, "HTTP_HOST"), to_native(py, &host)?)
        }
        _ => Ok(()),
    }
}

/// `host` with `port` for its port, which is left out where the scheme says it.
fn host_at(host: &[u8], port: Option<u16>, scheme: Scheme) -> Cow<'_, [u8]> {
    let Some(port) = port.filter(|_| !host.is_empty()) else { return Cow::Borrowed(host) };
    let (name, _) = split_host(host, scheme);
    match (scheme, port) {
        (Scheme::Http, 80) | (Scheme::Https, 443) => Cow::Borrowed(name),
        _ => Cow::Owned([name, format!(":{port}").as_bytes()].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_named_unless_the_scheme_says_it() {
        for (host, port, scheme, expected) in [
            ("a.example", None, Scheme::Https, "a.example"),
            ("a.example:81", None, Scheme::Https, "a.example:81"),
            ("a.example:81", Some(443), Scheme::Https, "a.example"),
            ("a.example:81", Some(443), Scheme::Http, "a.example:443"),
            ("a.example", Some(80), Scheme::Http, "a.example"),
            ("[::1]:81", Some(8080), Scheme::Http, "[::1]:8080"),
            ("[::1]", Some(80), Scheme::Http, "[::1]"),
            ("", Some(81), Scheme::Http, ""),
        ] {
            assert_eq!(host_at(host.as_bytes(), port, scheme), expected.as_bytes(), "{host} {port:?}");
        }
    }
}
