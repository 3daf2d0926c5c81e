"""Do the signal handlers of the application run, at once and on the main thread, and what ends when one raises?"""

import os
import signal

import pytest
from waiting import eventually
from wire import request

THREADS = pytest.mark.parametrize("threads", ["1", "8"])

#: Notes who has run which handler. Answers with the worker's process id; /wait does so when `released` is set.
APPLICATION = """\
import os, signal, sys, threading
released = threading.Event()
def note(number, frame):
    open("handled", "a").write(f"{signal.Signals(number).name} {threading.current_thread().name}\\n")
def application(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        open("begun", "a").write("b")
        released.wait(15)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


def worker_of(server) -> int:
    """The process that serves."""
    return int(server.get("/pid").body)


@THREADS
def test_a_handler_runs_while_nobody_asks_for_anything(serve, threads):
    server = serve(APPLICATION + "signal.signal(signal.SIGUSR2, note)\n", "--threads", threads)
    worker = worker_of(server)
    for count in range(1, 20):
        os.kill(worker, signal.SIGUSR2)
        server.wait_for_note("handled", "SIGUSR2 MainThread\n" * count)
    assert worker_of(server) == worker


@THREADS
def test_a_handler_runs_while_a_client_is_connected_and_idle(serve, threads):
    server = serve(APPLICATION + "signal.signal(signal.SIGUSR2, note)\n", "--threads", threads)
    with server.connect() as connection:
        worker = int(connection.request("GET", "/pid").body)
        os.kill(worker, signal.SIGUSR2)
        server.wait_for_note("handled", "SIGUSR2 MainThread\n")
        assert int(connection.request("GET", "/pid").body) == worker


@THREADS
def test_a_handler_runs_while_every_thread_is_in_a_call(serve, threads):
    source = APPLICATION + "signal.signal(signal.SIGUSR2, lambda *_: released.set())\n"
    server = serve(source, "--threads", threads)
    worker = worker_of(server)
    connections = [server.connect() for _ in range(int(threads))]
    for connection in connections:
        connection.send(request("GET", "/wait"))
    server.wait_for_note("begun", "b" * int(threads))
    os.kill(worker, signal.SIGUSR2)
    assert {int(connection.response().body) for connection in connections} == {worker}


@THREADS
def test_an_alarm_set_in_a_request_rings_when_the_request_is_over(serve, threads):
    server = serve(
        APPLICATION
        + """\
signal.signal(signal.SIGALRM, note)
def alarm(environ, start_response):
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    return application(environ, start_response)
""",
        "--threads",
        threads,
        spec="app:alarm",
    )
    server.get()
    server.wait_for_note("handled", "SIGALRM MainThread\n")


def test_an_alarm_can_bound_a_request_on_the_main_thread(serve):
    server = serve("""
        import signal, threading
        class Late(Exception):
            pass
        def late(number, frame):
            raise Late
        signal.signal(signal.SIGALRM, late)
        def application(environ, start_response):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                threading.Event().wait()
            except Late:
                start_response("200 OK", [])
                return [b"late"]
        """)
    assert [server.get().body for _ in range(3)] == [b"late"] * 3


@THREADS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_system_exit_from_a_handler_ends_an_idle_worker_with_its_code(serve, threads, number):
    source = APPLICATION + f"signal.signal({int(number)}, lambda *_: sys.exit(7))\n"
    server = serve(source, "--threads", threads)
    worker = worker_of(server)
    os.kill(worker, number)
    server.wait_for_log(f"worker {worker} ended with exit code 7")
    assert worker_of(server) != worker, "the next client is served, by another worker"
    assert "Traceback" not in server.stderr


@THREADS
def test_any_other_exception_from_a_handler_ends_an_idle_worker_with_a_traceback(serve, threads):
    source = APPLICATION + "def fail(*_):\n    raise ValueError('from a handler')\nsignal.signal(signal.SIGUSR2, fail)\n"
    server = serve(source, "--threads", threads)
    worker = worker_of(server)
    os.kill(worker, signal.SIGUSR2)
    server.wait_for_log(f"worker {worker} ended with exit code 1")
    assert "ValueError: from a handler" in server.stderr
    assert worker_of(server) != worker


def test_requests_in_flight_are_finished_when_a_handler_ends_the_worker(serve):
    source = APPLICATION + """\
