"""PEP 3333, wsgi.input and wsgi.errors: duties 44 to 49 of docs/pep3333.md."""

import hashlib

import pytest
from wire import chunked, request

TEXT = b"first\nsecond line\r\n\nlast without an end"

#: Evaluates the expression in X-Expression over `read`, the input, and answers with its repr.
EVALUATE = """
    def application(environ, start_response):
        input = environ["wsgi.input"]
        start_response("200 OK", [])
        return [repr(eval(environ["HTTP_X_EXPRESSION"], {"input": input})).encode()]
    """


def evaluate(server, expression, body=TEXT):
    return eval(server.request("POST", "/", (("X-Expression", expression),), body).body)


@pytest.mark.parametrize(
    "expression, result",
    [
        ("input.read()", TEXT),
        ("input.read(-1)", TEXT),
        ("input.read(None)", TEXT),
        ("input.read(5)", b"first"),
        ("input.read(0)", b""),
        ("input.read(10**6)", TEXT),
        ("[input.read(6), input.read(7), input.read()]", [b"first\n", b"second ", TEXT[13:]]),
        ("[input.read(), input.read(), input.read(5), input.readline(), input.readlines()]", [TEXT, b"", b"", b"", []]),
        ("input.readline()", b"first\n"),
        ("[input.readline() for _ in range(5)]", [b"first\n", b"second line\r\n", b"\n", b"last without an end", b""]),
        ("[input.readline(3), input.readline(3), input.readline(100)]", [b"fir", b"st\n", b"second line\r\n"]),
        ("input.readline(0)", b""),
        ("input.readline(-1)", b"first\n"),
        ("input.readline(None)", b"first\n"),
        ("input.readlines()", [b"first\n", b"second line\r\n", b"\n", b"last without an end"]),
        ("input.readlines(1)", [b"first\n"]),
        ("input.readlines(7)", [b"first\n", b"second line\r\n"]),
        ("input.readlines(0)", [b"first\n", b"second line\r\n", b"\n", b"last without an end"]),
        ("input.readlines(-1)", [b"first\n", b"second line\r\n", b"\n", b"last without an end"]),
        ("input.readlines(None)", [b"first\n", b"second line\r\n", b"\n", b"last without an end"]),
        ("list(input)", [b"first\n", b"second line\r\n", b"\n", b"last without an end"]),
        ("[next(input), input.read(6), input.readline(), next(input)]", [b"first\n", b"second", b" line\r\n", b"\n"]),
        ("iter(input) is not None", True),
    ],
)
def test_44_the_input_reads_like_a_file(serve, expression, result):
    assert evaluate(serve(EVALUATE), expression) == result


@pytest.mark.parametrize(
    "expression", ["input.read('x')", "input.read(1, 2)", "input.readline('x')", "input.readlines('x')"]
)
def test_44_wrong_arguments_raise(serve, expression):
    server = serve(EVALUATE)
    assert server.request("POST", "/", (("X-Expression", expression),), TEXT).status == 500
    server.wait_for_log("TypeError")


@pytest.mark.parametrize(
    "expression", ["input.read()", "input.readline()", "input.readlines()", "list(input)", "input.read(5)"]
)
def test_44_a_request_without_a_body_has_an_empty_input(serve, expression):
    server = serve(EVALUATE)
    assert eval(server.get("/", ("X-Expression", expression)).body) in (b"", [])


def test_44_the_input_serves_text_and_buffered_readers(serve):
    server = serve("""
        import io
        def application(environ, start_response):
            start_response("200 OK", [])
            raw = environ["wsgi.input"]
            blocks = list(iter(lambda: raw.read(4), b""))
            return [b"|".join(blocks)]
        """)
    assert server.request("POST", "/", (), b"0123456789").body == b"0123|4567|89"


