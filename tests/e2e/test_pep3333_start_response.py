"""PEP 3333, the calls of start_response: duties 10 to 15 of docs/pep3333.md."""

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
