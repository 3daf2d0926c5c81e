//! What applications do though PEP 3333 does not allow it, and every server takes.

use crate::common::{app, app_with, logged};

/// Each as `name: (status, headers)`; all of them mean `200` and `X-A: b`.
const TAKEN: &[(&str, &str)] = &[
    ("no reason", "('200', [('X-A', 'b')])"),
    ("two blanks", "('200  OK', [('X-A', 'b')])"),
    ("items of a dict", "('200 OK', {'X-A': 'b'}.items())"),
    ("tuple", "('200 OK', (('X-A', 'b'),))"),
    ("generator", "('200 OK', (pair for pair in [('X-A', 'b')]))"),
    ("subclass of list", "('200 OK', type('Lines', (list,), {})([('X-A', 'b')]))"),
    ("set", "('200 OK', {('X-A', 'b')})"),
    ("zip", "('200 OK', zip(['X-A'], ['b']))"),
    ("pair as list", "('200 OK', [['X-A', 'b']])"),
    ("pair as generator", "('200 OK', [(text for text in ['X-A', 'b'])])"),
];

/// What means nothing, or more than one thing.
const REFUSED: &[&str] = &[
    "('200 OK', None)",
    "('200 OK', 5)",
    "('200 OK', {'X-A': 'b'})",
    "('200 OK', {})",
    "('200 OK', '')",
    "('200 OK', b'')",
    "('200 OK', ['ab'])",
    "('200 OK', [b'ab'])",
    "('200 OK', [{'a': 1, 'b': 2}])",
    "('200 OK', [['a']])",
    "('200 OK', [['a', 'b', 'c']])",
    "('200 OK', [5])",
    "('200 OK', [['a', 5]])",
    "('200 OK', [['a', None]])",
    "('200 OK', (('a', b'b'),))",
    "('200 OK', {'a': 'b\\r\\nc'}.items())",
    "('200 OK', {'a b': 'c'}.items())",
    "(' 200 OK', [])",
    "('200\\tOK', [])",
    "('20', [])",
    "('2000', [])",
    "('', [])",
    "(200, [])",
];

fn source(arguments: &str) -> String {
    format!("def app(environ, start_response):\n    start_response(*{arguments})\n    return [b'x']\n")
}

#[test]
fn what_has_one_meaning_is_served_and_under_strict_headers_raises() {
    for (name, arguments) in TAKEN {
        let record = app(&source(arguments)).get("/");
        assert_eq!((record.status(), record.headers().as_str()), (200, "X-A: b\r\n"), "{name}");
        let strict = app_with(&source(arguments), |config| config.strict_headers = true);
        assert_eq!(strict.get("/").status(), 500, "{name}");
    }
}

#[test]
fn what_means_nothing_raises() {
    for arguments in REFUSED {
        assert_eq!(app(&source(arguments)).get("/").status(), 500, "{arguments}");
    }
}

#[test]
fn what_a_generator_of_headers_raises_reaches_the_application() {
    let app = app("
        def pairs():
            yield 'X-A', 'b'
            raise LookupError
        def app(environ, start_response):
            try:
                start_response('200 OK', pairs())
            except LookupError:
                start_response('200 OK', [])
            return [b'x']
    ");
    assert_eq!((app.get("/").status(), app.get("/").headers()), (200, String::new()));
}

#[test]
fn each_place_is_told_of_once() {
    let app = app("
        def twice_at_one_place(start_response):
            return start_response('204', {'X-A': 'b'}.items())
        def at_another(start_response):
            return start_response('204', [])
        def app(environ, start_response):
            if environ['PATH_INFO'] == '/':
                twice_at_one_place(start_response)
            else:
                at_another(start_response)
            return []
    ");
    for target in ["/", "/", "/other", "/other", "/"] {
        assert_eq!(app.get(target).status(), 204);
    }
    for (departure, place) in [
        ("a status that is not three digits", "in twice_at_one_place"),
        ("headers that are no list", "in twice_at_one_place"),
        ("a status that is not three digits", "in at_another"),
    ] {
        let lines = logged(place);
        let lines: Vec<_> = lines.iter().filter(|line| line.contains(departure)).collect();
        assert_eq!(lines.len(), 1, "{departure} {place}: {lines:?}");
    }
    // The file and the line of the call.
    assert!(
        logged("in twice_at_one_place").iter().all(|line| line.contains(":3, in")),
        "{:?}",
        logged("in twice")
    );
}
