"""PEP 3333, what is left: duties 50 to 56 of docs/pep3333.md: 100-continue, file_wrapper, errors, threads."""

import gzip

import pytest
from wire import Truncated, request

CONTENT = b"".join(b"line %06d\n" % number for number in range(20000))

#: Answers with a file object, made by the expression in X-File, in the server's wrapper.
WRAP = """
    import gzip, io
    class Plain:
        "Has read and close, and nothing else."
        def __init__(self, file):
            self.read, self.file = file.read, file
        def close(self):
            open("closed", "a").write("x")
    class Closing(io.FileIO):
        def close(self):
            if not self.closed:
                open("closed", "a").write("x")
            super().close()
    class Upper(io.FileIO):
        "A file whose bytes are not those of its descriptor."
        def read(self, *size):
            return super().read(*size).upper()
    def skipping(file, count):
        file.read(count)
        return file
    def application(environ, start_response):
        if "HTTP_X_FILE" not in environ:
            start_response("204 Nothing Asked", [])
            return []
        headers = [("Content-Length", environ["HTTP_X_LENGTH"])] if "HTTP_X_LENGTH" in environ else []
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](eval(environ["HTTP_X_FILE"]), 8192)
    """


@pytest.fixture
def content(tmp_path):
    (tmp_path / "content").write_bytes(CONTENT)
    (tmp_path / "content.gz").write_bytes(gzip.compress(CONTENT))


def test_50_continue_is_sent_before_the_body_and_the_application_sees_it_whole(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [environ["wsgi.input"].read()]
        """)
    with server.connect() as connection:
        connection.send(request("POST", "/", (("Expect", "100-continue"), ("Content-Length", "4"))))
        interim = connection.response()
        assert (interim.status, interim.headers) == (100, [])
        connection.send(b"body")
        assert connection.response().body == b"body"
        connection.assert_open()


@pytest.mark.parametrize(
    "file, start",
    [
        ("open('content', 'rb')", 0),
        ("open('content', 'rb', buffering=0)", 0),
        ("open('content', 'r+b')", 0),
        ("skipping(open('content', 'rb'), 11)", 11),
        ("skipping(open('content', 'rb', buffering=0), 11)", 11),
        ("skipping(open('content', 'r+b'), 11)", 11),
        ("gzip.open('content.gz')", 0),
        ("skipping(gzip.open('content.gz'), 11)", 11),
        ("io.BytesIO(open('content', 'rb').read())", 0),
        ("Plain(open('content', 'rb'))", 0),
        ("Closing('content')", 0),
    ],
)
def test_51_the_file_wrapper_sends_from_where_the_file_stands(serve, content, file, start):
    server = serve(WRAP)
    with server.connect() as connection:
        assert connection.request(headers=(("X-File", file),)).body == CONTENT[start:]
        length = str(len(CONTENT) - start)
        response = connection.request(headers=(("X-File", file), ("X-Length", length)))
        assert (response.framing, response.body) == ("length", CONTENT[start:])
        connection.assert_open()


def test_51_a_file_that_reads_otherwise_than_its_descriptor_is_read(serve, content):
    assert serve(WRAP).get("/", ("X-File", "Upper('content')")).body == CONTENT.upper()


@pytest.mark.parametrize("file", ["open('content', 'rb')", "io.BytesIO(open('content', 'rb').read())"])
def test_51_the_file_wrapper_stops_at_content_length(serve, content, file):
    server = serve(WRAP)
    with server.connect() as connection:
        for _ in range(2):
            assert connection.request(headers=(("X-File", file), ("X-Length", "11"))).body == CONTENT[:11]


def test_51_the_file_wrapper_of_a_file_that_is_too_short_cuts_the_connection(serve, content):
    with pytest.raises(Truncated):
        serve(WRAP).get("/", ("X-File", "open('content', 'rb')"), ("X-Length", "9999999"))


@pytest.mark.parametrize("file", ["Plain(open('content', 'rb'))", "Closing('content')"])
def test_51_the_file_wrapper_closes_its_file_once(serve, content, file):
    server = serve(WRAP)
    assert server.get("/", ("X-File", file)).body == CONTENT
    server.stop()
    assert server.note("closed") == "x"


def test_51_the_file_wrapper_sends_nothing_for_a_head_request(serve, content):
    server = serve(WRAP)
    with server.connect() as connection:
        response = connection.request(
            "HEAD", headers=(("X-File", "Closing('content')"), ("X-Length", str(len(CONTENT))))
        )
        assert response.header("Content-Length") == str(len(CONTENT)) and not connection.buffer
    server.stop()
    assert server.note("closed") == "x"


def test_51_a_pipe_in_the_file_wrapper_is_read_to_its_end(serve):
    server = serve("""
        import os
        def application(environ, start_response):
            end, start = os.pipe()
            os.write(start, b"from a pipe")
            os.close(start)
            start_response("200 OK", [])
            return environ["wsgi.file_wrapper"](open(end, "rb"))
        """)
    assert server.get().body == b"from a pipe"


def test_51_the_file_wrapper_sends_nothing_until_it_is_returned(serve, content):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            environ["wsgi.file_wrapper"](open("content", "rb"))
            start_response("203 Other", [], (ValueError, ValueError(), None))
            return [b"not the file"]
        """)
    response = server.get()
    assert (response.status, response.body) == (203, b"not the file")


