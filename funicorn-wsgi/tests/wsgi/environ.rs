//! PEP 3333, "environ Variables".

use std::sync::Arc;

use bytes::Bytes;
use funicorn_http::{
    Address, Body, ConnectionInfo, Event, Limits, Proxied, Request, RequestHead, RequestHeadBuilder, Scheme,
    Service, Session, Version,
};

use crate::common::{App, Client, app, app_with, connection, get, spooled};

/// Answers with the `repr` of the values of the keys in `X-Keys`, and checks what holds for every environ.
const ECHO: &str = "
    def app(environ, start_response):
        assert type(environ) is dict
        for key, value in environ.items():
            assert type(key) is str
            if not key.startswith('wsgi.'):
                assert type(value) is str, key
        start_response('200 OK', [])
        keys = environ['HTTP_X_KEYS'].split(' ')
        return ['|'.join(environ.get(key, 'absent') for key in keys).encode('latin-1')]
";

impl App {
    /// The values of `keys` (separated by blanks) in the environ of a request.
    fn values(&self, keys: &str, head: RequestHeadBuilder, body: Body, connection: ConnectionInfo) -> String {
        let record = self.call_from(&Client::default(), head.header("X-Keys", keys), body, connection);
        assert_eq!(record.status(), 200);
        record.body().iter().copied().map(char::from).collect()
    }
}

fn values(keys: &str, head: RequestHeadBuilder) -> String {
    app(ECHO).values(keys, head, Body::empty(), connection("127.0.0.1:8000"))
}

#[test]
fn the_request_line_is_in_the_environ() {
    let keys = "REQUEST_METHOD SCRIPT_NAME PATH_INFO QUERY_STRING RAW_URI REQUEST_URI SERVER_PROTOCOL";
    for (head, expected) in [
        (get("/"), "GET||/||/|/|HTTP/1.1"),
        (get("/a%20b?c=%20d"), "GET||/a b|c=%20d|/a%20b?c=%20d|/a%20b?c=%20d|HTTP/1.1"),
        (RequestHead::builder("PATCH", "/x?").version(Version::Http10), "PATCH||/x||/x?|/x?|HTTP/1.0"),
        (RequestHead::builder("OPTIONS", "*"), "OPTIONS||||*|*|HTTP/1.1"),
    ] {
        assert_eq!(values(keys, head), expected);
    }
}

#[test]
fn path_info_is_percent_decoded_to_a_latin_1_string() {
    for (target, path) in [
        ("/%C3%A9", "/\u{c3}\u{a9}"),
        ("/a%2Fb", "/a/b"),
        ("/%zz", "/%zz"),
        ("/%", "/%"),
        ("/\u{e9}", "/\u{c3}\u{a9}"),
    ] {
        assert_eq!(values("PATH_INFO", get(target)), path, "{target}");
    }
}

#[test]
fn an_encoded_nul_in_the_path_is_refused() {
    let record = app(ECHO).get("/a%00b");
    assert_eq!((record.status(), record.text().as_str()), (400, "the path contains %00\n"));
}

#[test]
fn root_path_is_script_name_and_stripped_once_on_a_segment_boundary() {
    let app = app_with(ECHO, |config| config.root_path = "/p/".to_owned());
    for (head, expected) in [
        (get("/p"), "/p|"),
        (get("/p/"), "/p|/"),
        (get("/p/a"), "/p|/a"),
        (get("/p/p/a"), "/p|/p/a"),
        (get("/%70/a"), "/p|/a"),
        (get("/pa"), "/p|/pa"),
        (get("/a"), "/p|/a"),
        (RequestHead::builder("OPTIONS", "*"), "|"),
    ] {
        let description = format!("{head:?}");
        let found = app.values("SCRIPT_NAME PATH_INFO", head, Body::empty(), connection("127.0.0.1:8000"));
        assert_eq!(found, expected, "{description}");
    }
}

