//! PEP 3333, "The start_response() Callable" and "The write() Callable".

use funicorn_http::{AbortReason, BodyLength};

use crate::common::{End, Record, app, app_with, logged};

/// Runs `body`, the lines of an application, indented by four blanks.
fn run(body: &str) -> Record {
    app(&source(body)).get("/")
}

fn source(body: &str) -> String {
    let lines: String = body.trim_matches('\n').lines().map(|line| format!("{line}\n")).collect();
    format!("import sys\ndef app(environ, start_response):\n{lines}")
}

#[test]
fn it_takes_positional_and_keyword_arguments() {
    let record = run("
    start_response(status='201 Created', headers=[('X-A', 'b')], exc_info=None)
    return [b'x']
");
    assert_eq!((record.status(), record.headers().as_str()), (201, "X-A: b\r\n"));
    let record = run("
    start_response('202 Accepted', [('X-A', 'b')], None)
    return [b'x']
");
    assert_eq!((record.status(), record.head.unwrap().reason()), (202, &b"Accepted"[..]));
}

#[test]
fn headers_leave_in_the_applications_order_and_spelling() {
    let record = run("
    start_response('200 Fine, thanks', [('x-B', '1'), ('Set-Cookie', 'a'), ('X-a', ''), ('set-cookie', 'caf\\xe9')])
    return []
");
    assert_eq!(record.head.as_ref().unwrap().reason(), b"Fine, thanks");
    assert_eq!(record.head.unwrap().lines(), b"x-B: 1\r\nSet-Cookie: a\r\nX-a: \r\nset-cookie: caf\xe9\r\n");
}

#[test]
fn nothing_is_sent_at_the_call() {
    let record = run("
    start_response('200 OK', [])
    raise RuntimeError('after start_response')
");
    assert_eq!((record.status(), record.end), (500, Some(End::Finished)));
    assert_eq!(record.text(), "Internal Server Error\n");
    assert!(!logged("RuntimeError: after start_response").is_empty());
}

#[test]
fn an_empty_block_does_not_send_the_headers() {
    let record = run("
    write = start_response('200 OK', [])
    write(b'')
    def blocks():
        yield b''
        start_response('201 Created', [], (None, None, None))
        yield b''
        yield b'x'
    return blocks()
");
    assert_eq!((record.status(), record.text().as_str()), (201, "x"));
    assert_eq!(record.length, Some(BodyLength::Unknown));
}

#[test]
fn a_second_call_without_exc_info_is_an_error() {
    let record = run("
    start_response('200 OK', [])
    start_response('200 OK', [])
    return [b'x']
");
    assert_eq!(record.status(), 500);
    assert!(!logged("start_response() was called already").is_empty());
}

#[test]
fn exc_info_before_the_headers_are_sent_replaces_status_and_headers() {
    let record = run("
    start_response('200 OK', [('X-Old', '1'), ('Content-Length', '100')])
    try:
        raise ValueError('oops')
    except ValueError:
        start_response('503 Busy', [('X-New', '2')], sys.exc_info())
    return [b'busy']
");
    assert_eq!((record.status(), record.headers().as_str()), (503, "X-New: 2\r\n"));
    assert_eq!((record.length, record.end), (Some(BodyLength::Known(4)), Some(End::Finished)));
}

#[test]
fn a_first_call_may_have_exc_info() {
    let record = run("
    try:
        raise ValueError('oops')
    except ValueError:
        start_response('400 Bad', [], sys.exc_info())
    return [b'bad']
");
    assert_eq!((record.status(), record.text().as_str()), (400, "bad"));
}

#[test]
fn exc_info_after_the_headers_are_sent_is_raised_again() {
    let app = app("
        import sys
        caught = None
        def app(environ, start_response):
            global caught
            start_response('200 OK', [])
            yield b'sent'
            try:
                raise ValueError('late mistake')
            except ValueError:
                try:
                    start_response('500 Oops', [], sys.exc_info())
                except ValueError as error:
                    caught = (str(error), error.__traceback__ is not None)
                    raise
    ");
    let record = app.get("/");
    assert_eq!((record.status(), record.text().as_str()), (200, "sent"));
    assert_eq!(record.end, Some(End::Aborted(AbortReason::Application)));
    assert_eq!(app.global("caught"), "('late mistake', True)");
    assert!(logged("ValueError: late mistake").iter().any(|line| line.contains("Traceback")));
}

#[test]
fn a_call_after_the_headers_are_sent_is_an_error() {
    let record = run("
    write = start_response('200 OK', [])
    write(b'sent')
    start_response('200 OK', [])
    return []
");
    assert_eq!(record.end, Some(End::Aborted(AbortReason::Application)));
    assert!(!logged("start_response() was called after the headers were sent").is_empty());
}

#[test]
fn a_refused_replacement_keeps_the_first_head() {
    let record = run("
    start_response('200 OK', [('X-A', '1')])
    try:
        start_response('bad', [], (None, None, None))
    except ValueError:
        pass
    return [b'x']
");
    assert_eq!((record.status(), record.headers().as_str()), (200, "X-A: 1\r\n"));
}

#[test]
fn status_and_headers_are_checked_at_the_call() {
    let source = "
        caught = {}
        class Text(str):
            pass
        class Lines(list):
            pass
        def app(environ, start_response):
            cases = {
                'bytes status': (b'200 OK', []),
                'int status': (200, []),
                'no reason': ('200', []),
                'no digits': ('abc OK', []),
                'two blanks': ('200  OK', []),
                'no blank': ('200-OK', []),
                'informational': ('100 Continue', []),
                'early hints': ('103 Early Hints', []),
                'status with line end': ('200 OK\\r\\nX: y', []),
                'status beyond latin-1': ('200 \\u20ac', []),
                'fullwidth digits': ('\\uff12\\uff10\\uff10 OK', []),
                'tuple of headers': ('200 OK', ()),
                'dict of headers': ('200 OK', {}),
                'generator of headers': ('200 OK', (h for h in [])),
                'subclass of list': ('200 OK', Lines()),
                'header as list': ('200 OK', [['a', 'b']]),
                'triple': ('200 OK', [('a', 'b', 'c')]),
                'bytes name': ('200 OK', [(b'a', 'b')]),
                'bytes value': ('200 OK', [('a', b'b')]),
                'int value': ('200 OK', [('Content-Length', 5)]),
                'None value': ('200 OK', [('a', None)]),
                'empty name': ('200 OK', [('', 'b')]),
                'colon in name': ('200 OK', [('a:', 'b')]),
                'blank in name': ('200 OK', [('a b', 'b')]),
                'line end in name': ('200 OK', [('a\\r\\nb', 'b')]),
                'line end in value': ('200 OK', [('a', 'b\\r\\nSet-Cookie: c')]),
                'line feed in value': ('200 OK', [('a', 'b\\nc')]),
                'nul in value': ('200 OK', [('a', 'b\\0c')]),
                'value beyond latin-1': ('200 OK', [('a', '\\u20ac')]),
                'surrogate in value': ('200 OK', [('a', '\\udc80')]),
                'name beyond latin-1': ('200 OK', [('\\u20ac', 'b')]),
                'two lengths': ('200 OK', [('Content-Length', '1'), ('content-length', '1')]),
                'bad length': ('200 OK', [('Content-Length', '-1')]),
                'bad exc_info': ('200 OK', [], 5),
            }
            for name, arguments in cases.items():
                try:
                    start_response(*arguments)
                except (TypeError, ValueError) as error:
                    caught[name] = type(error).__name__ + ': ' + str(error)
                else:
                    caught[name] = 'nothing'
            assert 'nothing' not in caught.values(), caught
            start_response(Text('200 OK'), [(Text('X-A'), Text('1'))])
            return [b'fine']
    ";
    let app = app_with(source, |config| config.strict_headers = true);
    let record = app.get("/");
    assert_eq!(record.text(), "fine", "{:?}", logged("nothing"));
    let caught = app.global("caught");
    for text in [
        "the headers must be a list, not <class 'tuple'>",
        "three digits",
        "a status from 200 to 999",
        "the server itself says 100",
        "beyond Latin-1",
    ] {
        assert!(caught.contains(text), "{text}: {caught}");
    }
}

#[test]
fn hop_by_hop_headers_are_dropped_and_logged_once() {
    let app = app("
        def app(environ, start_response):
            start_response('200 OK', [('X-A', '1'), ('Keep-Alive', 'x'), ('Transfer-Encoding', 'chunked'), ('X-B', '2')])
            return [b'x']
    ");
    for _ in 0..2 {
        let record = app.get("/");
        assert_eq!((record.status(), record.headers().as_str()), (200, "X-A: 1\r\nX-B: 2\r\n"));
    }
    let lines = logged("\"keep-alive\", which belongs to the server");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn hop_by_hop_headers_raise_under_strict_headers() {
    let source = "
        def app(environ, start_response):
            start_response('200 OK', [('Upgrade', 'h2c')])
            return [b'x']
    ";
    assert_eq!(app(source).get("/").status(), 200);
    let strict = app_with(source, |config| config.strict_headers = true);
    assert_eq!(strict.get("/").status(), 500);
    assert!(!logged("hop-by-hop headers belong to the server").is_empty());
}

#[test]
fn connection_close_is_honoured() {
    let record = run("
    start_response('200 OK', [('Connection', 'close')])
    return [b'x']
");
    assert!(record.head.unwrap().wants_close());
}

#[test]
fn write_sends_blocks_before_those_of_the_iterable() {
    let record = run("
    write = start_response('200 OK', [])
    assert write(b'a') is None
    write(b'')
    write(b'bc')
    return [b'd', b'e']
");
    assert_eq!(record.blocks, [&b"a"[..], b"bc", b"d", b"e"]);
    assert_eq!((record.length, record.end), (Some(BodyLength::Unknown), Some(End::Finished)));
}

#[test]
fn write_takes_bytes_only() {
    let record = run("
    write = start_response('200 OK', [])
    for wrong in ['text', None, 5, bytearray(b'x'), [b'x']]:
        try:
            write(wrong)
        except TypeError:
            pass
        else:
            return [b'taken']
    return [b'refused']
");
    assert_eq!(record.text(), "refused");
}

#[test]
fn write_past_content_length_raises_and_what_fits_is_sent() {
    let record = run("
    write = start_response('200 OK', [('Content-Length', '5')])
    write(b'abc')
    try:
        write(b'defg')
    except ValueError:
        pass
    return []
");
    assert_eq!((record.text().as_str(), record.end), ("abcde", Some(End::Finished)));
    assert!(!logged("the body is longer than its Content-Length").is_empty());
}

#[test]
fn the_callables_are_of_no_use_after_the_request() {
    let app = app("
        kept = []
        outcome = []
        def app(environ, start_response):
            if kept:
                for call in (lambda: kept[0]('200 OK', [('X-Evil', '1')]), lambda: kept[1](b'evil')):
                    try:
                        call()
                    except RuntimeError as error:
                        outcome.append('the request is over' in str(error))
            kept[:] = [start_response, start_response('200 OK', [])]
            return [b'x']
    ");
    app.get("/");
    let record = app.get("/");
    assert_eq!((record.headers().as_str(), record.text().as_str()), ("", "x"));
    assert_eq!(app.global("outcome"), "[True, True]");
}

#[test]
fn callables_that_were_kept_belong_to_no_other_request() {
    let app = app("
        import functools, weakref
        kept = []
        seen = []
        keep = {
            '/nothing': lambda call: None,
            '/call': lambda call: call,
            '/partial': functools.partial,
            '/self': lambda call: call.__self__,
            '/weak': weakref.ref,
        }
        def app(environ, start_response):
            write = start_response('200 OK', [])
            for old in kept:
                if isinstance(old, weakref.ref):
                    seen.append(old() in (start_response, write))
                else:
                    seen.append(getattr(old, 'func', old) in (start_response, write, write.__self__))
            kept[:] = filter(None, map(keep[environ['PATH_INFO']], (start_response, write)))
            return [b'x']
    ");
    for target in ["/nothing", "/call", "/nothing", "/partial", "/nothing", "/self", "/weak", "/nothing"] {
        assert_eq!(app.get(target).text(), "x", "{target}");
    }
    assert_eq!(app.global("seen"), format!("[{}]", ["False"; 8].join(", ")));
}

#[test]
fn a_response_without_start_response_is_a_500() {
    for body in ["    return [b'x']", "    return []", "    return iter([b'x'])", "    return iter([])"] {
        let record = run(body);
        assert_eq!((record.status(), record.end), (500, Some(End::Finished)), "{body}");
    }
    assert!(!logged("did not call start_response()").is_empty());
}

#[test]
fn start_response_may_be_called_during_the_first_iteration() {
    let record = run("
    start_response('200 OK', [('X-Late', '1')])
    yield b'x'
");
    assert_eq!((record.headers().as_str(), record.text().as_str()), ("X-Late: 1\r\n", "x"));
}
