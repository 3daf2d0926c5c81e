"""What can an application do to the server that keeps what it is given, or is killed while it answers?"""

import os
import select
import signal
from contextlib import ExitStack

import pytest
from server import children
from vitals import descriptors, worker
from waiting import eventually
from wire import request

#: Keeps everything of every request for /keep, and tries for /use what can still be done with the things kept.
LEAKING = """
    import gc
    kept = []
    def application(environ, start_response):
        body = environ["wsgi.input"]
        if environ["PATH_INFO"] == "/keep":
            write = start_response("200 OK", [("Content-Length", "4")])
            wrapper = environ["wsgi.file_wrapper"](open("app.py", "rb"), 4) if environ["QUERY_STRING"] else None
            kept.append((environ, start_response, write, body, wrapper and environ["wsgi.file_wrapper"]))
            return wrapper or [b"kept"]
        elif environ["PATH_INFO"] == "/use":
            outcomes = set()
            for environ, begin, write, body, wrapper in kept:
                outcomes.add("start_response " + tried(begin, "200 OK", []))
                outcomes.add("write " + tried(write, b"late"))
                outcomes.add("read " + tried(body.read))
            answer = ", ".join(sorted(outcomes)).encode()
        else:
            kept.clear()
            gc.collect()
            answer = b"let go"
        start_response("200 OK", [("Content-Length", str(len(answer)))])
        return [answer]

    def tried(function, *arguments):
        try:
            return f"gave {len(function(*arguments))}"
        except Exception as error:
            return "raised"
    """


@pytest.mark.parametrize("threads", ["1", "4"])
def test_an_application_that_keeps_everything_keeps_nothing_of_the_server(serve, threads):
    server = serve(LEAKING, "--threads", threads)
    with server.connect() as connection:
        connection.request("GET", "/let-go")
        pid = worker(server)
        before = descriptors(pid)
        for number in range(100):
            assert connection.request("GET", "/keep").body == b"kept"
            assert connection.request("GET", "/keep?wrapped").body == b"\nimp"
            assert connection.request("POST", "/keep", (), bytes(10)).body == b"kept"
            with server.connect() as other:
                assert other.request("GET", "/keep").body == b"kept"
        eventually(lambda: descriptors(pid) <= before, f"{before} descriptors, as before: {descriptors(pid)}")
        assert connection.request("GET", "/use").body == b"read gave 0, read gave 10, start_response raised, write raised"
        assert not connection.buffer, "something that was kept wrote to a connection"
        connection.assert_open()
    assert worker(server) == pid


@pytest.mark.parametrize("threads", ["1", "4"])
def test_large_bodies_that_are_kept_hold_a_file_until_they_are_let_go(serve, threads):
    """What the application keeps it can still read; the file goes with it."""
    server = serve(LEAKING, "--threads", threads)
    with server.connect() as connection:
        connection.request("GET", "/let-go")
        pid = worker(server)
        before = descriptors(pid)
        for _ in range(5):
            assert connection.request("POST", "/keep", (), bytes(1 << 20)).body == b"kept"
        assert descriptors(pid) <= before + 5
        connection.request("GET", "/let-go")
        eventually(lambda: descriptors(pid) <= before, f"{before} descriptors, as before: {descriptors(pid)}")


