"""Does anything that an application or a client does end the server, or harm another request?"""

import os
import signal

import pytest
from server import children
from waiting import eventually
from wire import request

#: Calls what X-Code says; answers with its result, or with the process id.
RUN = """
    import multiprocessing, os, signal, subprocess, sys, threading
    def child_task(queue):
        queue.put(os.getpid())
    def application(environ, start_response):
        result = os.getpid()
        code = environ.get("HTTP_X_CODE", "")
        if code.startswith("return "):
            result = eval(code[7:])
        else:
            exec(code)
        body = str(result).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    """


def run(server, code):
    return server.get("/", ("X-Code", code))


@pytest.mark.parametrize(
    "code",
    [
        "raise ValueError",
        "raise SystemExit",
        "sys.exit()",
        "sys.exit('with words')",
        "raise KeyboardInterrupt",
        "raise BaseException",
        "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})",
        "raise RecursionError",
        "(lambda f: f(f))(lambda f: f(f))",
        "raise MemoryError",
        "raise StopIteration",
        "raise UnicodeError('\\ud800')",
    ],
)
def test_no_exception_ends_the_server_or_the_connection_of_another(serve, code):
    server = serve(RUN)
    with server.connect() as other:
        before = other.request().body
        assert run(server, code).status == 500
        assert other.request().body == before


def test_an_exception_that_cannot_be_printed_is_an_error_like_any_other(serve):
    server = serve("""
        class Odd(Exception):
            def __str__(self):
                raise RuntimeError("no words")
            __repr__ = __str__
        def application(environ, start_response):
            if environ["PATH_INFO"] == "/odd":
                raise Odd
            start_response("200 OK", [])
            return [b"fine"]
        """)
    assert server.get("/odd").status == 500
    assert server.get().body == b"fine"


@pytest.mark.parametrize("moment", ["head", "body", "response"])
def test_clients_that_reset_harm_nobody(serve, moment):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [bytes(1 << 20)] if environ["PATH_INFO"] == "/large" else [b"fine"]
        """)
    with server.connect() as other:
        assert other.request().body == b"fine"
        for _ in range(20):
            connection = server.connect()
            if moment == "head":
                connection.send(b"GET / HTTP/1.1\r\nHost:")
            elif moment == "body":
                connection.send(request("POST", "/", (("Content-Length", "1000"),)) + bytes(10))
            else:
                connection.send(request("GET", "/large"))
                connection.head()
            connection.reset()
        assert other.request().body == b"fine"
        other.assert_open()
    assert "Traceback" not in server.stderr


@pytest.mark.parametrize(
    "code, words",
    [
        ("os._exit(7)", "code 7"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("__import__('ctypes').string_at(0)", "SIGSEGV"),
        ("os.abort()", "SIGABRT"),
    ],
)
def test_a_worker_that_dies_is_logged_and_replaced(serve, code, words):
    server = serve(RUN)
    pid = server.get().body.decode()
    with server.connect() as connection:
        connection.send(request("GET", "/", (("X-Code", code),)))
        assert connection.rest() == b""
    eventually(
        lambda: [line for line in server.stderr.splitlines() if f"worker {pid}" in line and words in line],
        f"a line that says that worker {pid} ended with {words}",
    )
    assert server.get().body.decode() != pid


def test_the_other_workers_serve_on_while_one_is_replaced(serve):
    server = serve(RUN, "--workers", "2")
    eventually(lambda: len({server.get().body for _ in range(10)}) == 2, "both workers answer")
    victim = int(server.get().body)
    os.kill(victim, signal.SIGKILL)
    for _ in range(20):
        assert server.get().status == 200
    eventually(lambda: len(children(server.pid)) == 2 and victim not in children(server.pid), "two workers again")


def test_a_worker_that_dies_at_once_is_replaced_with_back_off(serve):
    """An application that kills every worker must not turn the supervisor into a fork bomb."""
    server = serve("""
        import os
        def application(environ, start_response):
            os._exit(1)
        open("loads", "a").write("x")
        """)
    for _ in range(3):
        with server.connect() as connection:
            connection.send(request())
            connection.rest()
    eventually(lambda: len(server.note("loads")) >= 3, "the worker is replaced again")
    assert len(server.note("loads")) <= 5


def test_threads_of_the_application_run_on(serve):
    server = serve("""
        import threading
        asked, answered = threading.Semaphore(0), threading.Semaphore(0)
        def background():
            while True:
                asked.acquire()
                answered.release()
        threading.Thread(target=background, daemon=True).start()
        def application(environ, start_response):
            asked.release()
            answered.acquire()
            start_response("200 OK", [])
            return [b"fine"]
        """)
    assert [server.get().body for _ in range(3)] == [b"fine"] * 3


def test_a_background_thread_runs_while_the_server_is_idle(serve):
    server = serve("""
        import threading, time
        def background():
            open("gate").read()
            open("ran", "w").write("x")
        def application(environ, start_response):
            threading.Thread(target=background, daemon=True).start()
            start_response("200 OK", [])
            return []
        """)
    os.mkfifo(server.directory / "gate")
    server.get()
    with open(server.directory / "gate", "w"):
        pass
    server.wait_for_note("ran", "x")
