"""How does the server end? TERM, INT, QUIT, a second signal, a supervisor that dies."""

import os
import signal

import pytest
from server import children, free_port
from waiting import eventually
from wire import is_refused, request

#: What a worker says when it has been told to stop. Until then it serves on, whatever the supervisor knows.
STOPPING = "stopping: requests in flight"

#: /block waits before the gate; each worker notes that it has loaded it, and at its end that it has run what is registered with atexit.
APPLICATION = """
    import atexit, os
    atexit.register(lambda: open("atexit", "a").write("x"))
    open("loaded", "a").write("x")
    def application(environ, start_response):
        path = environ["PATH_INFO"]
        open("begun", "a").write(path[1:2])
        if path == "/block":
            open("gate").read()
        open("ended", "a").write(path[1:2])
        start_response("200 OK", [])
        return [path.encode(), b" ", str(os.getpid()).encode()]
    """


@pytest.fixture
def blocked(serve, gate):
    """A server in a call for the connection `server.first`, with the idle connection `server.idle`."""
    server = serve(APPLICATION)
    server.idle = server.connect()
    assert server.idle.request("GET", "/idle").status == 200
    server.first = server.connect()
    server.first.send(request("GET", "/block"))
    server.wait_for_note("begun", "ib")
    return server


def test_term_finishes_the_requests_in_flight(blocked, gate):
    blocked.signal(signal.SIGTERM)
    blocked.idle.assert_ended()  # at once, while the other request is still in flight
    gate.open()
    response = blocked.first.response()
    assert response.status == 200 and response.body.startswith(b"/block ")
    assert response.header("Connection") == "close"
    blocked.first.assert_ended()
    assert blocked.wait() == 0
    assert blocked.note("atexit") == "x"


@pytest.mark.parametrize("bind", ["fd", "tcp"])
def test_term_refuses_new_connections_while_requests_finish(serve, gate, bind):
    """Who is refused goes to another server; who waits in the backlog of one that stops is lost."""
    if bind == "tcp":
        port = free_port()
        server = serve(APPLICATION, "--bind", f"127.0.0.1:{port}", host=None)
        server.address = ("127.0.0.1", port)
    else:
        server = serve(APPLICATION)
    with server.connect() as first, server.connect() as idle:
        first.send(request("GET", "/block"))
        server.wait_for_note("begun", "b")
        server.signal(signal.SIGTERM)
        idle.assert_ended()
        eventually(lambda: is_refused(server.address), "new connections are refused")
        gate.open()
        assert first.response().status == 200
    assert server.wait() == 0


def test_term_finishes_a_request_whose_body_is_on_its_way(serve):
    server = serve(APPLICATION)
    with server.connect() as connection:
        connection.send(request("POST", "/upload", (("Expect", "100-continue"), ("Content-Length", "4"))))
        assert connection.response().status == 100
        server.signal(signal.SIGTERM)
        server.wait_for_log(STOPPING)
        connection.send(b"body")
        assert connection.response().status == 200
        connection.assert_ended()
    assert server.wait() == 0


