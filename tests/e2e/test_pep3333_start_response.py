"""PEP 3333, start_response: duties 10 to 23 of docs/pep3333.md."""

import pytest
from wire import Truncated


def test_10_start_response_takes_exc_info_and_returns_write(serve):
    server = serve("""
        def application(environ, start_response):
            write = start_response("200 OK", [("X-Header", "a")], None)
            assert callable(write)
            return [b"fine"]
        """)
    assert server.get().body == b"fine"


def test_10_start_response_takes_keyword_arguments(serve):
    server = serve("""
        def application(environ, start_response):
            start_response(status="200 OK", headers=[("X-Header", "a")], exc_info=None)
            return [b"fine"]
        """)
    response = server.get()
    assert (response.header("X-Header"), response.body) == ("a", b"fine")


@pytest.mark.parametrize("arguments", ["", "'200 OK'", "'200 OK', [], None, 1", "'200 OK', [], wrong=1"])
def test_10_other_arguments_are_an_error(serve, arguments):
    server = serve(f"""
        def application(environ, start_response):
            try:
                start_response({arguments})
            except TypeError:
                start_response("200 OK", [])
                return [b"refused"]
        """)
    assert server.get().body == b"refused"


def test_11_headers_wait_for_the_first_non_empty_block(serve):
    server = serve("""
        import sys
        def application(environ, start_response):
            start_response("200 OK", [("X-First", "1")])
            yield b""
            yield b""
            try:
                raise ValueError
            except ValueError:
                start_response("418 Teapot", [("X-Second", "2")], sys.exc_info())
            yield b"body"
        """)
    response = server.get()
    assert (response.status, response.reason, response.body) == (418, "Teapot", b"body")
    assert (response.header("X-First"), response.header("X-Second")) == (None, "2")


def test_11_headers_wait_for_the_end_of_an_empty_iterable(serve):
    server = serve("""
        class Body:
            def __iter__(self):
                return self
            def __next__(self):
                self.start_response("201 Created", [("X-Late", "1")])
                raise StopIteration
        def application(environ, start_response):
            body = Body()
            body.start_response = start_response
            return body
        """)
    response = server.get()
    assert (response.status, response.header("X-Late"), response.body) == (201, "1", b"")


def test_11_an_explicit_content_length_of_zero_waits_for_the_end_of_the_iterable(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [("Content-Length", "0")])
            yield b""
            raise ValueError("after all")
        """)
    assert server.get().status == 500


def test_11_an_empty_write_sends_no_headers(serve):
    server = serve("""
        import sys
        def application(environ, start_response):
            start_response("200 OK", [])(b"")
            try:
                raise ValueError
            except ValueError:
                start_response("503 Later", [], sys.exc_info())
            return [b"body"]
        """)
    assert server.get().status == 503


def test_11_an_exception_before_the_first_block_is_a_500_without_its_traceback(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [("X-Header", "a")])
            yield b""
            raise ValueError("a secret of the application")
        """)
    with server.connect() as connection:
        response = connection.request()
        assert (response.status, response.header("X-Header")) == (500, None)
        assert b"secret" not in response.body and b"Traceback" not in response.body
    server.wait_for_log("ValueError: a secret of the application")
    assert "Traceback (most recent call last)" in server.stderr


def test_12_a_second_call_without_exc_info_is_an_error(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            start_response("200 OK", [])
            return [b"body"]
        """)
    assert server.get().status == 500


@pytest.mark.parametrize("exc_info", ["None", "exc_info=None"])
def test_12_a_second_call_with_an_exc_info_of_none_is_an_error(serve, exc_info):
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", [], {exc_info})
            start_response("200 OK", [], {exc_info})
            return [b"body"]
        """)
    assert server.get().status == 500


def test_13_exc_info_before_the_headers_are_sent_replaces_status_and_headers(serve):
    server = serve("""
        import sys
        def application(environ, start_response):
            start_response("200 OK", [("X-First", "1"), ("Content-Length", "1000"), ("Set-Cookie", "a=1")])
            try:
                raise ValueError
            except ValueError:
                start_response("500 Sorry", [("X-Second", "2")], sys.exc_info())
            return [b"sorry"]
        """)
    response = server.get()
    assert (response.status, response.reason, response.body) == (500, "Sorry", b"sorry")
    assert response.header("X-Second") == "2"
    assert response.header("X-First") is None and response.header("Set-Cookie") is None


def test_13_exc_info_in_the_first_call_is_allowed(serve):
    server = serve("""
        import sys
        def application(environ, start_response):
            try:
                raise ValueError
            except ValueError:
                start_response("500 Sorry", [], sys.exc_info())
            return [b"sorry"]
        """)
    assert server.get().body == b"sorry"


def test_13_replaced_headers_that_are_refused_leave_no_trace(serve):
    server = serve("""
        import sys
        def application(environ, start_response):
            start_response("200 OK", [("X-First", "1")])
            try:
                raise ValueError
            except ValueError:
                start_response("500 Sorry", [("bad name", "2")], sys.exc_info())
            return [b"sorry"]
        """)
    response = server.get()
    assert (response.status, response.header("X-First")) == (500, None)


@pytest.mark.parametrize("hand_over", ["yield b'part'", "write(b'part')"])
def test_14_exc_info_after_the_headers_are_sent_is_raised_again(serve, hand_over):
    server = serve(f"""
        import sys
        def application(environ, start_response):
            write = start_response("200 OK", [])
            {hand_over}
            try:
                raise KeyError("the first error")
            except KeyError as error:
                try:
                    start_response("500 Sorry", [], sys.exc_info())
                except KeyError as again:
                    open("raised", "w").write(str(again is error))
                    raise
            yield b"never"
        """)
    with pytest.raises(Truncated) as cut:
        server.get()
    assert cut.value.response.status == 200
    assert b"never" not in cut.value.response.body
    assert server.note("raised") == "True"


def test_15_no_reference_to_exc_info_is_kept(serve):
    server = serve("""
        import sys, weakref
        class Problem(Exception):
            pass
        def fail(start_response):
            try:
                raise Problem
            except Problem as problem:
                start_response("500 Sorry", [], sys.exc_info())
                return weakref.ref(problem)
        def application(environ, start_response):
            start_response("200 OK", [])
            gone = fail(start_response)() is None
            return [str(gone).encode()]
        """)
    assert server.get().body == b"True"


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


def test_22_connection_close_of_the_application_is_honoured(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [("Connection", "close")])
            return [b"body"]
        """)
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
