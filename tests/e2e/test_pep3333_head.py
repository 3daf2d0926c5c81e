"""PEP 3333, the status and the headers: duties 16 to 23 of docs/pep3333.md."""

import pytest


@pytest.mark.parametrize(
    "status, headers",
    [("'bad'", "[]"), ("'200 OK'", "[('bad name', 'x')]"), ("'200 OK'", "[('X', 'a\\r\\nb')]"), ("'200 OK'", "None")],
)
def test_16_errors_in_the_head_are_raised_by_the_call(serve, status, headers):
    server = serve(f"""
        def application(environ, start_response):
            try:
                start_response({status}, {headers})
            except Exception as error:
                start_response("200 OK", [])
                return [type(error).__name__.encode()]
            return [b"accepted"]
        """)
    assert server.get().body in (b"ValueError", b"TypeError", b"AssertionError")


@pytest.mark.parametrize(
    "status",
    ["'OK'", "''", "'20 OK'", "'2000 OK'", "'abc OK'", "'200OK'", "'200 O\\nK'", "'200 OK\\r\\nX-Split: 1'",
     "'200 \\0'", "b'200 OK'", "200", "None"],
)  # fmt: skip
def test_17_a_status_that_is_no_code_and_reason_is_an_error(serve, status):
    server = serve(f"""
        def application(environ, start_response):
            start_response({status}, [])
            return [b"body"]
        """)
    response = server.get()
    assert (response.status, response.header("X-Split")) == (500, None)


def test_17_the_reason_reaches_the_client_as_given(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("299 Very  Fine, d\\xe9j\\xe0 vu!", [])
            return [b"body"]
        """)
    response = server.get()
    assert (response.status, response.reason) == (299, "Very  Fine, d\xe9j\xe0 vu!")


@pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols", "103 Early Hints", "199 Odd", "099 Odd"])
def test_17_a_final_status_below_200_is_an_error(serve, status):
    server = serve(f"""
        def application(environ, start_response):
            start_response("{status}", [])
            return [b"body"]
        """)
    assert server.get().status == 500


def test_17_a_status_without_a_reason_is_served_and_logged_once(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("299", [("X-Kept", "1")])
            return [b"body"]
        """)
    for _ in range(3):
        response = server.get()
        assert (response.status, response.reason, response.header("X-Kept")) == (299, "", "1")
    server.stop()
    assert server.stderr.count("start_response() gets a status that") == 1
    assert "app.py:" in server.stderr and ", in application: " in server.stderr


@pytest.mark.parametrize(
    "status, words",
    [("100 Continue", "the server itself says 100"), ("101 Switching Protocols", "426 or 501"),
     ("103 Early Hints", "put its Link headers into the final response"), ("102 Processing", "a final status")],
)  # fmt: skip
def test_17_the_log_says_what_to_do_about_an_interim_status(serve, status, words):
    server = serve(f"""
        def application(environ, start_response):
            start_response("{status}", [])
            return [b"body"]
        """)
    with server.connect() as connection:
        assert connection.request().status == 500
        connection.assert_open()
    server.wait_for_log(f"the status \"{status}\" is wrong: ")
    server.wait_for_log(words)


#: What PEP 3333 forbids and every server takes.
DEPARTURES = [
    ("'200 OK'", "{'X-A': 'b'}.items()"),
    ("'200 OK'", "(('X-A', 'b'),)"),
    ("'200 OK'", "type('Lines', (list,), {})([('X-A', 'b')])"),
    ("'200 OK'", "(pair for pair in [('X-A', 'b')])"),
    ("'200 OK'", "[['X-A', 'b']]"),
    ("'200'", "[('X-A', 'b')]"),
]


@pytest.mark.parametrize("status, headers", DEPARTURES)
def test_18_a_head_with_one_meaning_is_served_and_each_place_is_logged_once(serve, status, headers):
    server = serve(f"""
        def one_place(start_response):
            start_response({status}, {headers})
        def other_place(start_response):
            start_response({status}, {headers})
        def application(environ, start_response):
            (one_place if environ["PATH_INFO"] == "/" else other_place)(start_response)
            return [b"body"]
        """)
    for path in ("/", "/", "/other", "/other", "/"):
        response = server.get(path)
        assert (response.status, response.header("X-A"), response.body) == (200, "b", b"body")
    server.stop()
    assert server.stderr.count("start_response() gets") == 2
    assert server.stderr.count("in one_place") == server.stderr.count("in other_place") == 1


@pytest.mark.parametrize("status, headers", DEPARTURES)
def test_18_strict_headers_keep_the_letter(serve, status, headers):
    server = serve(
        f"""
        def application(environ, start_response):
            start_response({status}, {headers})
            return [b"body"]
        """,
        "--strict-headers",
    )
    assert server.get().status == 500