@pytest.mark.parametrize("size", [1 << 16, 3 << 20])
def test_44_a_body_of_any_size_reads_alike(serve, size):
    body = b"".join(b"%07d\n" % number for number in range(size // 8))
    server = serve("""
        import hashlib
        def application(environ, start_response):
            input = environ["wsgi.input"]
            digest = hashlib.sha256(input.read(1000) + input.readline() + b"".join(input.readlines(5000)))
            for line in input:
                digest.update(line)
            assert input.read() == b""
            start_response("200 OK", [])
            return [digest.hexdigest().encode()]
        """)
    assert server.request("POST", "/", (), body).body.decode() == hashlib.sha256(body).hexdigest()


def test_45_the_input_ends_with_its_request(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [environ["wsgi.input"].read(10**6) + environ["wsgi.input"].read()]
        """)
    with server.connect() as connection:
        connection.send(request("POST", body=b"one") + request("POST", body=b"two") + request("GET"))
        assert [connection.response().body for _ in range(3)] == [b"one", b"two", b""]


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_45_a_body_that_the_application_leaves_is_not_the_next_request(serve, framing):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [environ["REQUEST_METHOD"].encode()]
        """)
    smuggled = request("DELETE", "/smuggled")
    first = (
        request("POST", body=smuggled)
        if framing == "length"
        else request("POST", "/", (("Transfer-Encoding", "chunked"),), chunked(smuggled))
    )
    with server.connect() as connection:
        connection.send(first + request("GET"))
        assert [connection.response().body for _ in range(2)] == [b"POST", b"GET"]


def test_45_the_input_of_an_old_request_gives_nothing_of_a_new_one(serve):
    server = serve("""
        kept = []
        def application(environ, start_response):
            start_response("200 OK", [])
            kept.append(environ["wsgi.input"])
            if len(kept) < 2:
                return [b"kept"]
            try:
                return [kept[0].read()]
            except Exception:
                return [b""]
        """)
    with server.connect() as connection:
        connection.request("POST", body=b"old")
        assert connection.request("POST", body=b"new").body in (b"", b"old")


@pytest.mark.parametrize(
    "data",
    [request("POST", body=b"1234"), request("POST", "/", (("Transfer-Encoding", "chunked"),), chunked(b"12", b"34"))],
)
def test_46_the_input_is_terminated_and_says_so(serve, data):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [repr((environ["wsgi.input_terminated"], environ["wsgi.input"].read())).encode()]
        """)
    with server.connect() as connection:
        connection.send(data)
        assert connection.response().body == b"(True, b'1234')"


def test_47_errors_takes_any_text(serve):
    server = serve("""
        def application(environ, start_response):
            errors = environ["wsgi.errors"]
            errors.write("one snowman: \\u2603\\n")
            errors.writelines(["two ", "three\\n"])
            errors.write("a lone surrogate: \\ud800\\n")
            print("printed", file=errors)
            errors.flush()
            start_response("200 OK", [])
            return [b"fine"]
        """)
    assert server.get().body == b"fine"
    server.wait_for_log("one snowman: \u2603")
    server.wait_for_log("two three")
    server.wait_for_log("a lone surrogate: ")
    server.wait_for_log("printed")


@pytest.mark.parametrize(
    "call, value",
    [("read(size=3)", b"one"), ("read(2**70)", b"one\ntwo\n"), ("read(-2**70)", b"one\ntwo\n"), ("read(None)", b"one\ntwo\n"),
     ("readline(size=2)", b"on"), ("readline(2**70)", b"one\n"), ("readlines(hint=2)[0]", b"one\n"),
     ("readlines(2**70)[1]", b"two\n"), ("read(type('I', (), {'__index__': lambda self: 3})())", b"one")],
)  # fmt: skip
def test_44_sizes_may_be_named_and_of_any_size(serve, call, value):
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [environ["wsgi.input"].{call}]
        """)
    with server.connect() as connection:
        assert connection.request("POST", body=b"one\ntwo\n").body == value


@pytest.mark.parametrize("argument", ["b'bytes'", "None", "7"])
def test_47_errors_takes_text_only(serve, argument):
    server = serve(f"""
        def application(environ, start_response):
            try:
                environ["wsgi.errors"].write({argument})
            except TypeError:
                start_response("200 OK", [])
                return [b"refused"]
        """)
    assert server.get().body == b"refused"


@pytest.mark.parametrize("stream", ["wsgi.input", "wsgi.errors"])
def test_48_the_server_survives_an_application_that_closes_its_streams(serve, stream):
    server = serve(f"""
        def application(environ, start_response):
            try:
                environ["{stream}"].close()
            except AttributeError:
                pass
            print("a word to the log", file=__import__("sys").stderr, flush=True)
            start_response("200 OK", [])
            return [b"fine"]
        """)
    with server.connect() as connection:
        assert connection.request("POST", body=b"one").body == b"fine"
        assert connection.request("POST", body=b"two").body == b"fine"
    server.wait_for_log("a word to the log")


def test_49_transfer_encoding_is_decoded_by_the_server(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            report = environ.get("CONTENT_LENGTH"), "HTTP_TRANSFER_ENCODING" in environ, environ["wsgi.input"].read()
            return [repr(report).encode()]
        """)
    with server.connect() as connection:
        connection.send(request("POST", "/", (("Transfer-Encoding", "chunked"),), chunked(b"some", b"body")))
        assert eval(connection.response().body) == ("8", False, b"somebody")
        connection.send(request("POST", "/", (("Transfer-Encoding", "chunked"),), chunked()))
        assert eval(connection.response().body) == ("0", False, b"")
