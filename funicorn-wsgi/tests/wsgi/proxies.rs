//! What the environ says of requests that came through proxies, and which header names can reach it.

use funicorn_http::{
    Address, Body, ConnectionInfo, HeaderMap, Proxied, RequestHead, RequestHeadBuilder, Scheme,
};

use crate::common::{App, Client, app, app_with, connection, get};

/// Answers with one line for each string of the environ, sorted: `KEY=value`.
const REPORT: &str = "
    def app(environ, start_response):
        start_response('200 OK', [])
        lines = sorted(f'{key}={value}' for key, value in environ.items() if isinstance(value, str))
        return ['\\n'.join(lines).encode('latin-1')]
";

/// The lines of the environ whose keys are in `keys`, or begin with one that ends in `*`.
fn report(app: &App, keys: &str, head: RequestHeadBuilder, connection: ConnectionInfo) -> Vec<String> {
    let record = app.call_from(&Client::default(), head, Body::empty(), connection);
    assert_eq!(record.status(), 200);
    let is_wanted = |key: &str| {
        keys.split(' ').any(|wanted| match wanted.strip_suffix('*') {
            Some(start) => key.starts_with(start),
            None => key == wanted,
        })
    };
    let text: String = record.body().iter().copied().map(char::from).collect();
    let wanted = text.lines().filter(|line| line.split_once('=').is_some_and(|(key, _)| is_wanted(key)));
    wanted.map(str::to_owned).collect()
}

/// A connection that a proxy has said this of.
fn proxied(scheme: Scheme, host: Option<&str>, port: Option<u16>, prefix: Option<&str>) -> ConnectionInfo {
    let mut connection = connection("127.0.0.1:8000");
    let mut proxied = Proxied::default();
    (proxied.host, proxied.port) = (host.map(str::to_owned), port);
    proxied.prefix = prefix.map(str::to_owned);
    (connection.scheme, connection.proxied) = (scheme, Some(Box::new(proxied)));
    connection
}

#[test]
fn a_client_without_a_port_has_none_and_one_that_is_concealed_no_address() {
    let app = app(REPORT);
    for (peer, expected) in [
        (Address::Ip("192.0.2.9".parse().unwrap()), "REMOTE_ADDR=192.0.2.9"),
        (Address::Ip("2001:db8::1".parse().unwrap()), "REMOTE_ADDR=2001:db8::1"),
        (Address::Ip("::ffff:192.0.2.9".parse().unwrap()), "REMOTE_ADDR=192.0.2.9"),
        (Address::Unknown, "REMOTE_ADDR="),
        (Address::Unix(Some("/a".into())), "REMOTE_ADDR="),
    ] {
        let mut connection = connection("127.0.0.1:8000");
        connection.peer = peer;
        assert_eq!(report(&app, "REMOTE_*", get("/"), connection), [expected]);
    }
}

#[test]
fn host_and_port_of_a_proxy_agree_in_three_variables() {
    let app = app(REPORT);
    for (scheme, host, port, expected) in [
        (
            Scheme::Https,
            Some("b.example"),
            None,
            ["HTTP_HOST=b.example", "SERVER_NAME=b.example", "SERVER_PORT=443"],
        ),
        (
            Scheme::Http,
            Some("b.example:81"),
            None,
            ["HTTP_HOST=b.example:81", "SERVER_NAME=b.example", "SERVER_PORT=81"],
        ),
        (
            Scheme::Https,
            Some("b.example:81"),
            Some(8443),
            ["HTTP_HOST=b.example:8443", "SERVER_NAME=b.example", "SERVER_PORT=8443"],
        ),
        (Scheme::Https, None, Some(443), ["HTTP_HOST=a.example", "SERVER_NAME=127.0.0.1", "SERVER_PORT=443"]),
        (Scheme::Http, None, Some(81), ["HTTP_HOST=a.example:81", "SERVER_NAME=127.0.0.1", "SERVER_PORT=81"]),
        (Scheme::Http, Some("[::1]:81"), None, ["HTTP_HOST=[::1]:81", "SERVER_NAME=[::1]", "SERVER_PORT=81"]),
        (Scheme::Http, None, None, ["HTTP_HOST=a.example", "SERVER_NAME=127.0.0.1", "SERVER_PORT=8000"]),
    ] {
        let connection = proxied(scheme, host, port, None);
        assert_eq!(report(&app, "HTTP_HOST SERVER_NAME SERVER_PORT", get("/"), connection), expected);
    }
    let without_host = RequestHead::builder("GET", "/");
    let connection = proxied(Scheme::Http, None, Some(81), None);
    assert_eq!(report(&app, "HTTP_HOST SERVER_PORT", without_host, connection), ["SERVER_PORT=81"]);
}

