//! PEP 3333, "The Application/Framework Side", "Handling the Content-Length Header", "Buffering and Streaming".

use std::sync::{Arc, Mutex};

use funicorn_http::{AbortReason, Body, BodyLength};

use crate::common::{App, Client, End, Record, app, connection, get, logged};

/// An application that returns `expression`, which may use the class `Blocks`; it counts the calls of `close()`.
fn returning(expression: &str) -> App {
    returning_with("[]", expression)
}

fn returning_with(headers: &str, expression: &str) -> App {
    app(&format!(
        "
        closed = 0

        class Blocks:
            def __init__(self, *blocks):
                self.blocks = iter(blocks)
            def __iter__(self):
                return self
            def __next__(self):
                block = next(self.blocks)
                if isinstance(block, BaseException):
                    raise block
                return block
            def close(self):
                global closed
                closed += 1

        class FailingClose(Blocks):
            def close(self):
                super().close()
                raise RuntimeError('close failed')

        class ListWithClose(list):
            def close(self):
                global closed
                closed += 1

        class Unusable:
            def close(self):
                global closed
                closed += 1

        async def coroutine():
            pass

        def generator(*blocks):
            global closed
            try:
                yield from blocks
            finally:
                closed += 1

        def app(environ, start_response):
            start_response('200 OK', {headers})
            return {expression}
        "
    ))
}

fn close_count(app: &App) -> u32 {
    app.global("closed").parse().unwrap()
}

#[test]
fn exact_lists_and_tuples_have_a_known_length() {
    for (expression, len) in [
        ("[b'hello ', b'', b'world']", 11),
        ("(b'hello ', b'world')", 11),
        ("[]", 0),
        ("()", 0),
        ("[b'']", 0),
    ] {
        let record = returning(expression).get("/");
        assert_eq!(record.length, Some(BodyLength::Known(len)), "{expression}");
        assert_eq!((record.body().len() as u64, record.end), (len, Some(End::Finished)), "{expression}");
    }
}

#[test]
fn other_iterables_have_an_unknown_length_unless_they_are_empty() {
    for (expression, length) in [
        ("iter([b'x'])", BodyLength::Unknown),
        ("(b for b in [b'', b'x'])", BodyLength::Unknown),
        ("Blocks(b'x')", BodyLength::Unknown),
        ("ListWithClose([b'x'])", BodyLength::Unknown),
        ("{b'x': 1}", BodyLength::Unknown),
        ("iter([])", BodyLength::Known(0)),
        ("Blocks(b'', b'')", BodyLength::Known(0)),
    ] {
        let record = returning(expression).get("/");
        assert_eq!((record.length, record.end), (Some(length), Some(End::Finished)), "{expression}");
    }
}

