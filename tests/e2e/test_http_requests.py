"""Which requests are served, which are refused, and with what? (RFC 9112; limits; 100-continue)"""

import pytest
from wire import chunked, request

ECHO = """
    def application(environ, start_response):
        body = environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"] + " " + environ["wsgi.input"].read().decode("latin-1")
        open("called", "a").write("x")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body.encode("latin-1")]
    """
CHUNKED = (("Transfer-Encoding", "chunked"),)


def answer(server, data):
    with server.connect() as connection:
        connection.send(data)
        return connection.response()


def refusal(server, data):
    """The status of a refusal, after which the connection ends and the application has not been called."""
    with server.connect() as connection:
        connection.send(data)
        response = connection.response()
        assert response.header("Connection") == "close"
        connection.finish_sending()
        connection.assert_ended()
    assert server.note("called") == ""
    return response.status


def test_a_chunked_body_is_decoded(serve):
    data = request("POST", "/", CHUNKED) + b'4\r\nsome\r\n0004;name=value;x="y"\r\nbody\r\n00\r\n\r\n'
    assert answer(serve(ECHO), data).body == b"POST / somebody"


def test_trailers_are_checked_and_dropped(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [repr([environ.get("HTTP_X_SUM"), environ["wsgi.input"].read()]).encode()]
        """)
    with server.connect() as connection:
        connection.send(request("POST", "/", CHUNKED) + chunked(b"body", trailers=b"X-Sum: 1\r\nX-More: 2\r\n"))
        assert connection.response().body == b"[None, b'body']"
        connection.assert_open()


def test_a_malformed_trailer_is_refused(serve):
    assert refusal(serve(ECHO), request("POST", "/", CHUNKED) + chunked(b"body", trailers=b"X Sum: 1\r\n")) == 400


@pytest.mark.parametrize("body", [b"zz\r\n", b"-1\r\n", b"4\r\nbody5\r\n", b"4\nbody\r\n0\r\n\r\n", b"\r\n"])
def test_a_malformed_chunk_is_refused(serve, body):
    assert refusal(serve(ECHO), request("POST", "/", CHUNKED) + body) == 400


@pytest.mark.parametrize("target", ["http://other.example/p", "HTTP://other.example/p", "http://other.example:80/p"])
def test_absolute_form_is_served(serve, target):
    assert answer(serve(ECHO), request("GET", target)).body == b"GET /p "


def test_absolute_form_without_a_path_is_the_root(serve):
    assert answer(serve(ECHO), request("GET", "http://other.example")).body.rstrip() in (b"GET /", b"GET")


def test_options_asterisk_is_served(serve):
    assert answer(serve(ECHO), request("OPTIONS", "*")).body == b"OPTIONS  "


REFUSED = {
    "asterisk with another method": (request("GET", "*"), 400),
    "CONNECT": (request("CONNECT", "example.org:443"), 501),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (request("GET", "/", (("Host", "a"), ("Host", "b"))), 400),
    "a Host with a space": (request("GET", "/", (("Host", "a b"),)), 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "HTTP/2 in the request line": (b"GET / HTTP/2.0\r\nHost: test\r\n\r\n", 505),
    "a target that is no path": (request("GET", "path"), 400),
    "a space in the target": (request("GET", "/a b"), 400),
    "a control character in the target": (request("GET", "/a\x01"), 400),
    "NUL in the path": (request("GET", "/a%00"), 400),
    "a bare LF": (b"GET / HTTP/1.1\nHost: test\n\n", 400),
    "a space before the colon": (request("GET", "/", (("X-A ", "1"),)), 400),
    "a folded line": (request("GET", "/", (("X-A", "1\r\n 2"),)), 400),
    "a header without a colon": (b"GET / HTTP/1.1\r\nHost: test\r\nwrong\r\n\r\n", 400),
    "an empty header name": (b"GET / HTTP/1.1\r\nHost: test\r\n: x\r\n\r\n", 400),
    "a NUL in a value": (request("GET", "/", (("X-A", "a\0b"),)), 400),
    "a Content-Length that is no number": (request("POST", "/", (("Content-Length", "+4"),)), 400),
    "two Content-Lengths": (request("POST", "/", (("Content-Length", "4"), ("Content-Length", "5"))), 400),
    "both framings": (request("POST", "/", (*CHUNKED, ("Content-Length", "4"))), 400),
    "an unknown coding": (request("POST", "/", (("Transfer-Encoding", "zstd, chunked"),)), 501),
    "chunked twice": (request("POST", "/", (("Transfer-Encoding", "chunked, chunked"),)), 400),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "an unknown expectation": (request("POST", "/", (("Expect", "200-maybe"),)), 417),
    "a request line that is too long": (request("GET", "/" + "a" * 9000), 414),
    "a header that is too long": (request("GET", "/", (("X-A", "a" * 9000),)), 431),
    "too many headers": (request("GET", "/", (("X-A", "1"),) * 150), 431),
    "HTTP/2 with prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "a tab in the request line": (b"GET /\tHTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "a list of Hosts": (request("GET", "/", (("Host", "a,b"),)), 400),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(100, 200)) + b"\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(serve, name):
    data, status = REFUSED[name]
    assert refusal(serve(ECHO), data) == status


@pytest.mark.parametrize(
    "data, words",
    [
        (b"\x16\x03\x01\x02\x00", "the client speaks TLS"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "the client speaks HTTP/2"),
        (b"GET /\r\n", "the client speaks HTTP/0.9"),
    ],
)
def test_another_protocol_is_called_by_its_name(serve, data, words):
    server = serve(ECHO)
    with server.connect() as connection:
        connection.send(data)
        assert words in connection.response().body.decode()
    server.wait_for_log(words)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Host", "Connection"])
def test_a_trailer_that_frames_or_routes_is_refused(serve, name):
    trailer = f"{name}: 1\r\n".encode()
    assert refusal(serve(ECHO), request("POST", "/", CHUNKED) + chunked(b"body", trailers=trailer)) == 400


def test_a_body_up_to_the_limit_is_served(serve):
    server = serve(ECHO, "--limit-request-body", "1000")
    assert len(server.request("POST", "/", (), bytes(1000)).body) == len(b"POST / ") + 1000
    assert answer(server, request("POST", "/", CHUNKED) + chunked(bytes(600), bytes(400))).status == 200


def test_a_body_past_the_limit_is_refused_at_its_head(serve):
    server = serve(ECHO, "--limit-request-body", "1000")
    assert refusal(server, request("POST", "/", (("Content-Length", "1001"),))) == 413


def test_a_chunked_body_past_the_limit_is_refused(serve):
    server = serve(ECHO, "--limit-request-body", "1000")
    assert refusal(server, request("POST", "/", CHUNKED) + b"258\r\n" + bytes(600) + b"\r\n191\r\n" + bytes(401)) == 413


def test_a_chunk_of_a_size_beyond_all_numbers_is_refused(serve):
    assert refusal(serve(ECHO), request("POST", "/", CHUNKED) + b"11111111111111111\r\n") in (400, 413)


def test_a_body_has_a_limit_by_default(serve):
    assert refusal(serve(ECHO), request("POST", "/", (("Content-Length", str(1 << 40)),))) == 413


def test_a_refused_upload_is_readable_by_a_client_that_only_sends(serve):
    server = serve(ECHO, "--limit-request-body", "1000")
    with server.connect() as connection:
        connection.send(request("POST", "/", (), bytes(4 << 20)))
        assert connection.response().status == 413
    assert server.get().status == 200


EXPECT = ("Expect", "100-continue")


@pytest.mark.parametrize("value", ["100-continue", "100-Continue"])
def test_continue_comes_once_the_head_is_accepted(serve, value):
    with serve(ECHO).connect() as connection:
        connection.send(request("POST", "/", (("Expect", value), ("Content-Length", "4"))))
        assert connection.response().status == 100
        connection.send(b"body")
        assert connection.response().body == b"POST / body"
        connection.assert_open()


def test_continue_comes_for_a_chunked_body(serve):
    with serve(ECHO).connect() as connection:
        connection.send(request("POST", "/", (EXPECT, *CHUNKED)))
        assert connection.response().status == 100
        connection.send(chunked(b"body"))
        assert connection.response().body == b"POST / body"


@pytest.mark.parametrize(
    "data, status",
    [
        (request("POST", "/", (EXPECT, ("Content-Length", "1001"))), 413),
        (request("POST", "/", (EXPECT, ("Content-Length", "x"))), 400),
        (request("POST", "/a%00b", (EXPECT, ("Content-Length", "10"))), 400),
        (request("CONNECT", "a:1", (EXPECT, ("Content-Length", "10"))), 501),
    ],
)
def test_a_refusal_comes_instead_of_a_continue(serve, data, status):
    assert refusal(serve(ECHO, "--limit-request-body", "1000"), data) == status


def test_no_continue_for_http_1_0(serve):
    with serve(ECHO).connect() as connection:
        connection.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
        assert connection.response().body == b"POST / body"


def test_no_continue_without_a_body(serve):
    with serve(ECHO).connect() as connection:
        assert connection.request("POST", "/", (EXPECT, ("Content-Length", "0"))).status == 200
        connection.assert_open()