#[test]
fn a_prefix_of_a_proxy_is_treated_as_a_root_path_and_replaces_it() {
    let app = app_with(REPORT, |config| config.root_path = "/root".to_owned());
    for (target, prefix, expected) in [
        ("/p/a", Some("/p"), ["PATH_INFO=/a", "SCRIPT_NAME=/p"]),
        ("/p", Some("/p"), ["PATH_INFO=", "SCRIPT_NAME=/p"]),
        ("/pa", Some("/p"), ["PATH_INFO=/pa", "SCRIPT_NAME=/p"]),
        ("/a", Some("/p"), ["PATH_INFO=/a", "SCRIPT_NAME=/p"]),
        ("/root/a", Some("/p"), ["PATH_INFO=/root/a", "SCRIPT_NAME=/p"]),
        ("/root/a", Some(""), ["PATH_INFO=/root/a", "SCRIPT_NAME="]),
        ("/root/a", None, ["PATH_INFO=/a", "SCRIPT_NAME=/root"]),
        ("*", Some("/p"), ["PATH_INFO=", "SCRIPT_NAME="]),
    ] {
        let head = RequestHead::builder(if target == "*" { "OPTIONS" } else { "GET" }, target);
        let connection = proxied(Scheme::Http, None, None, prefix);
        assert_eq!(report(&app, "PATH_INFO SCRIPT_NAME", head, connection), expected, "{target} {prefix:?}");
    }
}

#[test]
fn headers_of_proxies_are_variables_and_nothing_else() {
    let head = get("/")
        .header("X-Forwarded-For", "6.6.6.6")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "evil.example")
        .header("X-Forwarded-Prefix", "/evil");
    let keys = "REMOTE_ADDR wsgi.url_scheme HTTPS SERVER_NAME HTTP_HOST SCRIPT_NAME HTTP_X_FORWARDED_FOR";
    assert_eq!(
        report(&app(REPORT), keys, head, connection("127.0.0.1:8000")),
        [
            "HTTP_HOST=a.example",
            "HTTP_X_FORWARDED_FOR=6.6.6.6",
            "REMOTE_ADDR=192.0.2.7",
            "SCRIPT_NAME=",
            "SERVER_NAME=127.0.0.1",
            "wsgi.url_scheme=http"
        ]
    );
}

/// Names that try to be what they are not, each with another value.
fn hostile() -> RequestHeadBuilder {
    get("/")
        .header("Content-Type", "good/type")
        .header("X-Forwarded-For", "1")
        .header("X_Forwarded_For", "2")
        .header("X-Forwarded_For", "3")
        .header("x-forwarded-for", "4")
        .header("Proxy", "5")
        .header("PROXY", "6")
        .header("proxy", "7")
        .header("Content_Type", "8")
        .header("Content_Length", "9")
        .header("Transfer_Encoding", "chunked")
        .header("HTTP_HOST", "10")
        .header("Http-Host", "11")
        .header("REMOTE_ADDR", "12")
        .header("Remote-Addr", "13")
        .header("Script_Name", "14")
        .header("HTTPS", "15")
        .header("wsgi.url_scheme", "16")
        .header("_", "17")
        .header("Cookie", "a=1")
        .header("COOKIE", "b=2")
}

const HOSTILE_KEYS: &str = "HTTP_* CONTENT_* TRANSFER_* REMOTE_ADDR SCRIPT_NAME HTTPS wsgi.url_scheme";

#[test]
fn names_with_underscores_are_dropped_unless_they_are_wanted() {
    // The server refuses before it comes to this; whoever does not ask it still has nothing to fear.
    for map in [HeaderMap::Drop, HeaderMap::Refuse] {
        let app = app_with(REPORT, |config| config.header_map = map);
        for _ in 0..2 {
            assert_eq!(
                report(&app, HOSTILE_KEYS, hostile(), connection("127.0.0.1:8000")),
                [
                    "CONTENT_TYPE=good/type",
                    "HTTP_COOKIE=a=1; b=2",
                    "HTTP_HOST=a.example",
                    "HTTP_HTTPS=15",
                    "HTTP_HTTP_HOST=11",
                    "HTTP_REMOTE_ADDR=13",
                    "HTTP_X_FORWARDED_FOR=1,4",
                    "REMOTE_ADDR=192.0.2.7",
                    "SCRIPT_NAME=",
                    "wsgi.url_scheme=http",
                ]
            );
        }
    }
}

#[test]
fn even_wanted_they_are_never_what_the_server_vouches_for() {
    let app = app_with(REPORT, |config| config.header_map = HeaderMap::Dangerous);
    for _ in 0..2 {
        assert_eq!(
            report(&app, HOSTILE_KEYS, hostile(), connection("127.0.0.1:8000")),
            [
                "CONTENT_TYPE=good/type",
                "HTTP_COOKIE=a=1; b=2",
                "HTTP_HOST=a.example",
                "HTTP_HTTPS=15",
                "HTTP_HTTP_HOST=10,11",
                "HTTP_REMOTE_ADDR=12,13",
                "HTTP_SCRIPT_NAME=14",
                "HTTP_WSGI.URL_SCHEME=16",
                "HTTP_X_FORWARDED_FOR=1,2,3,4",
                "HTTP__=17",
                "REMOTE_ADDR=192.0.2.7",
                "SCRIPT_NAME=",
                "wsgi.url_scheme=http",
            ]
        );
    }
}

#[test]
fn a_header_called_proxy_is_in_no_environ() {
    for map in [HeaderMap::Drop, HeaderMap::Refuse, HeaderMap::Dangerous] {
        let app = app_with(REPORT, |config| config.header_map = map);
        for name in ["Proxy", "PROXY", "proxy", "pRoXy"] {
            let head = get("/").header(name, "http://evil.example");
            assert_eq!(report(&app, "HTTP_PROXY", head, connection("127.0.0.1:8000")), [""; 0]);
        }
    }
}