def end(*_):
    threading.Timer(0.05, released.set).start()
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
"""
    server = serve(source, "--threads", "8")
    worker = worker_of(server)
    with server.connect() as connection:
        connection.send(request("GET", "/wait"))
        server.wait_for_note("begun", "b")
        os.kill(worker, signal.SIGTERM)
        response = connection.response()
        assert response.status == 200 and int(response.body) == worker
    server.wait_for_log(f"worker {worker} ended with exit code 7")
    assert worker_of(server) != worker


def test_system_exit_from_a_handler_within_a_request_ends_the_worker_behind_it(serve):
    """With one thread Python runs the handler in the middle of the request. An exit of the request's own ends nothing."""
    server = serve(APPLICATION + "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n")
    worker = worker_of(server)
    with server.connect() as connection:
        connection.send(request("GET", "/wait"))
        server.wait_for_note("begun", "b")
        os.kill(worker, signal.SIGTERM)
        assert connection.response().status == 500
    server.wait_for_log(f"worker {worker} ended with exit code 7")
    assert worker_of(server) != worker


@THREADS
def test_term_to_the_supervisor_reaches_the_handler_in_the_worker(serve, threads):
    source = APPLICATION + "signal.signal(signal.SIGTERM, note)\n"
    server = serve(source, "--threads", threads)
    server.get()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0, "whatever the handler does, the worker stops"
    assert server.note("handled") == "SIGTERM MainThread\n"


@THREADS
def test_usr1_to_the_supervisor_reaches_the_handler_in_the_worker(serve, threads):
    server = serve(APPLICATION + "signal.signal(signal.SIGUSR1, note)\n", "--threads", threads)
    worker = worker_of(server)
    server.signal(signal.SIGUSR1)
    server.wait_for_note("handled", "SIGUSR1 MainThread\n")
    assert worker_of(server) == worker


@THREADS
def test_term_to_the_supervisor_lets_a_handler_choose_the_end(serve, threads):
    source = APPLICATION + "signal.signal(signal.SIGTERM, lambda *_: (note(*_), sys.exit(0)))\n"
    server = serve(source, "--threads", threads, "--workers", "2")
    server.get()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.note("handled") == "SIGTERM MainThread\n" * 2


@THREADS
def test_a_handler_that_takes_its_time_stops_nobody_elses_input_and_output(serve, gate, threads):
    source = APPLICATION + "signal.signal(signal.SIGUSR2, lambda *_: (note(*_), open('gate').read()))\n"
    server = serve(source, "--threads", threads)
    with server.connect() as connection:
        worker = int(connection.request("GET", "/pid").body)
        os.kill(worker, signal.SIGUSR2)
        server.wait_for_note("handled", "SIGUSR2 MainThread\n")
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert connection.response().status == 400
    gate.open()
    assert worker_of(server) == worker


def test_a_handler_runs_while_the_only_thread_waits_for_its_client(serve):
    """The client takes nothing of a stream that is too large for memory and may not go to a file."""
    server = serve(
        APPLICATION
        + """\
def stream(environ, start_response):
    if environ["PATH_INFO"] == "/pid":
        return application(environ, start_response)
    start_response("200 OK", [])
    return (bytes(1 << 20) for _ in range(32))
signal.signal(signal.SIGUSR2, note)
""",
        "--limit-response-memory",
        "64K",
        "--limit-response-spool",
        "0",
        spec="app:stream",
    )
    worker = worker_of(server)
    with server.connect() as connection:
        connection.send(request("GET", "/large"))
        eventually(lambda: is_asleep(worker), "the thread waits for its client")
        os.kill(worker, signal.SIGUSR2)
        server.wait_for_note("handled", "SIGUSR2 MainThread\n")
        assert len(connection.response().body) == 32 << 20


def is_asleep(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "S"


def test_handlers_that_are_in_place_at_import_are_left_alone_by_the_server(serve):
    """What comes while the application is imported is handled by Python itself."""
    server = serve(APPLICATION + "signal.signal(signal.SIGUSR2, note)\nos.kill(os.getpid(), signal.SIGUSR2)\n")
    server.get()
    assert server.note("handled") == "SIGUSR2 MainThread\n"


@THREADS
def test_a_descriptor_that_the_application_has_set_for_signals_is_left_to_it(serve, threads):
    source = (
        APPLICATION
        + """\
import socket
ours, theirs = socket.socketpair()
theirs.setblocking(False)
signal.set_wakeup_fd(theirs.fileno())
signal.signal(signal.SIGUSR2, lambda *_: open("handled", "a").write(str(ours.recv(1)[0])))
"""
    )
    server = serve(source, "--threads", threads)
    worker = worker_of(server)
    with server.connect() as connection:  # so that the worker waits by now
        connection.request("GET", "/pid")
        eventually(lambda: is_asleep(worker), "the worker waits")
        os.kill(worker, signal.SIGUSR2)
        server.wait_for_note("handled", str(int(signal.SIGUSR2)))