@pytest.mark.parametrize(
    "headers",
    ["None", "5", "'X: y'", "{'X': 'y'}", "[('X',)]", "[('X', 'y', 'z')]", "[('X', 1)]", "[(1, 'y')]", "[('X', b'y')]",
     "[(b'X', 'y')]", "[None]", "['Xy']", "[('X', None)]"],
)  # fmt: skip
def test_18_headers_that_are_no_list_of_pairs_of_strings_are_an_error(serve, headers):
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", {headers})
            return [b"body"]
        """)
    assert server.get().status == 500


@pytest.mark.parametrize(
    "header",
    ["('', 'x')", "('a b', 'x')", "('a:', 'x')", "('a\\r\\nb', 'x')", "('\\xe9', 'x')", "('a\\0', 'x')", "('a', 'x\\ny')",
     "('a', 'x\\ry')", "('a', 'x\\0y')", "('a', 'x\\x01y')", "('a', 'x\\x7fy')", "('a', 'x\\r\\n\\r\\n<html>')"],
)  # fmt: skip
def test_19_names_are_tokens_and_values_hold_no_control_characters(serve, header):
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", [{header}])
            return [b"body"]
        """)
    response = server.get()
    assert response.status == 500
    assert b"<html>" not in response.body


def test_20_strings_are_latin_1(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [("X-Name", "caf\\xe9 \\xff")])
            return [b"body"]
        """)
    assert server.get().header("X-Name") == "caf\xe9 \xff"


@pytest.mark.parametrize("status, value", [("200 \\u2603", "x"), ("200 OK", "\\u0100"), ("200 OK", "\\ud800")])
def test_20_characters_beyond_latin_1_are_an_error(serve, status, value):
    server = serve(f"""
        def application(environ, start_response):
            start_response("{status}", [("X-Name", "{value}")])
            return [b"body"]
        """)
    assert server.get().status == 500


def test_21_headers_keep_their_order_spelling_and_repetition(serve):
    headers = [("x-ZEBRA", "1"), ("Set-Cookie", "a=1"), ("Content-Type", "text/plain"), ("set-cookie", "b=2"), ("ETag", '"x"'),
               ("Alpha", "2"), ("Set-Cookie", "c=3")]  # fmt: skip
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", {headers!r})
            return [b"body"]
        """)
    received = server.get().headers
    names = {name.lower() for name, _ in headers}
    assert [(name, value) for name, value in received if name.lower() in names] == headers


HOP_BY_HOP = [
    ("Connection", "keep-alive, X-Private"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Authenticate", "Basic"),
    ("Proxy-Authorization", "Basic x"),
    ("TE", "trailers"),
    ("Trailer", "X-Sum"),
    ("Transfer-Encoding", "chunked"),
    ("Upgrade", "websocket"),
]


@pytest.mark.parametrize("name, value", HOP_BY_HOP)
def test_22_a_hop_by_hop_header_is_dropped_and_logged(serve, name, value):
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", [("{name.upper()}", "{value}"), ("X-Kept", "1"), ("Content-Length", "4")])
            return [b"body"]
        """)
    with server.connect() as connection:
        response = connection.request()
        assert (response.status, response.body, response.header("X-Kept")) == (200, b"body", "1")
        assert value not in response.all(name)
        connection.assert_open()
    server.wait_for_log(name)


@pytest.mark.parametrize("name, value", HOP_BY_HOP)
def test_22_a_hop_by_hop_header_raises_under_strict_headers(serve, name, value):
    server = serve(
        f"""
        def application(environ, start_response):
            start_response("200 OK", [("{name}", "{value}"), ("Content-Length", "4")])
            return [b"body"]
        """,
        "--strict-headers",
    )
    assert server.get().status == 500
    server.wait_for_log(name)


def test_22_a_dropped_header_is_logged_once(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [("Keep-Alive", "timeout=5"), ("Upgrade", "h2c")])
            return []
        """)
    for _ in range(5):
        server.get()
    server.stop()
    assert server.stderr.lower().count('"keep-alive"') == server.stderr.lower().count('"upgrade"') == 1


@pytest.mark.parametrize("flags", [[], ["--strict-headers"]])
def test_22_connection_close_of_the_application_is_honoured(serve, flags):
    server = serve(
        """
        def application(environ, start_response):
            start_response("200 OK", [("Connection", "close")])
            return [b"body"]
        """,
        *flags,
    )
    with server.connect() as connection:
        response = connection.request()
        assert (response.body, response.header("Connection")) == (b"body", "close")
        connection.assert_ended()


def test_23_date_and_server_are_added(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [b"body"]
        """)
    response = server.get()
    assert response.header("Server") == "funicorn"
    assert response.header("Date").endswith(" GMT")


def test_23_date_and_server_of_the_application_are_not_doubled(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [("date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("SERVER", "mine")])
            return [b"body"]
        """)
    response = server.get()
    assert (response.header("Date"), response.header("Server")) == ("Thu, 01 Jan 1970 00:00:00 GMT", "mine")
