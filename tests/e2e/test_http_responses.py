"""What is in the responses that no test of PEP 3333 looks at? Date, Server, errors, HTTP/1.0 and large bodies."""

import re
from email.utils import parsedate_to_datetime

import pytest
from wire import Truncated

BODIES = """
    def application(environ, start_response):
        kind = environ["PATH_INFO"]
        if kind == "/error":
            raise ValueError
        start_response("200 OK", [("Content-Length", "8")] if kind == "/length" else [])
        return [b"some", b"body"] if kind == "/list" else iter([b"some", b"body"])
    """


@pytest.mark.parametrize("path", ["/list", "/length", "/stream", "/error"])
def test_every_response_has_a_date_and_a_server(serve, path):
    response = serve(BODIES).get(path)
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", response.header("Date"))
    assert parsedate_to_datetime(response.header("Date")).year >= 2024
    assert response.header("Server") == "funicorn"


def test_a_refusal_has_a_date_and_a_server(serve):
    with serve(BODIES).connect() as connection:
        connection.send(b"wrong\r\n\r\n")
        response = connection.response()
    assert response.header("Date") and response.header("Server") == "funicorn"
    assert response.header("Content-Type").startswith("text/plain")


@pytest.mark.parametrize(
    "path, framing, framing_1_0",
    [("/list", "length", "length"), ("/length", "length", "length"), ("/stream", "chunked", "close")],
)
def test_the_framing_of_a_response(serve, path, framing, framing_1_0):
    server = serve(BODIES)
    response = server.get(path)
    assert (response.framing, response.body) == (framing, b"somebody")
    with server.connect() as connection:
        connection.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        response = connection.response()
    assert (response.framing, response.body) == (framing_1_0, b"somebody")


def test_an_error_of_the_application_keeps_the_connection(serve):
    with serve(BODIES).connect() as connection:
        response = connection.request("GET", "/error")
        assert (response.status, response.framing) == (500, "length")
        if response.header("Connection") != "close":
            assert connection.request("GET", "/list").body == b"somebody"


def test_an_error_answer_to_head_has_no_body(serve):
    with serve(BODIES).connect() as connection:
        assert connection.request("HEAD", "/error").status == 500
        assert not connection.buffer


@pytest.mark.parametrize("threads", ["1", "4"])
@pytest.mark.parametrize("shape", ["[blocks]", "list(pieces)", "iter([blocks])", "pieces"])
def test_a_large_body_reaches_a_slow_reader_whole(serve, shape, threads):
    server = serve(
        f"""
        blocks = b"".join(b"%07d\\n" % number for number in range(1 << 20))
        def application(environ, start_response):
            pieces = (blocks[at:at + 100_000] for at in range(0, len(blocks), 100_000))
            start_response("200 OK", [])
            return {shape}
        """,
        "--threads",
        threads,
    )
    with server.connect(receive_buffer=4096) as connection:
        body = connection.request().body
    assert body == b"".join(b"%07d\n" % number for number in range(1 << 20))


def test_a_block_that_changes_after_it_was_yielded_cannot_exist(serve):
    """Blocks are bytes, which never change; what a reused buffer holds must be copied by the application."""
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            buffer = bytearray(b"0" * 100_000)
            for digit in b"123":
                buffer[:] = bytes([digit]) * len(buffer)
                yield bytes(buffer)
        """)
    assert server.get().body == b"1" * 100_000 + b"2" * 100_000 + b"3" * 100_000


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_response_that_is_cut_never_looks_whole(serve, version):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            for _ in range(100):
                yield bytes(10_000)
            raise ValueError("cut here")
        """)
    with server.connect() as connection:
        connection.send(f"GET / HTTP/{version}\r\nHost: test\r\n\r\n".encode())
        with pytest.raises(Truncated) as cut:
            connection.response()
    if version == "1.0":
        assert cut.value.cause == "reset"