def test_term_delivers_what_a_slow_reader_has_not_taken(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [bytes(8 << 20)]
        """)
    with server.connect(receive_buffer=4096) as slow:
        slow.send(request())
        slow.head()
        server.signal(signal.SIGTERM)
        server.wait_for_log(STOPPING)
        assert len(slow._exactly(8 << 20)) == 8 << 20
    assert server.wait() == 0


def test_term_on_an_idle_server_ends_it_with_0(serve):
    server = serve(APPLICATION, "--workers", "2", "--threads", "2")
    server.wait_for_note("loaded", "xx")
    with server.connect() as idle:
        idle.request()
        server.signal(signal.SIGTERM)
        idle.assert_ended()
    assert server.wait() == 0
    assert server.note("atexit") == "xx"


def test_term_waits_no_longer_than_the_graceful_timeout(serve, gate):
    server = serve(APPLICATION, "--graceful-timeout", "1")
    with server.connect() as connection:
        connection.send(request("GET", "/block"))
        server.wait_for_note("begun", "b")
        server.signal(signal.SIGTERM)
        server.wait()
        assert connection.rest() == b""
    assert server.tree() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_do_not_wait_for_requests(blocked, number):
    blocked.signal(number)
    blocked.wait()
    assert blocked.first.rest() == b""
    assert blocked.note("ended") == "i"
    eventually(lambda: not blocked.tree(), "no worker is left")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_end_an_idle_server_with_0_and_run_atexit(serve, number):
    server = serve(APPLICATION)
    with server.connect() as idle:
        idle.request()
        server.signal(number)
        idle.assert_ended()
    assert server.wait() == 0
    assert server.note("atexit") == "x"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(blocked, second):
    blocked.signal(signal.SIGTERM)
    blocked.idle.assert_ended()
    blocked.signal(second)
    blocked.wait()
    assert blocked.first.rest() == b""
    assert blocked.note("ended") == "i"
    eventually(lambda: not blocked.tree(), "no worker is left")


def test_a_signal_to_the_whole_group_is_one_signal(serve, gate):
    """Ctrl-C in a terminal reaches supervisor and workers alike; process managers signal whole groups too."""
    server = serve(APPLICATION)
    with server.connect() as connection:
        connection.send(request("GET", "/block"))
        server.wait_for_note("begun", "b")
        os.killpg(server.pid, signal.SIGTERM)
        server.wait_for_log(STOPPING)
        gate.open()
        assert connection.response().status == 200
    assert server.wait() == 0


def test_a_worker_whose_supervisor_dies_acts_as_on_term(blocked, gate):
    os.kill(blocked.pid, signal.SIGKILL)
    blocked.wait()
    blocked.idle.assert_ended()
    gate.open()
    assert blocked.first.response().status == 200
    eventually(lambda: not blocked.tree(), "no worker is left")
    assert blocked.note("atexit") == "x"


def test_workers_go_when_their_supervisor_is_killed(serve):
    server = serve(APPLICATION, "--workers", "2")
    server.wait_for_note("loaded", "xx")
    assert len(children(server.pid)) == 2
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    eventually(lambda: not server.tree(), "no worker is left")


def test_a_worker_that_gets_term_itself_is_replaced(serve):
    server = serve(APPLICATION)
    pid = int(server.get().body.split()[1])
    if pid == server.pid:
        pytest.skip("one process does everything")
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: pid not in server.tree(), "the worker ends")
    assert int(server.get().body.split()[1]) != pid


@pytest.mark.parametrize("threads", ["1", "2", "8"])
def test_a_non_daemon_thread_is_waited_for_as_python_does(serve, gate, threads):
    server = serve(
        """
        import threading
        def work():
            open("gate").read()
            open("worked", "w").write("x")
        def application(environ, start_response):
            threading.Thread(target=work).start()
            start_response("200 OK", [])
            return []
        """,
        "--threads",
        threads,
    )
    with server.connect() as idle:
        idle.request()
        server.signal(signal.SIGTERM)
        idle.assert_ended()
    gate.open()
    assert server.wait() == 0
    assert server.note("worked") == "x"


def test_a_thread_that_never_comes_back_does_not_keep_the_server(serve, gate):
    server = serve(
        """
        import threading
        def application(environ, start_response):
            threading.Thread(target=lambda: open("gate").read()).start()
            start_response("200 OK", [])
            return []
        """,
        "--graceful-timeout",
        "1",
    )
    server.get()
    server.signal(signal.SIGTERM)
    server.wait()
    assert server.tree() == []


def test_an_exception_in_atexit_does_not_keep_the_server(serve):
    server = serve("""
        import atexit
        @atexit.register
        def fail():
            raise ValueError("from atexit")
        def application(environ, start_response):
            start_response("200 OK", [])
            return []
        """)
    server.get()
    server.signal(signal.SIGTERM)
    server.wait()
    assert "from atexit" in server.stderr


def test_standard_output_is_flushed_at_the_end(serve):
    server = serve("""
        def application(environ, start_response):
            print("printed without a flush")
            start_response("200 OK", [])
            return []
        """)
    server.get()
    server.stop()
    assert server.stdout == "printed without a flush\n"


def test_term_during_the_import_ends_the_server(serve, gate):
    server = serve("""
        open("importing", "w").write("x")
        open("gate").read()
        def application(environ, start_response):
            start_response("200 OK", [])
            return []
        """)
    server.wait_for_note("importing", "x")
    server.signal(signal.SIGTERM)
    gate.open()
    server.wait()
    eventually(lambda: not server.tree(), "no worker is left")
