"""Which header names reach the environ, and can one pass for another? (`--header-map`)"""

import json

import pytest
from test_forwarded import REPORT
from wire import request

#: Three spellings of one variable.
SPELLINGS = (("X-Key", "1"), ("X_Key", "2"), ("x-key", "3"))


def environ_of(server, *headers, method="GET", body=b""):
    response = server.request(method, "/", headers, body)
    assert response.status == 200
    return json.loads(response.body)


def test_names_with_underscores_are_dropped(serve):
    server = serve(REPORT)
    assert environ_of(server, *SPELLINGS)["HTTP_X_KEY"] == "1,3"
    assert "HTTP_X_KEY" not in environ_of(server, ("X_Key", "2"))
    assert "HTTP__" not in environ_of(server, ("_", "2"))


def test_if_they_are_dangerous_they_are_joined_in_order(serve):
    server = serve(REPORT, "--header-map", "dangerous")
    assert environ_of(server, *SPELLINGS)["HTTP_X_KEY"] == "1,2,3"
    assert environ_of(server, ("X_Key", "2"))["HTTP_X_KEY"] == "2"


@pytest.mark.parametrize("name", ["X_Key", "_", "Content_Length", "X-Forwarded_For", "a_"])
def test_they_can_be_refused(serve, name):
    server = serve(REPORT, "--header-map", "refuse")
    with server.connect() as connection:
        # The application is not called, and the body is not asked for.
        connection.send(request("POST", "/", ((name, "1"), ("Expect", "100-continue"), ("Content-Length", "4"))))
        response = connection.response()
        assert (response.status, response.header("Connection")) == (400, "close")
        assert response.body == b"a header name contains an underscore\n"
        connection.finish_sending()
        connection.assert_ended()
    assert server.note("called") == ""
    # In a value it is no harm.
    assert environ_of(server, ("X-Key", "a_b"))["HTTP_X_KEY"] == "a_b"


@pytest.mark.parametrize("map", ["drop", "dangerous", "refuse"])
@pytest.mark.parametrize("name", ["Proxy", "PROXY", "proxy", "pROXY"])
def test_a_header_called_proxy_is_in_no_environ(serve, map, name):
    server = serve(REPORT, "--header-map", map)
    environ = environ_of(server, (name, "http://evil.example"), ("Proxy-Authorization", "kept"))
    assert {key for key in environ if "PROXY" in key.upper()} == {"HTTP_PROXY_AUTHORIZATION"}


@pytest.mark.parametrize("map", ["drop", "dangerous"])
def test_what_the_server_says_of_a_body_is_said_once(serve, map):
    lies = (
        ("Content_Type", "evil/type"),
        ("content_length", "999"),
        ("Transfer_Encoding", "chunked"),
        ("HTTP_HOST", "evil"),
    )
    environ = environ_of(
        serve(REPORT, "--header-map", map), *lies, ("Content-Type", "text/plain"), *lies, method="POST", body=b"1234"
    )
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"], environ["HTTP_HOST"]) == ("text/plain", "4", "test")
    for key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "TRANSFER_ENCODING"):
        assert key not in environ


def test_cookies_stay_cookies(serve):
    server = serve(REPORT, "--header-map", "dangerous")
    assert environ_of(server, ("Cookie", "a=1"), ("COOKIE", "b=2"))["HTTP_COOKIE"] == "a=1; b=2"


def test_an_unknown_word_ends_with_a_sentence(serve):
    server = serve(REPORT, "--header-map", "keep")
    assert server.wait() == 2
    assert "write drop, refuse or dangerous" in server.stderr
