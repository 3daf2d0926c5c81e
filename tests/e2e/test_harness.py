"""Does the harness itself do what the other tests rely on?"""

import socket

import pytest
from wire import Connection, Malformed, Truncated

HELLO = """
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"hello"]
    """


def test_a_server_answers_over_a_connection_that_stays_open(serve):
    server = serve(HELLO)
    with server.connect() as connection:
        assert connection.request().body == b"hello"
        connection.assert_open()


def test_a_server_leaves_no_process(serve):
    server = serve(HELLO, "--workers", "2")
    server.get()
    assert server.pid in server.tree()
    server.stop()
    assert server.tree() == []


def answered_by(data):
    """A connection whose server has sent `data` and closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = Connection(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            accepted.sendall(data)
    return connection


def test_the_client_reads_responses_one_by_one():
    connection = answered_by(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        b"HTTP/1.1 200 OK\r\n\r\nto the end"
    )
    with connection:
        first, second, third = connection.response(), connection.response(), connection.response()
    assert (first.framing, first.body) == ("length", b"ab")
    assert (second.framing, second.body, second.reason) == ("chunked", b"abc", "Fine")
    assert (third.framing, third.body) == ("close", b"to the end")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    ],
)
def test_the_client_accepts_nothing_malformed(data):
    with answered_by(data) as connection, pytest.raises(Malformed):
        connection.response()


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_the_client_notices_a_response_that_is_cut(data):
    with answered_by(data) as connection, pytest.raises(Truncated):
        connection.response()