@pytest.mark.parametrize("threads", ["1", "4"])
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_clients_of_a_killed_worker_see_a_cut_and_the_next_are_served(serve, gate, threads, framing):
    server = serve(
        f"""
        import os
        def application(environ, start_response):
            start_response("200 OK", [("Content-Length", "20")] if "{framing}" == "length" else [])
            if environ["PATH_INFO"] == "/block":
                yield b"%10d" % os.getpid()
                open("gate").read()
                yield b"never sent"
            else:
                yield b"%20d" % os.getpid()
        """,
        "--workers",
        "2",
        "--threads",
        threads,
    )
    with server.connect() as cut:
        cut.send(request("GET", "/block"))
        cut.head()
        victim = int(cut.chunk() if framing == "chunked" else cut._exactly(10))
        os.kill(victim, signal.SIGKILL)
        assert cut.rest() == b"", "more than was sent before the worker was killed"
        for _ in range(5):
            assert int(server.get().body) != victim
    eventually(lambda: len(children(server.pid)) == 2 and victim not in children(server.pid), "two workers again")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_worker_all_of_whose_threads_hang_leaves_new_clients_to_another(serve, gate, threads):
    server = serve(
        """
        import os
        def application(environ, start_response):
            if environ["PATH_INFO"] == "/hang":
                open("begun", "a").write(f"{os.getpid()} ")
                open("gate").read()
            start_response("200 OK", [])
            return [str(os.getpid()).encode()]
        """,
        "--workers",
        "2",
        "--threads",
        str(threads),
    )
    with ExitStack() as stack:
        hanging = []
        while max(map(server.note("begun").split().count, server.note("begun").split()), default=0) < threads:
            hanging.append(stack.enter_context(server.connect()))
            hanging[-1].send(request("GET", "/hang"))
            eventually(lambda: len(server.note("begun").split()) == len(hanging), "one more call hangs")
            assert len(hanging) < 2 * threads, "both workers hang, and each was to have a thread left"
        hung = [pid for pid in server.note("begun").split() if server.note("begun").split().count(pid) == threads]
        for _ in range(20):
            assert server.get().body.decode() not in hung
        gate.open()
        eventually(lambda: gate.open_if_needed() or all(answered(client) for client in hanging), "every call ends")


@pytest.mark.parametrize("threads", [1, 4])
def test_while_every_thread_hangs_deadlines_go_on_and_the_queue_has_an_end(serve, gate, threads):
    seconds = "4"  # long enough for a client to do in time what it has to do next
    server = serve(
        """
        def application(environ, start_response):
            if environ["PATH_INFO"] == "/hang":
                open("begun", "a").write("x")
                open("gate").read()
            start_response("200 OK", [])
            return [environ["PATH_INFO"].encode()]
        """,
        *("--threads", str(threads), "--limit-queue", "2", "--queue-timeout", seconds),
        *("--head-timeout", seconds, "--body-timeout", seconds, "--keep-alive", seconds),
    )
    with ExitStack() as stack:
        hanging = [stack.enter_context(server.connect()) for _ in range(threads)]
        for connection in hanging:
            connection.send(request("GET", "/hang"))
        server.wait_for_note("begun", "x" * threads)
        slow_head, slow_body, idle = (stack.enter_context(server.connect()) for _ in range(3))
        slow_head.send(b"GET / HTTP/1.1\r\nHost:")
        slow_body.send(request("POST", "/", (("Content-Length", "9"),)) + b"some")
        waiting = [stack.enter_context(server.connect()) for _ in range(2)]
        for connection in waiting:
            # That it is told to continue says that it has been read: it will be in the queue before those behind it.
            connection.send(request("POST", "/waiting", (("Expect", "100-continue"), ("Content-Length", "1"))))
            assert connection.response().status == 100
            connection.send(b"x")
        behind = [stack.enter_context(server.connect()) for _ in range(5)]
        for connection in behind:
            connection.send(request("GET", "/behind"))
        for connection in (slow_head, slow_body):
            assert connection.response().status == 408
        idle.assert_ended()
        for connection in behind:
            refused = connection.response()
            assert refused.status == 503 and refused.header("Retry-After")
        eventually(lambda: gate.open_if_needed() or all(map(answered, hanging + waiting)), "every call ends")
        assert [connection.response().body for connection in hanging] == [b"/hang"] * threads
        assert [connection.response().body for connection in waiting] == [b"/waiting"] * 2
    assert server.get().status == 200


def answered(connection):
    return bool(select.select([connection.socket], [], [], 0)[0])
