"""Who is behind a proxy that passes bytes on? HAProxy's PROXY protocol, versions 1 and 2."""

import json
import socket
import struct

import pytest
from test_forwarded import LIES, REPORT, TRUTH
from wire import request

GET = request("GET", "/")
LINE = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def block(command=1, family=0x11, body=None, vectors=b""):
    """A header of version 2; without `body` from 192.0.2.1:4711 to 192.0.2.2:443."""
    if body is None:
        body = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2") + struct.pack("!HH", 4711, 443)
    body += vectors
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


def ipv6(text):
    return socket.inet_pton(socket.AF_INET6, text)


def environ_of(server, *pieces):
    with server.connect() as connection:
        for piece in pieces:
            connection.send(piece)
        response = connection.response()
        assert response.status == 200, response
        return json.loads(response.body)


def assert_refused(server, data, words=b"PROXY protocol header"):
    with server.connect() as connection:
        connection.send(data)
        response = connection.response()
        assert (response.status, response.header("Connection")) == (400, "close")
        assert words in response.body
        connection.finish_sending()
        connection.assert_ended()
    assert server.note("called") == ""


def speaking(serve, *flags):
    return serve(REPORT, "--proxy-protocol", *flags)


CLIENTS = {
    "line": (LINE, "192.0.2.1", "4711", "192.0.2.2", "443"),
    "line of IPv6": (b"PROXY TCP6 2001:db8::1 ::1 1 80\r\n", "2001:db8::1", "1", "[::1]", "80"),
    "block": (block(), "192.0.2.1", "4711", "192.0.2.2", "443"),
    "block of IPv6": (
        block(family=0x21, body=ipv6("2001:db8::1") + ipv6("::1") + struct.pack("!HH", 1, 80)),
        "2001:db8::1", "1", "[::1]", "80",
    ),
    "block with vectors": (block(vectors=b"\x01\0\x02h2\x04\0\0"), "192.0.2.1", "4711", "192.0.2.2", "443"),
    "block of a mapped address": (
        block(family=0x21, body=ipv6("::ffff:192.0.2.1") + ipv6("::ffff:192.0.2.2") + struct.pack("!HH", 1, 80)),
        "192.0.2.1", "1", "192.0.2.2", "80",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLIENTS)
def test_the_addresses_of_the_header_are_those_of_the_connection(serve, name):
    header, client, client_port, name, port = CLIENTS[name]
    environ = environ_of(speaking(serve), header + GET)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (client, client_port)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


@pytest.mark.parametrize("header", [LINE, block(vectors=b"\x04\0\x10" + bytes(16))])
def test_a_header_may_come_in_any_pieces(serve, header):
    server = speaking(serve)
    stream = header + GET
    assert environ_of(server, *[stream[at : at + 1] for at in range(len(stream))])["REMOTE_ADDR"] == "192.0.2.1"
    for cut in (1, 5, 6, len(header) - 1, len(header), len(header) + 1):
        assert environ_of(server, stream[:cut], stream[cut:])["REMOTE_ADDR"] == "192.0.2.1"


def test_the_header_is_for_all_requests_of_the_connection(serve):
    with speaking(serve).connect() as connection:
        connection.send(LINE)
        for _ in range(3):
            assert json.loads(connection.request().body)["REMOTE_ADDR"] == "192.0.2.1"
        # A second one is no request.
        connection.send(LINE)
        assert connection.response().status == 400


@pytest.mark.parametrize("header", [block(command=0), block(command=0, family=0xFF, body=b"x"), b"PROXY UNKNOWN\r\n",
                                    b"PROXY UNKNOWN 6.6.6.6 6.6.6.6 1 2\r\n", block(family=0, body=b"whatever")])  # fmt: skip
def test_without_addresses_the_sockets_own_stay(serve, header):
    with speaking(serve).connect() as connection:
        connection.send(header + GET)
        environ = json.loads(connection.response().body)
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == tuple(map(str, connection.socket.getsockname()))


def test_a_client_at_a_unix_socket_has_no_address(serve):
    environ = environ_of(speaking(serve), block(family=0x31, body=bytes(216)) + GET)
    assert (environ["REMOTE_ADDR"], environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("", "test", "80")


def test_on_a_unix_socket(serve, tmp_path):
    server = serve(REPORT, "--bind", f"unix:{tmp_path}/socket", "--proxy-protocol", host=None)
    server.address = f"{tmp_path}/socket"
    assert environ_of(server, block() + GET)["REMOTE_ADDR"] == "192.0.2.1"
    assert_refused_after_call(server, GET)


def assert_refused_after_call(server, data):
    with server.connect() as connection:
        connection.send(data)
        assert connection.response().status == 400


def test_the_access_log_names_the_client(serve):
    server = speaking(serve, "--access-logfile", "access.log")
    environ_of(server, LINE + GET)
    server.stop()
    assert server.note("access.log").startswith("192.0.2.1 - - [")


REFUSED = {
    "none": GET,
    "a method that begins alike": request("PROPFIND"),
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01",
    "lower case": LINE.lower(),
    "a bare LF": LINE.replace(b"\r", b""),
    "two spaces": LINE.replace(b" 192", b"  192", 1),
    "a port with a zero before it": LINE.replace(b"443", b"0443"),
    "a port that is too large": LINE.replace(b"443", b"65536"),
    "an address of the other family": LINE.replace(b"TCP4", b"TCP6"),
    "datagrams": LINE.replace(b"TCP4", b"UDP4"),
    "no end": b"PROXY UNKNOWN " + b"x" * 100,
    "another version": SIGNATURE + b"\x11" + block()[13:],
    "another command": block(command=2),
    "a block of datagrams": block(family=0x12),
    "a block of another family": block(family=0x41),
    "a block that is too short": block(body=b"short"),
    "a block that is too large": SIGNATURE + b"\x20\x00\xff\xff",
    "a vector that is cut short": block(vectors=b"\x01\0\x05ab"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_whoever_has_to_send_a_header_is_refused_without(serve, name):
    data = REFUSED[name]
    assert_refused(speaking(serve), data if data.endswith(b"\r\n\r\n") else data + GET)


@pytest.mark.parametrize("flag, header", [("--proxy-protocol=v1", block()), ("--proxy-protocol=v2", LINE)])
def test_only_the_version_that_is_spoken(serve, flag, header):
    assert_refused(serve(REPORT, flag), header + GET)


@pytest.mark.parametrize(
    "flags", [[], ["--proxy-protocol=off"], ["--proxy-protocol", "--proxy-allow-from", "::1,unix,10.0.0.0/8"]]
)
@pytest.mark.parametrize("header", [LINE, block()])
def test_from_others_a_header_is_no_request(serve, flags, header):
    server = serve(REPORT, *flags)
    assert_refused(server, header + GET, b"request line is malformed")
    assert environ_of(server, GET)["REMOTE_ADDR"] == "127.0.0.1"


# Forwarding headers behind a PROXY header


def truth(environ):
    return {key: environ[key] for key in TRUTH if key in environ and key != "REMOTE_PORT"}


@pytest.mark.parametrize(
    "header", [LINE, block(), b"PROXY UNKNOWN\r\n", block(family=0), block(family=0x31, body=bytes(216))]
)
def test_a_client_behind_a_header_is_believed_nothing(serve, header):
    # The proxy is in the list, but it is not the proxy that speaks.
    server = speaking(serve)
    assert truth(environ_of(server, header + request("GET", "/", LIES))) == truth(environ_of(server, header + GET))


def test_a_proxy_behind_a_header_is_believed(serve):
    server = speaking(serve, "--forwarded-allow-ips", "192.0.2.1")
    lines = request("GET", "/", (("X-Forwarded-For", "6.6.6.6, 198.51.100.7"), ("X-Forwarded-Proto", "https")))
    environ = environ_of(server, LINE + lines)
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("198.51.100.7", "https")


def test_a_proxy_that_speaks_for_itself_is_believed(serve):
    environ = environ_of(speaking(serve), block(command=0) + request("GET", "/", (("X-Forwarded-For", "192.0.2.1"),)))
    assert environ["REMOTE_ADDR"] == "192.0.2.1"


def test_a_header_that_is_slow_to_come_holds_up_nobody(serve):
    server = speaking(serve)
    with server.connect() as silent, server.connect() as slow:
        slow.send(LINE[:5])
        assert environ_of(server, LINE + GET)["REMOTE_ADDR"] == "192.0.2.1"
        slow.send(LINE[5:] + GET)
        assert slow.response().status == 200
        silent.send(LINE + GET)
        assert silent.response().status == 200