#[test]
fn headers_are_http_variables() {
    let head = || get("/").header("aCCept", "text/*").header("X-Latin", b"\xe9").header("X-Empty", "");
    assert_eq!(
        values("HTTP_HOST HTTP_ACCEPT HTTP_X_LATIN HTTP_X_EMPTY HTTP_X_OTHER", head()),
        "a.example|text/*|\u{e9}||absent"
    );
    // A second request finds the keys remembered.
    let app = app(ECHO);
    for _ in 0..2 {
        let found = app.values("HTTP_ACCEPT", head(), Body::empty(), connection("127.0.0.1:8000"));
        assert_eq!(found, "text/*");
    }
}

#[test]
fn a_value_that_is_remembered_is_not_given_to_another_request() {
    let app = app(ECHO);
    let long = "l".repeat(300);
    for value in ["a", "a", "b", "", &long, "a", "A"] {
        for name in ["User-Agent", "Sec-Fetch-Mode", "Cookie", "X-Other"] {
            let key = format!("HTTP_{}", name.to_uppercase().replace('-', "_"));
            let head = get("/").header(name, value);
            assert_eq!(app.values(&key, head, Body::empty(), connection("127.0.0.1:8000")), value, "{name}");
        }
    }
}

/// Tells its environ, and spoils it.
const TELL_AND_SPOIL: &str = "
    def app(environ, start_response):
        start_response('200 OK', [])
        told = sorted((key, value) for key, value in environ.items() if type(value) is str)
        told.append(('body', environ['wsgi.input'].read()))
        environ.update(dict.fromkeys(environ, 'spoiled'), HTTP_NEW='spoiled')
        environ.pop('HTTP_HOST', None)
        return [repr(told).encode()]
";

/// One request in `wire`, which comes on the connection of `session`.
fn receive(session: &mut Session, wire: &str) -> (RequestHead, Body) {
    let mut input = wire.as_bytes();
    let Ok(Event::Head(received)) = session.receive(&mut input) else { panic!("no head in {wire:?}") };
    let mut body = Vec::new();
    while let Ok(Event::Data(bytes)) = session.receive(&mut input) {
        body.extend_from_slice(bytes);
    }
    session.next_request();
    (received.head, Body::from(Bytes::from(body)))
}

impl App {
    /// What the application answers to a request that came over this very connection.
    fn answer(&self, (head, body): (RequestHead, Body), connection: &Arc<ConnectionInfo>) -> String {
        let client = Client::default();
        self.service.call(Request::new(head, body, Arc::clone(connection)), client.writer());
        let record = client.record.lock().unwrap();
        record.text()
    }
}

