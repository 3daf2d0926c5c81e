"""PEP 3333, the application call and its iterable: duties 1 to 9 of docs/pep3333.md."""

import pytest
from wire import Truncated

CLOSED_ONCE = """
    class Body:
        def __init__(self, blocks):
            self.blocks = iter(blocks)
        def __iter__(self):
            return self
        def __next__(self):
            return next(self.blocks)
        def close(self):
            open("closed", "a").write("x")
    """


def test_01_the_application_is_called_with_two_positional_arguments(serve):
    server = serve("""
        def application(*arguments, **keywords):
            environ, start_response = arguments
            assert not keywords and type(environ) is dict
            environ.clear()
            start_response("200 OK", [])
            return [b"fine"]
        """)
    assert server.get().body == b"fine"


def test_02_start_response_may_be_called_in_the_first_iteration(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("202 Accepted", [("X-Late", "yes")])
            yield b"body"
        """)
    response = server.get()
    assert (response.status, response.header("X-Late"), response.body) == (202, "yes", b"body")


@pytest.mark.parametrize("threads", ["1", "8"])
def test_03_each_block_is_transmitted_before_the_next_is_asked_for(serve, gate, threads):
    server = serve(
        """
        def application(environ, start_response):
            start_response("200 OK", [])
            yield b"first"
            open("gate").read()
            yield b"second"
        """,
        "--threads",
        threads,
    )
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        connection.head()
        assert connection.chunk() == b"first"
        gate.open()
        assert (connection.chunk(), connection.chunk()) == (b"second", b"")


def test_03_a_block_given_to_write_is_transmitted_while_the_application_goes_on(serve, gate):
    server = serve("""
        def application(environ, start_response):
            write = start_response("200 OK", [])
            write(b"first")
            open("gate").read()
            write(b"second")
            return []
        """)
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        connection.head()
        assert connection.chunk() == b"first"
        gate.open()
        assert (connection.chunk(), connection.chunk()) == (b"second", b"")


def test_04_the_bytes_of_the_body_are_not_altered(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain; charset=latin-1")])
            return (bytes([n]) * 3 + b"\\r\\n\\n" for n in range(256))
        """)
    assert server.get().body == b"".join(bytes([n]) * 3 + b"\r\n\n" for n in range(256))


def test_05_close_is_called_once_after_success(serve):
    server = serve(
        CLOSED_ONCE
        + """
    def application(environ, start_response):
        start_response("200 OK", [])
        return Body([b"a", b"b"])
    """
    )
    assert server.get().body == b"ab"
    server.stop()
    assert server.note("closed") == "x"


def test_05_close_is_called_once_after_an_error_before_the_first_block(serve):
    server = serve(
        CLOSED_ONCE
        + """
    def fail():
        raise ValueError("early")
        yield
    def application(environ, start_response):
        start_response("200 OK", [])
        return Body(fail())
    """
    )
    assert server.get().status == 500
    server.stop()
    assert server.note("closed") == "x"


def test_05_close_is_called_once_after_an_error_between_blocks(serve):
    server = serve(
        CLOSED_ONCE
        + """
    def fail():
        yield b"part"
        raise ValueError("late")
    def application(environ, start_response):
        start_response("200 OK", [])
        return Body(fail())
    """
    )
    with pytest.raises(Truncated):
        server.get()
    server.stop()
    assert server.note("closed") == "x"


def test_05_close_is_called_once_when_the_client_has_vanished(serve, gate):
    server = serve(
        CLOSED_ONCE
        + """
    def endless():
        yield b"first"
        open("gate").read()
        while True:
            yield bytes(65536)
    def application(environ, start_response):
        start_response("200 OK", [])
        return Body(endless())
    """
    )
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        connection.head()
        connection.chunk()
        connection.reset()
    gate.open()
    server.wait_for_note("closed", "x")
    server.stop()
    assert server.note("closed") == "x"


