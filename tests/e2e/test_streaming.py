"""What happens while a response is under way: blocks that leave at once, clients that vanish, responses that are cut."""

import pytest
from server import EXAMPLES
from waiting import eventually
from wire import Truncated, request

TICKS = """
    class Ticks:
        "Yields blocks for ever, one for each time the gate opens; writes down that it was closed."
        def __iter__(self):
            return self
        def __next__(self):
            open("gate").read()
            return b"tick"
        def close(self):
            open("closed", "a").write("x")
    def application(environ, start_response):
        start_response("200 OK", [])
        return Ticks()
    """


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_block_arrives_while_the_generator_waits(serve, gate, threads):
    server = serve(TICKS, "--threads", threads)
    with server.connect() as connection:
        connection.send(request())
        gate.open()
        connection.head()
        for _ in range(20):
            assert connection.chunk() == b"tick"
            gate.open()
        connection.reset()
    # A block that finds no client ends the response.
    eventually(lambda: gate.open_if_needed() or server.note("closed") == "x", "close() is called")


def test_small_blocks_in_a_row_arrive_whole_and_in_order(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            return (b"%d," % number for number in range(20000))
        """)
    assert server.get().body == b"".join(b"%d," % number for number in range(20000))


def test_blocks_of_every_size_arrive_whole_and_in_order(serve):
    sizes = [1, 10, 100_000, 1, 0, 16384, 16385, 1 << 20, 3, 65536, 8]
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", [])
            for index, size in enumerate({sizes}):
                yield bytes([index]) * size
        """)
    assert server.get().body == b"".join(bytes([index]) * size for index, size in enumerate(sizes))


VANISHING = """
    class Body:
        def __iter__(self):
            return self.blocks()
        def blocks(self):
            try:
                yield b"first"
                open("gate").read()
                while True:
                    yield bytes(65536)
            finally:
                open("ended", "a").write("x")
        def close(self):
            open("closed", "a").write("x")
    def application(environ, start_response):
        if environ["PATH_INFO"] == "/other":
            start_response("200 OK", [])
            return [b"other"]
        start_response("200 OK", [("Content-Length", "1000000000")] if environ["PATH_INFO"] == "/length" else [])
        return Body()
    """


@pytest.mark.parametrize("path", ["/", "/length"])
@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_client_that_vanishes_ends_the_response_once(serve, gate, path, leave):
    server = serve(VANISHING)
    connection = server.connect()
    connection.send(request("GET", path))
    connection.head()
    getattr(connection, leave)()
    gate.open()
    server.wait_for_note("closed", "x")
    assert server.get("/other").body == b"other"
    server.stop()
    assert server.note("closed") == "x"
    assert "Traceback" not in server.stderr


def test_a_client_that_vanishes_before_the_first_block_ends_the_response_once(serve, gate):
    server = serve(VANISHING.replace('yield b"first"', 'open("begun", "w").write("x")'))
    connection = server.connect()
    connection.send(request())
    server.wait_for_note("begun", "x")
    connection.reset()
    gate.open()
    server.wait_for_note("closed", "x")
    server.stop()
    assert server.note("closed") == "x"


def test_a_client_that_vanishes_while_write_is_used_does_not_block_the_application(serve, gate):
    server = serve("""
        def application(environ, start_response):
            write = start_response("200 OK", [])
            write(b"first")
            open("gate").read()
            try:
                for _ in range(1000):
                    write(bytes(65536))
            finally:
                open("ended", "a").write("x")
            return []
        """)
    connection = server.connect()
    connection.send(request())
    connection.head()
    connection.reset()
    gate.open()
    server.wait_for_note("ended", "x")


def test_a_client_that_stops_reading_makes_the_application_wait_and_others_are_served(serve):
    """Output waits in memory, then in a file, then the application waits; nothing of it stops another client."""
    server = serve(
        """
        def application(environ, start_response):
            start_response("200 OK", [])
            return [b"other"] if environ["PATH_INFO"] == "/other" else (bytes(1 << 20) for _ in range(8))
        """,
        "--threads",
        "2",
    )
    with server.connect(receive_buffer=4096) as slow:
        slow.send(request())
        slow.head()
        assert server.get("/other").body == b"other"
        total = sum(len(chunk) for chunk in iter(slow.chunk, b""))
    assert total == 8 << 20


@pytest.mark.parametrize("kind", ["raise ValueError('cut')", "yield 'text'", "raise SystemExit", "raise GeneratorExit"])
def test_an_error_after_the_first_block_is_visible_to_the_client(serve, kind):
    server = serve(f"""
        def application(environ, start_response):
            start_response("200 OK", [])
            if environ["PATH_INFO"] == "/other":
                yield b"other"
                return
            yield b"part"
            {kind}
        """)
    with pytest.raises(Truncated):
        server.get()
    assert server.get("/other").body == b"other"


def test_the_example_streams(serve):
    server = serve(None, "--pythonpath", str(EXAMPLES), spec="streaming")
    assert server.get("/?count=1").body == b"tick 0\n"
    server.wait_for_log("the stream is over")
