"""What happens to an application that makes processes of its own? They never serve, and hold no client's connection."""

import signal

import pytest
from server import free_port
from wire import is_refused

#: One function for each way to make a process; the path says which one is called before the answer.
FORKING = """
    import multiprocessing, os, subprocess, sys

    def fork_and_exit():
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        os.waitpid(pid, 0)

    def fork_and_raise():
        pid = os.fork()
        if pid == 0:
            raise ValueError("in the child")
        os.waitpid(pid, 0)

    def fork_and_end():
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    def task(queue):
        queue.put(os.getpid())

    def multiprocessing_by(method):
        context = multiprocessing.get_context(method)
        queue = context.SimpleQueue()
        process = context.Process(target=task, args=(queue,))
        process.start()
        assert queue.get() == process.pid != os.getpid()
        process.join()
        assert process.exitcode == 0

    def fork():
        multiprocessing_by("fork")

    def spawn():
        multiprocessing_by("spawn")

    def forkserver():
        multiprocessing_by("forkserver")

    def pool():
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]

    def run_python():
        output = subprocess.run([sys.executable, "-c", "print('from Python')"], stdout=subprocess.PIPE, check=True).stdout
        assert output == b"from Python\\n"

    def system():
        assert os.waitstatus_to_exitcode(os.system("exit 7")) == 7

    def application(environ, start_response):
        name = environ["PATH_INFO"].strip("/")
        if name in globals():
            globals()[name]()
        body = str(os.getpid()).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    """
WAYS = [
    "fork_and_exit",
    "fork_and_raise",
    "fork_and_end",
    "fork",
    "spawn",
    "forkserver",
    "pool",
    "run_python",
    "system",
]


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("way", WAYS)
def test_an_application_that_forks_is_answered_once_and_serves_on(serve, way, threads):
    server = serve(FORKING, "--threads", threads)
    with server.connect() as other, server.connect() as connection:
        pid = other.request().body
        for _ in range(3):
            assert connection.request("GET", f"/{way}").body == pid
            connection.assert_open()
        assert other.request().body == pid


def test_a_forked_child_that_returns_a_response_sends_nothing(serve):
    server = serve("""
        import os
        def application(environ, start_response):
            start_response("200 OK", [])
            parent = os.getpid()
            child = os.fork()
            if child:
                os.waitpid(child, 0)
            return [b"parent" if os.getpid() == parent else b"child"]
        """)
    with server.connect() as connection:
        for _ in range(5):
            assert connection.request().body == b"parent"
            assert not connection.buffer


def test_a_child_that_inherits_every_descriptor_does_not_keep_the_connection_open(serve, gate):
    server = serve("""
        import subprocess
        def application(environ, start_response):
            if environ["PATH_INFO"] == "/start":
                application.child = subprocess.Popen(["cat", "gate"], close_fds=False, stdout=subprocess.DEVNULL)
            elif environ["PATH_INFO"] == "/wait":
                application.child.wait()
            start_response("200 OK", [("Connection", "close")])
            return [b"started"]
        """)
    with server.connect() as connection:
        assert connection.request("GET", "/start").body == b"started"
        connection.assert_ended()
    gate.open()
    assert server.get("/wait").status == 200


def test_a_forked_child_that_lives_on_does_not_keep_the_connection_open(serve, gate):
    server = serve("""
        import os
        def application(environ, start_response):
            if environ["PATH_INFO"] == "/start":
                application.child = os.fork()
                if application.child == 0:
                    open("gate").read()
                    os._exit(0)
            elif environ["PATH_INFO"] == "/wait":
                os.waitpid(application.child, 0)
            start_response("200 OK", [("Connection", "close")])
            return [b"started"]
        """)
    with server.connect() as connection, server.connect() as idle:
        assert idle.request().status == 200
        assert connection.request("GET", "/start").body == b"started"
        connection.assert_ended()
    gate.open()
    assert server.get("/wait").status == 200


def test_a_forked_child_in_the_middle_of_a_response_sends_nothing(serve):
    server = serve("""
        import os
        def application(environ, start_response):
            start_response("200 OK", [])
            yield b"a"
            child = os.fork()
            if child:
                os.waitpid(child, 0)
            yield b"b"
            yield b"c"
        """)
    with server.connect() as connection:
        for _ in range(3):
            assert connection.request().body == b"abc"
            assert not connection.buffer


def test_a_forked_child_does_not_close_its_parents_connections(serve, gate):
    """The child's copies are closed by close(2) alone; a shutdown there would act on the parent's connections."""
    server = serve("""
        import os
        def application(environ, start_response):
            child = os.fork()
            if child == 0:
                return []
            os.waitpid(child, 0)
            start_response("200 OK", [])
            return [b"parent"]
        """)
    others = [server.connect() for _ in range(5)]
    assert [other.request().body for other in others] == [b"parent"] * 5
    assert [other.request().body for other in others] == [b"parent"] * 5


@pytest.mark.parametrize("bind", ["fd", "tcp"])
def test_a_child_that_outlives_the_server_does_not_hold_its_port(serve, gate, bind):
    flags, host = ([], "127.0.0.1") if bind == "fd" else (["--bind", f"127.0.0.1:{free_port()}"], None)
    server = serve(
        """
        import subprocess
        def application(environ, start_response):
            subprocess.Popen(["cat", "gate"], close_fds=False, stdout=subprocess.DEVNULL)
            start_response("200 OK", [])
            return []
        """,
        *flags,
        host=host,
    )
    server.address = server.address or ("127.0.0.1", int(flags[1].rpartition(":")[2]))
    assert server.get().status == 200
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    refused = is_refused(server.address)
    gate.open()
    assert refused, "the child has inherited the listening socket"


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT", "SIGQUIT"])
def test_a_forked_child_obeys_signals_from_its_first_moment(serve, number):
    """`multiprocessing` ends its children by TERM, perhaps before they have run at all; no handler of the server may eat it."""
    server = serve(f"""
        import os, signal
        def application(environ, start_response):
            for turn in range(300):
                child = os.fork()
                if child == 0:
                    signal.alarm(5)
                    while True:
                        signal.pause()
                os.kill(child, signal.{number})
                end = os.WTERMSIG(os.waitpid(child, 0)[1])
                if end != signal.{number}:
                    break
            start_response("200 OK", [])
            return [f"child {{turn}} ended by signal {{end:d}}".encode()]
        """)
    assert server.get().body.decode() == f"child 299 ended by signal {getattr(signal, number):d}"
