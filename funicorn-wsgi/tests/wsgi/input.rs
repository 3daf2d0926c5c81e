//! PEP 3333, "Input and Error Streams".

use bytes::Bytes;
use funicorn_http::Body;

use crate::common::{Record, app, spooled};

/// Evaluates `expression` with `input` as the stream, over a body in memory and over one behind a reader; both must
/// give the same.
fn evaluate(body: &str, expression: &str) -> String {
    let app = app(&format!(
        "
        def app(environ, start_response):
            input = environ['wsgi.input']
            start_response('200 OK', [])
            return [repr({expression}).encode()]
        "
    ));
    let text = |record: Record| record.text();
    let in_memory = text(app.post(Bytes::copy_from_slice(body.as_bytes())));
    assert_eq!(in_memory, text(app.post(spooled(body))), "{expression} over a reader");
    in_memory
}

const LINES: &str = "first\nsecond line\n\nlast";

#[test]
fn read_takes_no_size_none_negative_and_any_size() {
    for (expression, value) in [
        ("input.read()", "b'first\\nsecond line\\n\\nlast'"),
        ("input.read(None)", "b'first\\nsecond line\\n\\nlast'"),
        ("input.read(-1)", "b'first\\nsecond line\\n\\nlast'"),
        ("input.read(1 << 40)", "b'first\\nsecond line\\n\\nlast'"),
        ("input.read(2**70)", "b'first\\nsecond line\\n\\nlast'"),
        ("input.read(-2**70)", "b'first\\nsecond line\\n\\nlast'"),
        ("input.read(size=5)", "b'first'"),
        ("input.read(size=None)", "b'first\\nsecond line\\n\\nlast'"),
        ("input.read(type('Five', (), {'__index__': lambda self: 5})())", "b'first'"),
        ("(input.read(3), input.read(0), input.read(6))", "(b'fir', b'', b'st\\nsec')"),
        ("type(input.read(2)) is bytes", "True"),
    ] {
        assert_eq!(evaluate(LINES, expression), value, "{expression}");
    }
}

#[test]
fn at_and_past_the_end_every_method_gives_nothing() {
    let value = evaluate(
        LINES,
        "(input.read(), input.read(), input.read(5), input.readline(), input.readlines(), list(input))[1:]",
    );
    assert_eq!(value, "(b'', b'', b'', [], [])");
    assert_eq!(
        evaluate("", "(input.read(), input.readline(), list(input), input.read(-1))"),
        "(b'', b'', [], b'')"
    );
}

#[test]
fn readline_keeps_the_line_end_and_respects_its_size() {
    for (expression, value) in [
        ("[input.readline() for _ in range(5)]", "[b'first\\n', b'second line\\n', b'\\n', b'last', b'']"),
        ("[input.readline(4) for _ in range(3)]", "[b'firs', b't\\n', b'seco']"),
        ("[input.readline(size=4), input.readline(size=2**70)]", "[b'firs', b't\\n']"),
        ("[input.readline(-2**70), input.readline(True)]", "[b'first\\n', b's']"),
        ("[input.readline(6), input.readline(7)]", "[b'first\\n', b'second ']"),
        (
            "(input.readline(0), input.readline(None), input.readline(-1))",
            "(b'', b'first\\n', b'second line\\n')",
        ),
    ] {
        assert_eq!(evaluate(LINES, expression), value, "{expression}");
    }
}

#[test]
fn readlines_takes_a_hint() {
    for (expression, value) in [
        ("input.readlines()", "[b'first\\n', b'second line\\n', b'\\n', b'last']"),
        ("input.readlines(None)", "[b'first\\n', b'second line\\n', b'\\n', b'last']"),
        ("input.readlines(0)", "[b'first\\n', b'second line\\n', b'\\n', b'last']"),
        ("input.readlines(-1)", "[b'first\\n', b'second line\\n', b'\\n', b'last']"),
        ("(input.readlines(6), input.readlines(1))", "([b'first\\n'], [b'second line\\n'])"),
        ("input.readlines(hint=7)", "[b'first\\n', b'second line\\n']"),
        ("input.readlines(2**70)", "[b'first\\n', b'second line\\n', b'\\n', b'last']"),
        ("input.readlines(7)", "[b'first\\n', b'second line\\n']"),
    ] {
        assert_eq!(evaluate(LINES, expression), value, "{expression}");
    }
}

#[test]
fn iteration_gives_lines_and_mixes_with_reads() {
    assert_eq!(evaluate(LINES, "list(input)"), "[b'first\\n', b'second line\\n', b'\\n', b'last']");
    assert_eq!(
        evaluate(LINES, "(input.readline(), input.read(3), next(input), iter(input) is input, input.read())"),
        "(b'first\\n', b'sec', b'ond line\\n', True, b'\\nlast')"
    );
}

#[test]
fn lines_longer_than_what_is_read_ahead_are_whole() {
    let body = format!("{}\n{}", "a".repeat(200_000), "b".repeat(100_000));
    assert_eq!(
        evaluate(&body, "(len(input.readline()), len(input.read(10)), len(input.readline()), input.read())"),
        "(200001, 10, 99990, b'')"
    );
}

#[test]
fn closing_harms_nobody_and_bad_sizes_raise() {
    assert_eq!(evaluate(LINES, "(input.close(), input.read(5))"), "(None, b'first')");
    for (size, error) in [("'5'", "TypeError"), ("5.0", "TypeError"), ("Lost()", "LookupError")] {
        let app = app(&format!(
            "
            class Lost:
                def __index__(self):
                    raise LookupError
            def app(environ, start_response):
                start_response('200 OK', [])
                raised = []
                for method in ('read', 'readline', 'readlines'):
                    try:
                        getattr(environ['wsgi.input'], method)({size})
                    except Exception as error:
                        raised.append(type(error).__name__)
                return [' '.join(raised).encode()]
            "
        ));
        assert_eq!(app.post(Bytes::from_static(b"abc")).text(), [error; 3].join(" "), "{size}");
    }
}

#[test]
fn a_body_that_cannot_be_read_raises() {
    let app = app("
        def app(environ, start_response):
            start_response('200 OK', [])
            try:
                environ['wsgi.input'].read()
            except OSError:
                return [b'OSError']
    ");
    let body = Body::from_reader(Box::new(&b"short"[..]), 100);
    assert_eq!(app.post(body).text(), "OSError");
}
