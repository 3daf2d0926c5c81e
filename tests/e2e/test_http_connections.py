"""How long does a connection live? Keep-alive, pipelining, HTTP/1.0 and lingering close (RFC 9112 §9)."""

import pytest
from wire import request

ECHO = """
    def application(environ, start_response):
        body = environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"] + " " + environ["wsgi.input"].read().decode()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body.encode()]
    """


def test_a_connection_serves_many_requests(serve):
    with serve(ECHO).connect() as connection:
        for number in range(100):
            assert connection.request("POST", f"/{number}", body=b"x").body == b"POST /%d x" % number
        connection.assert_open()


def test_pipelined_requests_are_answered_in_their_order(serve):
    with serve(ECHO, "--threads", "4").connect() as connection:
        connection.send(b"".join(request("POST", f"/{number}", body=b"x" * number) for number in range(100)))
        for number in range(100):
            assert connection.response().body == b"POST /%d " % number + b"x" * number
        connection.assert_open()


def test_pipelined_requests_survive_any_split(serve):
    data = request("POST", "/a", body=b"one") + request() + request("PUT", "/b", (("Transfer-Encoding", "chunked"),))
    data += b"3\r\ntwo\r\n0\r\n\r\n" + request()
    with serve(ECHO).connect() as connection:
        for byte in data:
            connection.send(bytes([byte]))
        assert [connection.response().body for _ in range(4)] == [b"POST /a one", b"GET / ", b"PUT /b two", b"GET / "]


def test_a_half_closed_client_gets_every_answer(serve):
    with serve(ECHO).connect() as connection:
        connection.send(request("GET", "/1") + request("GET", "/2"))
        connection.finish_sending()
        assert [connection.response().body for _ in range(2)] == [b"GET /1 ", b"GET /2 "]
        connection.assert_ended()


@pytest.mark.parametrize("value", ["close", "Close", "x, close", "close,keep-alive", " , close"])
def test_connection_close_ends_the_connection(serve, value):
    with serve(ECHO).connect() as connection:
        response = connection.request(headers=(("Connection", value),))
        assert response.header("Connection") == "close"
        connection.assert_ended()


def test_close_in_a_second_connection_line_counts(serve):
    with serve(ECHO).connect() as connection:
        assert connection.request(headers=(("Connection", "x"), ("Connection", "close"))).status == 200
        connection.assert_ended()


@pytest.mark.parametrize("value", ["keep-alive", "closed", "x-close", "upgrade"])
def test_other_connection_tokens_keep_it_open(serve, value):
    with serve(ECHO).connect() as connection:
        assert connection.request(headers=(("Connection", value),)).status == 200
        connection.assert_open()


def test_http_1_0_closes(serve):
    with serve(ECHO).connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.response().body == b"GET / "
        connection.assert_ended()


def test_http_1_0_keep_alive_is_honoured_and_confirmed(serve):
    with serve(ECHO).connect() as connection:
        for _ in range(2):
            connection.send(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            response = connection.response()
            assert response.framing == "length"
            assert response.header("Connection").lower() == "keep-alive"


def test_a_request_after_a_closing_one_is_not_served(serve):
    with serve(ECHO).connect() as connection:
        connection.send(request("GET", "/1", (("Connection", "close"),)) + request("GET", "/2"))
        assert connection.response().body == b"GET /1 "
        connection.assert_ended()


def test_empty_lines_before_a_request_are_skipped(serve):
    with serve(ECHO).connect() as connection:
        connection.send(b"\r\n" + request("GET", "/1") + b"\r\n" + request("GET", "/2"))
        assert [connection.response().body for _ in range(2)] == [b"GET /1 ", b"GET /2 "]


def test_a_refusal_follows_the_answers_before_it(serve):
    with serve(ECHO).connect() as connection:
        connection.send(request("GET", "/1") + b"not HTTP at all\r\n\r\n" + request("GET", "/2"))
        assert connection.response().body == b"GET /1 "
        refusal = connection.response()
        assert (refusal.status, refusal.header("Connection")) == (400, "close")
        connection.assert_ended()


def test_a_refusal_is_readable_however_much_the_client_still_sends(serve):
    server = serve(ECHO)
    with server.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: x\r\n\r\n")
        for _ in range(64):
            connection.send(bytes(1 << 16))
        assert connection.response().status == 400
        connection.finish_sending()
        connection.assert_ended()
    assert server.get().status == 200


def test_an_answer_to_a_closing_request_is_readable_while_the_client_sends(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [bytes(1 << 20)]
        """)
    with server.connect() as connection:
        connection.send(request("GET", "/", (("Connection", "close"),)) + bytes(1 << 18))
        assert len(connection.response().body) == 1 << 20
        connection.finish_sending()
        connection.assert_ended()


def test_a_client_that_ends_within_a_request_gets_no_answer_of_the_application(serve):
    server = serve("""
        def application(environ, start_response):
            open("called", "a").write(environ["REQUEST_METHOD"] + " ")
            start_response("200 OK", [])
            return []
        """)
    for part in (b"GET / HT", b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n1234"):
        with server.connect() as connection:
            connection.send(part)
            connection.finish_sending()
            connection.rest()
    server.get()
    server.stop()
    assert server.note("called") == "GET "


def test_h11_understands_every_kind_of_response(serve):
    h11 = pytest.importorskip("h11")
    server = serve("""
        def application(environ, start_response):
            kind = environ["PATH_INFO"]
            start_response("204 No Content" if kind == "/none" else "200 OK", [])
            if kind == "/list":
                return [b"some", b"body"]
            return [] if kind == "/none" else iter([b"some", b"body"])
        """)
    with server.connect() as connection:
        for kind, expected in [("/list", b"somebody"), ("/stream", b"somebody"), ("/none", b"")]:
            client = h11.Connection(h11.CLIENT)
            connection.send(client.send(h11.Request(method="GET", target=kind, headers=[("Host", "test")])))
            client.send(h11.EndOfMessage())
            body, event = b"", None
            while not isinstance(event, h11.EndOfMessage):
                event = client.next_event()
                if event is h11.NEED_DATA:
                    client.receive_data(connection.socket.recv(1 << 16))
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
            assert body == expected
            assert client.their_state is h11.DONE and client.trailing_data == (b"", False)