#[test]
fn lines_that_are_repeated_change_nothing() {
    let app = app(TELL_AND_SPOIL);
    let session = || Session::new(Arc::new(Limits::default()));
    let mut proxied = connection("127.0.0.1:8000");
    let mut said = Proxied::default();
    (said.host, said.prefix) = (Some("shop.example".to_owned()), Some("/shop".to_owned()));
    proxied.proxied = Some(Box::new(said));
    proxied.scheme = Scheme::Https;
    let unix = ConnectionInfo::new(Address::Unix(None), Address::Unix(None));
    let lines = "Host: a.example:81\r\nCookie: a=1\r\nCookie: b=2\r\nX: y\r\n";
    for connection in [connection("127.0.0.1:8000"), unix, proxied].map(Arc::new) {
        let mut repeating = session();
        for start in [
            "GET / HTTP/1.1",
            "GET / HTTP/1.1",
            "GET / HTTP/1.1",
            "GET /a%20b?c HTTP/1.1",
            "GET http://b.example/ HTTP/1.1",
            "PUT / HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "GET / HTTP/1.0",
            "GET / HTTP/1.0",
            "GET / HTTP/1.1",
        ] {
            let wire = format!("{start}\r\n{lines}\r\n");
            let expected = app.answer(receive(&mut session(), &wire), &connection);
            assert!(expected.contains("a=1; b=2"));
            assert_eq!(app.answer(receive(&mut repeating, &wire), &connection), expected, "{start}");
        }
        let mut repeating = session();
        for body in ["12345", "54321", "", "12345"] {
            let wire = format!("POST / HTTP/1.1\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len());
            let again = format!("POST / HTTP/1.1\r\n{lines}Content-Length: 5\r\n\r\nabcde");
            for wire in [&wire, &again, &again, &again] {
                let expected = app.answer(receive(&mut session(), wire), &connection);
                assert_eq!(app.answer(receive(&mut repeating, wire), &connection), expected, "{wire:?}");
            }
        }
    }
}

#[test]
fn what_is_kept_for_one_connection_is_not_given_to_another() {
    let app = app(TELL_AND_SPOIL);
    let mut session = Session::new(Arc::new(Limits::default()));
    let [one, other] = ["127.0.0.1:8001", "127.0.0.1:8002"].map(|local| Arc::new(connection(local)));
    let mut answer = |connection| {
        let received = receive(&mut session, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
        app.answer(received, connection)
    };
    for connection in [&one, &one, &one, &other, &one, &other] {
        let port = if Arc::ptr_eq(connection, &one) { "8001" } else { "8002" };
        let answer = answer(connection);
        assert!(answer.contains(&format!("('SERVER_PORT', '{port}')")), "{port}: {answer}");
    }
}

#[test]
fn more_spellings_than_are_remembered_are_still_right() {
    let app = app(ECHO);
    for number in 0..600 {
        let head = get("/").header(&format!("X-N-{number}"), "v");
        let key = format!("HTTP_X_N_{number}");
        assert_eq!(app.values(&key, head, Body::empty(), connection("127.0.0.1:8000")), "v");
    }
}

#[test]
fn repeated_headers_are_joined_in_order_and_cookies_by_semicolon() {
    let head = get("/")
        .header("X-A", "1")
        .header("Cookie", "a=1")
        .header("x-a", "2")
        .header("X-B", "b")
        .header("COOKIE", "b=2, c")
        .header("X-A", "3");
    assert_eq!(values("HTTP_X_A HTTP_COOKIE HTTP_X_B", head), "1,2,3|a=1; b=2, c|b");
}

#[test]
fn the_authority_of_an_absolute_target_replaces_host() {
    let app = app("
        def app(environ, start_response):
            start_response('200 OK', [])
            keys = 'HTTP_HOST PATH_INFO QUERY_STRING RAW_URI SERVER_NAME SERVER_PORT'.split()
            return ['|'.join(environ[key] for key in keys).encode()]
    ");
    let mut input = &b"GET http://b.example:81/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n"[..];
    let Ok(Event::Head(received)) = Session::new(Arc::new(Limits::default())).receive(&mut input) else {
        panic!("not a head");
    };
    let client = Client::default();
    let unix = ConnectionInfo::new(Address::Unix(None), Address::Unix(None));
    let request = Request::new(received.head, Body::empty(), Arc::new(unix));
    app.service.call(request, client.writer());
    let expected = "b.example:81|/x|y|http://b.example:81/x?y|b.example|81";
    assert_eq!(client.record.lock().unwrap().text(), expected);
}

#[test]
fn names_with_an_underscore_are_dropped() {
    let head = get("/").header("X_Forwarded_For", "evil").header("Content_Type", "evil");
    assert_eq!(values("HTTP_X_FORWARDED_FOR HTTP_CONTENT_TYPE CONTENT_TYPE", head), "absent|absent|absent");
}

#[test]
fn content_type_and_length_have_no_http_prefix() {
    let head = RequestHead::builder("POST", "/").header("Content-Type", "a/b").header("content-length", "3");
    let keys = "CONTENT_TYPE CONTENT_LENGTH HTTP_CONTENT_TYPE HTTP_CONTENT_LENGTH";
    let app = app(ECHO);
    let body = Body::from(Bytes::from_static(b"abc"));
    assert_eq!(app.values(keys, head, body, connection("127.0.0.1:8000")), "a/b|3|absent|absent");
    assert_eq!(values(keys, get("/")), "absent|absent|absent|absent");
    assert_eq!(values(keys, get("/").header("Content-Length", "0")), "absent|0|absent|absent");
}

#[test]
fn a_chunked_body_has_its_decoded_length_as_content_length() {
    let keys = "CONTENT_LENGTH HTTP_TRANSFER_ENCODING";
    let app = app(ECHO);
    for (body, expected) in [(spooled("abcd"), "4|absent"), (Body::empty(), "0|absent")] {
        let head = RequestHead::builder("POST", "/").header("Transfer-Encoding", "chunked");
        assert_eq!(app.values(keys, head, body, connection("127.0.0.1:8000")), expected);
    }
}

#[test]
fn server_and_remote_come_from_the_connection() {
    let keys = "SERVER_NAME SERVER_PORT REMOTE_ADDR REMOTE_PORT";
    let app = app(ECHO);
    for (local, expected) in [
        ("127.0.0.1:8000", "127.0.0.1|8000|192.0.2.7|4711"),
        ("127.0.0.1:8000", "127.0.0.1|8000|192.0.2.7|4711"),
        ("[::1]:80", "[::1]|80|192.0.2.7|4711"),
        ("[::ffff:10.0.0.1]:80", "10.0.0.1|80|192.0.2.7|4711"),
    ] {
        assert_eq!(app.values(keys, get("/"), Body::empty(), connection(local)), expected);
    }
}

#[test]
fn server_name_and_port_are_never_empty_on_a_unix_socket() {
    let keys = "SERVER_NAME SERVER_PORT REMOTE_ADDR REMOTE_PORT";
    let app = app(ECHO);
    for (head, expected) in [
        (RequestHead::builder("GET", "/"), "localhost|80||absent"),
        (RequestHead::builder("GET", "/").header("Host", ""), "localhost|80||absent"),
        (get("/"), "a.example|80||absent"),
        (RequestHead::builder("GET", "/").header("Host", "b.example:8080"), "b.example|8080||absent"),
    ] {
        let unix = ConnectionInfo::new(Address::Unix(None), Address::Unix(Some("/run/app.sock".into())));
        assert_eq!(app.values(keys, head, Body::empty(), unix), expected);
    }
}

#[test]
fn wsgi_variables_tell_the_truth() {
    const WSGI: &str = "
        def app(environ, start_response):
            start_response('200 OK', [])
            keys = 'version url_scheme multithread multiprocess run_once input_terminated'.split()
            return [repr([environ['wsgi.' + key] for key in keys]).encode()]
    ";
    assert_eq!(app(WSGI).get("/").text(), "[(1, 0), 'http', False, False, False, True]");
    let parallel = app_with(WSGI, |config| {
        config.multithread = true;
        config.multiprocess = true;
    });
    assert_eq!(parallel.get("/").text(), "[(1, 0), 'http', True, True, False, True]");
}

#[test]
fn the_scheme_is_that_of_the_connection() {
    let app = app("
        def app(environ, start_response):
            start_response('200 OK', [])
            return [environ['wsgi.url_scheme'].encode(), environ['HTTPS'].encode()]
    ");
    let mut connection = connection("127.0.0.1:443");
    connection.scheme = funicorn_http::Scheme::Https;
    let record = app.call_from(&Client::default(), get("/"), Body::empty(), connection);
    assert_eq!(record.text(), "httpson");
}

#[test]
fn each_request_has_an_environ_of_its_own() {
    let app = app("
        def app(environ, start_response):
            seen = 'mine' in environ or 'SERVER_SOFTWARE' not in environ
            environ['mine'] = 1
            del environ['SERVER_SOFTWARE']
            environ.pop('HTTP_HOST')
            start_response('200 OK', [])
            return [repr(seen).encode()]
    ");
    assert_eq!((app.get("/").text(), app.get("/").text()), ("False".to_owned(), "False".to_owned()));
}

#[test]
fn errors_takes_any_text_and_survives_close() {
    let app = app("
        def app(environ, start_response):
            errors = environ['wsgi.errors']
            count = errors.write('caf\\u00e9 \\u65e5 ')
            errors.close()
            errors.writelines(['a', '\\ud800', 'b\\n'])
            print('printed', file=errors)
            errors.flush()
            try:
                errors.write(b'bytes')
            except TypeError:
                errors.write('no bytes')
            start_response('200 OK', [])
            return [str(count).encode()]
    ");
    assert_eq!(app.get("/").text(), "7");
    assert_eq!(app.errors(), "café 日 a\\ud800b\nprinted\nno bytes");
}
