"""What goes on while the application is busy? With one thread too, a slow call stops nobody's reads, writes and refusals."""

import pytest
from waiting import eventually
from wire import request

#: /block waits before the gate; every call is noted when it begins. /large answers with 8 MiB.
BLOCKING = """
    def application(environ, start_response):
        path = environ["PATH_INFO"]
        open("begun", "a").write(path[1:2])
        if path == "/block":
            open("gate").read()
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [bytes(8 << 20)] if path == "/large" else [path.encode() + b" " + body]
    """


@pytest.fixture
def blocked(serve, gate):
    """A server with one thread, which stands before the gate in a call for the connection `server.first`."""
    server = serve(BLOCKING)
    server.first = server.connect()
    server.first.send(request("GET", "/block"))
    server.wait_for_note("begun", "b")
    yield server
    gate.open()
    assert server.first.response().body == b"/block "
    server.first.assert_open()


def test_bad_requests_are_refused_while_the_only_thread_is_busy(blocked):
    for _ in range(3):
        with blocked.connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert connection.response().status == 400
            connection.finish_sending()
            connection.assert_ended()


def test_heads_are_read_and_checked_while_the_only_thread_is_busy(blocked):
    with blocked.connect() as connection:
        connection.send(request("POST", "/", (("Expect", "100-continue"), ("Content-Length", "4"))))
        assert connection.response().status == 100
    with blocked.connect() as connection:
        connection.send(request("POST", "/", (("Expect", "100-continue"), ("Content-Length", str(1 << 40)))))
        assert connection.response().status == 413


def test_slow_bodies_are_taken_while_the_only_thread_is_busy(serve, gate):
    server = serve(BLOCKING)
    with server.connect() as first, server.connect() as upload:
        first.send(request("GET", "/block"))
        server.wait_for_note("begun", "b")
        # More than the kernel's buffers hold: sending returns only because somebody reads.
        body = bytes(32 << 20)
        upload.send(request("POST", "/upload", (), body))
        gate.open()
        assert first.response().body == b"/block "
        assert upload.response().body == b"/upload " + body


def test_a_buffered_response_is_delivered_while_the_only_thread_is_busy(serve, gate):
    server = serve(BLOCKING)
    with server.connect(receive_buffer=4096) as slow, server.connect() as second:
        slow.send(request("GET", "/large"))
        server.wait_for_note("begun", "l")
        second.send(request("GET", "/block"))
        server.wait_for_note("begun", "lb")  # the call for /large has ended, its body waits in the server
        assert len(slow.response().body) == 8 << 20
        gate.open()
        assert second.response().body == b"/block "
        slow.assert_open()


def test_a_closing_connection_is_closed_while_the_only_thread_is_busy(serve, gate):
    server = serve(BLOCKING)
    with server.connect(receive_buffer=4096) as slow, server.connect() as second:
        slow.send(request("GET", "/large", (("Connection", "close"),)))
        server.wait_for_note("begun", "l")
        second.send(request("GET", "/block"))
        server.wait_for_note("begun", "lb")
        assert len(slow.response().body) == 8 << 20
        slow.finish_sending()
        slow.assert_ended()
        gate.open()
        assert second.response().body == b"/block "


def test_requests_that_wait_are_all_served(serve, gate):
    server = serve("""
        def application(environ, start_response):
            open("served", "a").write(environ["PATH_INFO"][1:] + " ")
            if environ["PATH_INFO"] == "/block":
                open("gate").read()
            start_response("200 OK", [])
            return [b"fine"]
        """)
    first = server.connect()
    first.send(request("GET", "/block"))
    server.wait_for_note("served", "block ")
    others = [server.connect() for _ in range(20)]
    for number, other in enumerate(others):
        other.send(request("POST", f"/{number}", (("Expect", "100-continue"), ("Content-Length", "1"))))
        assert other.response().status == 100
        other.send(b"x")
    gate.open()
    assert first.response().status == 200
    assert [other.response().body for other in others] == [b"fine"] * 20
    assert set(server.note("served").split()) == {"block", *map(str, range(20))}


def test_a_client_that_leaves_while_it_waits_is_not_served(serve, gate):
    server = serve("""
        def application(environ, start_response):
            open("served", "a").write(environ["PATH_INFO"][1:] + " ")
            if environ["PATH_INFO"] == "/block":
                open("gate").read()
            start_response("200 OK", [])
            return [b"fine"]
        """)
    first, leaving, last = server.connect(), server.connect(), server.connect()
    first.send(request("GET", "/block"))
    server.wait_for_note("served", "block ")
    leaving.send(request("POST", "/leaving", (("Content-Length", "5"),)) + b"half")
    leaving.reset()
    last.send(request("GET", "/last"))
    gate.open()
    assert (first.response().status, last.response().status) == (200, 200)
    assert server.note("served").split() == ["block", "last"]


