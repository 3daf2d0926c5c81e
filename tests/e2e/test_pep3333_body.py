"""PEP 3333, write, Content-Length and framing: duties 24 to 30 of docs/pep3333.md."""

import pytest
from wire import Truncated


def test_24_written_bytes_come_before_the_iterable(serve):
    server = serve("""
        def application(environ, start_response):
            write = start_response("200 OK", [])
            write(b"one ")
            write(b"")
            write(b"two ")
            return [b"three"]
        """)
    assert server.get().body == b"one two three"


@pytest.mark.parametrize("data", ["'text'", "None", "bytearray(b'x')", "7"])
def test_24_write_takes_bytes_only(serve, data):
    server = serve(f"""
        def application(environ, start_response):
            write = start_response("200 OK", [])
            try:
                write({data})
            except Exception as error:
                return [type(error).__name__.encode()]
            return [b"accepted"]
        """)
    assert server.get().body in (b"TypeError", b"AssertionError")


def test_24_the_returned_write_takes_one_argument(serve):
    server = serve("""
        def application(environ, start_response):
            write = start_response("200 OK", [])
            for arguments in [(), (b"a", b"b")]:
                try:
                    write(*arguments)
                except TypeError:
                    pass
                else:
                    return [b"accepted"]
            return [b"refused"]
        """)
    assert server.get().body == b"refused"


def test_24_write_after_the_request_raises(serve):
    server = serve("""
        kept = []
        def application(environ, start_response):
            if kept:
                try:
                    kept[0](b"from an old request")
                except Exception as error:
                    open("raised", "w").write(type(error).__name__)
            write = start_response("200 OK", [("Content-Length", "4")])
            kept.append(write)
            return [b"body"]
        """)
    with server.connect() as connection:
        assert connection.request().body == b"body"
        assert connection.request().body == b"body"
        connection.assert_open()
    assert server.note("raised") != ""


def test_24_start_response_after_the_request_raises(serve):
    server = serve("""
        kept = []
        def application(environ, start_response):
            if kept:
                try:
                    kept[0]("500 Wrong", [])
                except Exception as error:
                    open("raised", "w").write(type(error).__name__)
            kept.append(start_response)
            start_response("200 OK", [("Content-Length", "4")])
            return [b"body"]
        """)
    with server.connect() as connection:
        assert connection.request().status == 200
        assert connection.request().status == 200
    assert server.note("raised") != ""


def test_25_a_generator_may_write_between_its_blocks(serve):
    server = serve("""
        def application(environ, start_response):
            write = start_response("200 OK", [])
            write(b"1")
            yield b"2"
            write(b"3")
            yield b"4"
        """)
    assert server.get().body == b"1234"


@pytest.mark.parametrize(
    "body",
    ["return [b'body and more']", "return [b'bo', b'dy', b' and more']", "yield b'body and'\n    yield b' more'"],
)
def test_26_what_goes_past_content_length_is_cut_and_logged(serve, body):
    server = serve(f"""
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    {body}
""")
    with server.connect() as connection:
        assert connection.request().body == b"body"
        assert not connection.buffer
    server.wait_for_log("Content-Length")


def test_26_iteration_stops_past_content_length(serve):
    server = serve("""
        class Body:
            def __iter__(self):
                while True:
                    yield b"body"
            def close(self):
                open("closed", "a").write("x")
        def application(environ, start_response):
            start_response("200 OK", [("Content-Length", "4")])
            return Body()
        """)
    assert server.get().body == b"body"
    server.wait_for_note("closed", "x")


def test_26_a_write_past_content_length_raises_or_is_cut(serve):
    server = serve("""
        def application(environ, start_response):
            write = start_response("200 OK", [("Content-Length", "4")])
            write(b"body")
            write(b"more")
            return []
        """)
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert connection.response().body == b"body"
        assert not connection.buffer
    server.wait_for_log("Content-Length")


@pytest.mark.parametrize("body", ["[]", "[b'bo']", "iter([b'bo'])"])
def test_27_a_body_shorter_than_content_length_cuts_the_connection_and_is_logged(serve, body):
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", [("Content-Length", "4")])
            return {body}
        """)
    with server.connect() as connection:
        with pytest.raises(Truncated) as cut:
            connection.request()
    assert cut.value.response is None or len(cut.value.response.body) <= 2
    server.wait_for_log("Content-Length")


@pytest.mark.parametrize("value", ["abc", "-1", "+4", "4 4", "4,4", "", "0x4", "99999999999999999999999", "\\xb2"])
def test_27_a_content_length_that_is_no_number_is_an_error(serve, value):
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", [("Content-Length", "{value}")])
            return [b"body"]
        """)
    assert server.get().status == 500


def test_27_two_different_content_lengths_are_an_error(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [("Content-Length", "4"), ("content-length", "5")])
            return [b"body"]
        """)
    assert server.get().status == 500


def test_28_an_unknown_length_is_chunked_for_http_1_1(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            yield b"some"
            yield b"body"
        """)
    with server.connect() as connection:
        response = connection.request()
        assert (response.framing, response.body) == ("chunked", b"somebody")
        connection.assert_open()


def test_28_an_unknown_length_ends_with_the_connection_for_http_1_0(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            yield b"some"
            yield b"body"
        """)
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        response = connection.response()
        assert (response.framing, response.body, connection.end) == ("close", b"somebody", "end")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("body", ["return [b'body']", "return []", "yield b'body'", "write(b'body'); return []"])
def test_29_204_and_304_have_no_body(serve, status, body):
    server = serve(f"""
        def application(environ, start_response):
            write = start_response("{status}", [("ETag", '"x"')])
            {body}
        """)
    with server.connect() as connection:
        response = connection.request()
        assert response.status == int(status[:3]) and not connection.buffer
        assert response.header("Transfer-Encoding") is None and response.header("Content-Length") is None
        connection.assert_open()


@pytest.mark.parametrize("body", ["return [b'body']", "yield b'bo'; yield b'dy'", "write(b'body'); return []"])
def test_29_head_has_no_body_and_no_computed_length(serve, body):
    server = serve(f"""
        def application(environ, start_response):
            write = start_response("200 OK", [])
            {body}
        """)
    with server.connect() as connection:
        response = connection.request("HEAD")
        assert response.status == 200 and not connection.buffer
        assert response.header("Content-Length") is None
        connection.assert_open()


def test_29_content_length_of_the_application_passes_for_head_and_304_and_is_dropped_for_204(serve):
    server = serve("""
        def application(environ, start_response):
            start_response(environ["HTTP_X_STATUS"], [("Content-Length", "1234")])
            return []
        """)
    with server.connect() as connection:
        assert connection.request("HEAD", headers=(("X-Status", "200 OK"),)).header("Content-Length") == "1234"
        assert connection.request(headers=(("X-Status", "304 Same"),)).header("Content-Length") == "1234"
        assert connection.request(headers=(("X-Status", "204 None"),)).header("Content-Length") is None
        assert connection.request("HEAD", headers=(("X-Status", "200 OK"),)).status == 200


def test_29_an_error_in_a_body_that_is_not_sent_does_not_hang_the_client(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            yield b"part"
            raise ValueError("late")
        """)
    with server.connect() as connection:
        try:
            assert connection.request("HEAD").status == 200
        except Truncated:
            pass
    server.wait_for_log("ValueError: late")


def test_30_an_empty_block_is_no_chunk(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            for block in [b"", b"one", b"", b"", b"two", b""]:
                yield block
        """)
    with server.connect() as connection:
        response = connection.request()
        assert (response.framing, response.body) == ("chunked", b"onetwo")
        connection.assert_open()