#[test]
fn each_block_is_handed_over_before_the_next_is_asked_for() {
    let app = app("
        produced = 0
        def app(environ, start_response):
            global produced
            start_response('200 OK', [])
            for block in (b'a', b'b', b'c'):
                produced += 1
                yield block
    ");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (module, notes) = (app.module.clone(), Arc::clone(&seen));
    let on_block = move |_| {
        let produced = pyo3::Python::attach(|py| {
            use pyo3::prelude::*;
            py.import(module.as_str()).unwrap().getattr("produced").unwrap().extract::<u32>().unwrap()
        });
        notes.lock().unwrap().push(produced);
    };
    let client = Client { on_block: Some(Arc::new(on_block)), ..Client::default() };
    app.call_from(&client, get("/"), Body::empty(), connection("127.0.0.1:8000"));
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
}

#[test]
fn items_that_are_not_bytes_are_a_500() {
    for (expression, text) in [
        ("['text']", "an item of it is a str object"),
        ("[b'good', 'text']", "an item of it is a str object"),
        ("iter(['text'])", "an item of it is a str object"),
        ("[None]", "an item of it is a NoneType object"),
        ("[bytearray(b'x')]", "an item of it is a bytearray object"),
        ("'text'", "the application returned a str object"),
        ("b'bytes'", "the application returned a bytes object"),
        ("None", "the application returned None"),
        ("5", "'int' object is not iterable"),
        ("coroutine()", "the application returned a coroutine"),
        ("Unusable()", "'Unusable' object is not iterable"),
    ] {
        let record = returning(expression).get("/");
        assert_eq!((record.status(), record.end), (500, Some(End::Finished)), "{expression}");
        assert_eq!(record.text(), "Internal Server Error\n", "{expression}");
        assert!(!logged(text).is_empty(), "{text}");
    }
}

#[test]
fn close_is_called_exactly_once_in_every_case() {
    let gone = Client { gone_after: 1, ..Client::default() };
    let call = |app: &App, client: &Client| -> Record {
        app.call_from(client, get("/"), Body::empty(), connection("127.0.0.1:8000"))
    };
    for (expression, end) in [
        ("Blocks(b'a', b'b')", End::Finished),
        ("Blocks()", End::Finished),
        ("ListWithClose([b'a'])", End::Finished),
        ("generator(b'a', b'b')", End::Finished),
        ("Blocks(b'a', 'text')", End::Aborted(AbortReason::Application)),
        ("Blocks(b'a', ValueError('x'))", End::Aborted(AbortReason::Application)),
        ("Blocks(b'a', SystemExit(1))", End::Aborted(AbortReason::Application)),
        ("Blocks('text')", End::Finished),
        ("Blocks(ValueError('x'))", End::Finished),
        ("FailingClose(b'a')", End::Finished),
        ("Unusable()", End::Finished),
    ] {
        let app = returning(expression);
        let record = call(&app, &Client::default());
        assert_eq!((record.end, close_count(&app)), (Some(end), 1), "{expression}");
    }
    for expression in ["Blocks(b'a', b'b', b'c')", "generator(b'a', b'b', b'c')"] {
        let app = returning(expression);
        let record = call(&app, &gone);
        assert_eq!(record.end, Some(End::Aborted(AbortReason::Application)), "{expression}");
        assert_eq!((record.text().as_str(), close_count(&app)), ("a", 1), "{expression}");
    }
    assert!(!logged("RuntimeError: close failed").is_empty());
}

#[test]
fn the_response_has_ended_when_close_is_called() {
    let app = app("
        class Blocks(list):
            def close(self):
                raise RuntimeError('close after the end')
        def app(environ, start_response):
            start_response('200 OK', [])
            return Blocks([b'x'])
    ");
    let record = app.get("/");
    assert_eq!((record.status(), record.text().as_str(), record.end), (200, "x", Some(End::Finished)));
}

#[test]
fn a_vanished_client_is_no_error_of_the_application() {
    let app = returning("Blocks(b'vanished', b'b')");
    let client = Client { gone_after: 1, ..Client::default() };
    let head = get("/vanished-client");
    app.call_from(&client, head, Body::empty(), connection("127.0.0.1:8000"));
    let lines = logged("/vanished-client");
    assert!(lines.iter().all(|line| line.starts_with("DEBUG")), "{lines:?}");
}

#[test]
fn write_to_a_vanished_client_raises_an_oserror() {
    let app = app("
        caught = None
        def app(environ, start_response):
            global caught
            write = start_response('200 OK', [])
            write(b'a')
            try:
                write(b'b')
            except OSError as error:
                caught = type(error).__name__
                raise
    ");
    let client = Client { gone_after: 1, ..Client::default() };
    app.call_from(&client, get("/write-gone"), Body::empty(), connection("127.0.0.1:8000"));
    assert_eq!(app.global("caught"), "'BrokenPipeError'");
    assert!(logged("/write-gone").iter().all(|line| line.starts_with("DEBUG")));
}

#[test]
fn exceptions_before_the_headers_are_a_500_and_after_them_a_cut() {
    for exception in
        ["ValueError('x')", "SystemExit(0)", "KeyboardInterrupt()", "GeneratorExit()", "StopIteration()"]
    {
        let before = app(&format!("def app(environ, start_response):\n    raise {exception}")).get("/");
        assert_eq!((before.status(), before.end), (500, Some(End::Finished)), "{exception}");
    }
    for exception in ["ValueError('x')", "SystemExit(0)", "KeyboardInterrupt()", "GeneratorExit()"] {
        let record = returning(&format!("Blocks(b'', b'sent', {exception})")).get("/");
        assert_eq!((record.status(), record.text().as_str()), (200, "sent"), "{exception}");
        assert_eq!(record.end, Some(End::Aborted(AbortReason::Application)), "{exception}");
    }
}

#[test]
fn the_traceback_is_in_the_log_and_not_in_the_response() {
    let app = app("
        def inner():
            raise LookupError('very specific')
        def app(environ, start_response):
            start_response('200 OK', [])
            inner()
    ");
    let record = app.get("/some/path?query");
    assert_eq!(record.text(), "Internal Server Error\n");
    assert_eq!(record.headers(), "Content-Type: text/plain; charset=utf-8\r\n");
    let lines = logged("LookupError: very specific");
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("ERROR GET /some/path?query: ") && lines[0].contains("in inner"),
        "{}",
        lines[0]
    );
}

#[test]
fn a_body_longer_than_content_length_is_cut_logged_and_iterated_no_further() {
    let app = app("
        asked = []
        def app(environ, start_response):
            start_response('200 OK', [('Content-Length', '4')])
            for block in (b'abc', b'def', b'ghi'):
                asked.append(block)
                yield block
    ");
    let record = app.get("/too-long");
    assert_eq!((record.length, record.text().as_str()), (Some(BodyLength::Known(4)), "abcd"));
    assert_eq!(record.end, Some(End::Finished));
    assert_eq!(app.global("asked"), "[b'abc', b'def']");
    assert_eq!(logged("/too-long: the body is longer than its Content-Length").len(), 1);
    let record = returning_with("[('Content-Length', '4')]", "[b'abc', b'def']").get("/");
    assert_eq!((record.text().as_str(), record.end), ("abcd", Some(End::Finished)));
}

#[test]
fn a_body_shorter_than_content_length_is_cut_and_logged() {
    for expression in ["[b'abc']", "iter([b'abc'])", "[]"] {
        let record = returning_with("[('Content-Length', '5')]", expression).get("/too-short");
        assert_eq!(
            (record.length, record.end),
            (Some(BodyLength::Known(5)), Some(End::TooShort)),
            "{expression}"
        );
    }
    assert_eq!(logged("/too-short: the body ended before its declared Content-Length").len(), 0);
    assert_eq!(logged("/too-short: the body is shorter than its Content-Length").len(), 3);
}

#[test]
fn an_explicit_length_of_zero_waits_for_the_end_of_the_iterable() {
    let record = app("
        def app(environ, start_response):
            start_response('200 OK', [('Content-Length', '0')])
            yield b''
            raise ValueError('before the end')
    ")
    .get("/");
    assert_eq!(record.status(), 500);
    let record = returning_with("[('Content-Length', '0')]", "iter([b''])").get("/");
    assert_eq!((record.length, record.end), (Some(BodyLength::Known(0)), Some(End::Finished)));
}

#[test]
fn an_exception_after_the_whole_body_leaves_the_response_whole() {
    let record =
        returning_with("[('Content-Length', '2')]", "Blocks(b'ab', ValueError('afterwards'))").get("/");
    assert_eq!((record.text().as_str(), record.end), ("ab", Some(End::Finished)));
    assert!(!logged("ValueError: afterwards").is_empty());
}

#[test]
fn other_attributes_of_the_iterable_are_left_alone() {
    let app = app("
        touched = []
        class Blocks:
            def __getattribute__(self, name):
                touched.append(name)
                return object.__getattribute__(self, name)
            def __iter__(self):
                return iter([b'x'])
        def app(environ, start_response):
            start_response('200 OK', [])
            return Blocks()
    ");
    assert_eq!(app.get("/").text(), "x");
    assert_eq!(app.global("touched"), "['close']");
}