def test_eight_threads_run_eight_calls_at_once(serve, gate):
    server = serve(BLOCKING, "--threads", "8")
    connections = [server.connect() for _ in range(8)]
    for connection in connections:
        connection.send(request("GET", "/block"))
    server.wait_for_note("begun", "b" * 8)
    # All eight are busy: a ninth waits, and is refused when it is wrong.
    ninth = server.connect()
    ninth.send(request("GET", "/ninth"))
    with server.connect() as wrong:
        wrong.send(b"wrong\r\n\r\n")
        assert wrong.response().status == 400
    assert server.note("begun") == "b" * 8
    eventually(lambda: gate.open_if_needed() or ninth.socket.recv(1, 2), "the ninth is served")  # 2 is MSG_PEEK
    assert [connection.response().body for connection in [*connections, ninth]] == [b"/block "] * 8 + [b"/ninth "]


def test_short_calls_are_served_while_another_thread_is_busy(serve, gate):
    server = serve(BLOCKING, "--threads", "2")
    blocked = server.connect()
    blocked.send(request("GET", "/block"))
    server.wait_for_note("begun", "b")
    with server.connect() as other:
        for number in range(50):
            assert other.request("GET", f"/{number}").body == b"/%d " % number
    gate.open()
    assert blocked.response().body == b"/block "


def test_calls_run_one_by_one_on_one_thread_which_is_the_main_one(serve):
    server = serve("""
        import threading
        local = threading.local()
        def application(environ, start_response):
            local.calls = getattr(local, "calls", 0) + 1
            start_response("200 OK", [])
            return [f"{local.calls} {threading.current_thread() is threading.main_thread()}".encode()]
        """)
    assert [server.get().body for _ in range(3)] == [b"1 True", b"2 True", b"3 True"]


def test_threads_of_the_server_stay_so_that_their_locals_survive(serve, gate):
    server = serve(
        """
        import threading
        local = threading.local()
        def application(environ, start_response):
            local.calls = getattr(local, "calls", 0) + 1
            start_response("200 OK", [])
            return [f"{threading.get_ident()} {local.calls}".encode()]
        """,
        "--threads",
        "4",
    )
    calls = {}
    connections = [server.connect() for _ in range(8)]
    for _ in range(25):
        for connection in connections:
            connection.send(request())
        for connection in connections:
            thread, count = connection.response().body.split()
            calls.setdefault(thread, []).append(int(count))
    assert len(calls) <= 4
    assert sorted(sum(calls.values(), [])) == sorted(sum((list(range(1, len(c) + 1)) for c in calls.values()), []))


def test_each_request_runs_in_a_copy_of_the_context_that_stood_after_loading(serve):
    server = serve("""
        import contextvars
        variable = contextvars.ContextVar("variable")
        variable.set("set at import")
        def application(environ, start_response):
            seen = variable.get("nothing")
            variable.set("set by a request")
            start_response("200 OK", [])
            yield seen.encode() + b", " + variable.get().encode()
        """)
    for _ in range(3):
        assert server.get().body == b"set at import, set by a request"


@pytest.mark.parametrize("threads", ["1", "4"])
def test_many_clients_at_once_get_their_own_answers(serve, threads):
    server = serve(
        """
        def application(environ, start_response):
            body = environ["wsgi.input"].read()
            start_response("200 OK", [])
            return [environ["PATH_INFO"].encode(), b" ", body] if body else iter([environ["PATH_INFO"].encode(), b" "])
        """,
        "--threads",
        threads,
    )
    connections = [server.connect() for _ in range(100)]
    for turn in range(5):
        for number, connection in enumerate(connections):
            connection.send(request("POST", f"/{turn}/{number}", (), b"x" * number))
        for number, connection in enumerate(connections):
            assert connection.response().body == b"/%d/%d " % (turn, number) + b"x" * number


def test_calls_that_wait_run_at_once_however_short_they_are(serve):
    server = serve(
        """
        import threading, time

        lock, inside = threading.Lock(), 0

        def application(environ, start_response):
            global inside
            with lock:
                inside += 1
                now = inside
            time.sleep(0.0005)
            with lock:
                inside -= 1
            start_response("200 OK", [])
            return [str(now).encode()]
        """,
        "--threads",
        "8",
    )
    connections = [server.connect() for _ in range(8)]

    def at_once() -> int:
        for connection in connections:
            connection.send(request("GET", "/"))
        return max(int(connection.response().body) for connection in connections)

    # It takes a moment until the understudy sees a thread wait; from then on it is so for long.
    rounds = [at_once() for _ in range(200)]
    assert sum(calls >= 3 for calls in rounds) > 100, rounds