def test_51_a_wrapped_file_follows_what_was_written(serve, content):
    server = serve("""
        def application(environ, start_response):
            write = start_response("200 OK", [])
            write(b"before ")
            return environ["wsgi.file_wrapper"](open("content", "rb"))
        """)
    assert server.get().body == b"before " + CONTENT


@pytest.mark.parametrize("arguments", ["file", "file, 10", "file, None"])
def test_51_the_file_wrapper_takes_a_file_and_a_size(serve, content, arguments):
    server = serve(f"""
        def application(environ, start_response):
            file = open("content", "rb")
            start_response("200 OK", [])
            return environ["wsgi.file_wrapper"]({arguments})
        """)
    assert server.get().body == CONTENT


def test_52_a_wrapper_within_middleware_is_iterated(serve, content):
    server = serve("""
        class Upper:
            def __init__(self, body):
                self.body = body
            def __iter__(self):
                for block in self.body:
                    open("blocks", "a").write(f"{len(block)} ")
                    yield block.upper()
            def close(self):
                self.body.close()
        def application(environ, start_response):
            start_response("200 OK", [])
            return Upper(environ["wsgi.file_wrapper"](open("content", "rb"), 8192))
        """)
    assert server.get().body == CONTENT.upper()
    assert set(server.note("blocks").split()[:-1]) == {"8192"}


def test_53_an_exception_is_logged_with_its_traceback(serve):
    server = serve("""
        def application(environ, start_response):
            raise ZeroDivisionError("by zero")
        """)
    with server.connect() as connection:
        response = connection.request()
        assert response.status == 500 and b"by zero" not in response.body
    server.wait_for_log("ZeroDivisionError: by zero")
    assert 'app.py", line 3, in application' in server.stderr


@pytest.mark.parametrize("version, framing", [("1.1", "chunked"), ("1.0", "close")])
def test_53_an_exception_after_the_first_block_is_visible_to_the_client(serve, version, framing):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            yield b"part"
            raise ValueError("late")
        """)
    with server.connect() as connection:
        connection.send(f"GET / HTTP/{version}\r\nHost: test\r\n\r\n".encode())
        with pytest.raises(Truncated) as cut:
            connection.response()
    assert cut.value.response is None or cut.value.response.framing == framing
    server.wait_for_log("ValueError: late")


def test_54_one_thread_never_runs_two_requests_at_once(serve):
    server = serve("""
        import threading
        running = threading.Lock()
        def application(environ, start_response):
            alone = running.acquire(blocking=False)
            start_response("200 OK", [])
            yield str((alone, threading.current_thread() is threading.main_thread())).encode()
            running.release()
        """)
    connections = [server.connect() for _ in range(10)]
    for connection in connections:
        connection.send(request())
    assert {connection.response().body for connection in connections} == {b"(True, True)"}


@pytest.mark.parametrize(
    "error", ["SystemExit", "SystemExit(3)", "KeyboardInterrupt", "GeneratorExit", "BaseException"]
)
@pytest.mark.parametrize("path", ["/call", "/iteration"])
def test_56_no_exception_of_the_application_ends_the_server(serve, error, path):
    server = serve(f"""
        import os
        def application(environ, start_response):
            start_response("200 OK", [])
            if environ["PATH_INFO"] == "/call":
                raise {error}
            return failing() if environ["PATH_INFO"] == "/iteration" else [str(os.getpid()).encode()]
        def failing():
            raise {error}
            yield
        """)
    before = server.get("/pid").body
    assert server.get(path).status == 500
    assert server.get("/pid").body == before