def test_05_close_is_called_once_for_a_head_request(serve):
    server = serve(
        CLOSED_ONCE
        + """
    def application(environ, start_response):
        start_response("200 OK", [])
        return Body([b"a", b"b"])
    """
    )
    assert server.request("HEAD").body == b""
    server.stop()
    assert server.note("closed") == "x"


def test_05_an_exception_in_close_is_logged_and_ends_nothing(serve):
    server = serve("""
        class Body(list):
            def close(self):
                raise ValueError("from close")
        def application(environ, start_response):
            start_response("200 OK", [("Content-Length", "4")])
            return Body([b"body"])
        """)
    assert server.get().body == b"body"
    assert server.get().body == b"body"
    server.wait_for_log("from close")


def test_05_close_of_a_list_subclass_is_called(serve):
    server = serve("""
        class Body(list):
            def close(self):
                open("closed", "a").write("x")
        def application(environ, start_response):
            start_response("200 OK", [])
            return Body([b"body"])
        """)
    assert server.get().body == b"body"
    server.stop()
    assert server.note("closed") == "x"


def test_06_no_other_attribute_of_the_iterable_is_used(serve):
    server = serve("""
        class Body:
            def __getattribute__(self, name):
                open("used", "a").write(name + " ")
                return object.__getattribute__(self, name)
            def __iter__(self):
                return iter([b"body"])
        def application(environ, start_response):
            start_response("200 OK", [])
            return Body()
        """)
    assert server.get().body == b"body"
    server.stop()
    assert set(server.note("used").split()) <= {"close", "__iter__", "__len__", "__class__"}


@pytest.mark.parametrize(
    "body, length",
    [("[]", 0), ("()", 0), ("[b'']", 0), ("[b'abc']", 3), ("(b'abc',)", 3), ("[b'a', b'', b'bc']", 3)],
)
def test_07_the_length_of_a_list_or_tuple_gives_content_length(serve, body, length):
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", [])
            return {body}
        """)
    response = server.get()
    assert (response.framing, response.header("Content-Length")) == ("length", str(length))
    assert response.body == b"abc"[:length]


def test_07_a_length_is_not_believed_when_write_was_used(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])(b"written, ")
            return [b"returned"]
        """)
    response = server.get()
    assert (response.framing, response.body) == ("chunked", b"written, returned")


def test_07_a_false_length_cannot_break_the_framing(serve):
    server = serve("""
        class Body:
            def __len__(self):
                return 1
            def __iter__(self):
                return iter([b"one", b"two"])
        def application(environ, start_response):
            start_response("200 OK", [])
            return Body()
        """)
    with server.connect() as connection:
        assert connection.request().body == b"onetwo"
        connection.assert_open()


@pytest.mark.parametrize("item", ["'text'", "None", "1", "bytearray(b'x')", "memoryview(b'x')", "[b'x']"])
def test_08_an_item_that_is_not_bytes_is_an_error(serve, item):
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [{item}]
        """)
    assert server.get().status == 500
    server.wait_for_log("bytes")


def test_08_an_item_that_is_not_bytes_after_the_first_block_cuts_the_connection(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            yield b"part"
            yield "text"
        """)
    with pytest.raises(Truncated):
        server.get()
    server.wait_for_log("bytes")


@pytest.mark.parametrize("body", ["None", "'text'", "b'bytes'", "7"])
def test_09_a_result_that_is_no_iterable_of_bytes_is_an_error(serve, body):
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", [])
            return {body}
        """)
    assert server.get().status == 500
    assert server.get().status == 500


@pytest.mark.parametrize("body", ["[]", "[b'body']", "iter([b'body'])", "iter([])"])
def test_09_a_missing_start_response_is_an_error(serve, body):
    server = serve(f"""
        def application(environ, start_response):
            return {body}
        """)
    assert server.get().status == 500
    server.wait_for_log("start_response")
