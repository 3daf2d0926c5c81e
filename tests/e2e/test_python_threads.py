"""Are the threads that call the application Python's own? What `threading` and C extensions know and count on."""

import pytest
from wire import request

THREADS = pytest.mark.parametrize("threads", ["1", "2", "8"])
SEVERAL = pytest.mark.parametrize("threads", ["2", "8"])


def on_every_thread(server, threads: str, target: str = "/") -> set:
    """The answers to as many requests at once as there are threads, each of which the application holds until all are there."""
    connections = [server.connect() for _ in range(int(threads))]
    for connection in connections:
        connection.send(request("GET", target))
    responses = [connection.response() for connection in connections]
    assert {response.status for response in responses} == {200}
    return {response.body.decode() for response in responses}


#: Holds every request until as many are there as there are threads, so that each thread has one.
TOGETHER = """
    import os, threading
    together = threading.Barrier(int(os.environ["THREADS"]), timeout=15)
    """


@THREADS
def test_numpy_inverts_a_large_matrix_on_any_thread(serve, threads):
    """OpenBLAS takes more than the two MiB of stack that a thread of Rust has."""
    pytest.importorskip("numpy")
    server = serve(
        """
        import os
        import numpy
        def application(environ, start_response):
            matrix = numpy.random.rand(300, 300)
            product = numpy.linalg.inv(matrix) @ matrix
            start_response("200 OK", [])
            return [f"{os.getpid()} {numpy.allclose(product, numpy.eye(300))}".encode()]
        """,
        "--threads",
        threads,
    )
    answers = set()
    for _ in range(3):
        connections = [server.connect() for _ in range(8)]
        for connection in connections:
            connection.send(request())
        answers |= {connection.response().body for connection in connections}
    assert len(answers) == 1 and answers.pop().endswith(b" True"), "every answer is right, and from one worker"


@SEVERAL
def test_application_threads_have_a_name_and_are_no_daemons(serve, threads):
    server = serve(
        TOGETHER
        + """
    def application(environ, start_response):
        together.wait()
        thread = threading.current_thread()
        child = threading.Thread()
        is_known = thread in threading.enumerate() and type(thread) is threading.Thread
        start_response("200 OK", [])
        return [f"{thread.name} {thread.daemon} {child.daemon} {is_known}".encode()]
    """,
        "--threads",
        threads,
        env={"THREADS": threads},
    )
    expected = {f"application-{number + 1} False False True" for number in range(int(threads))}
    assert on_every_thread(server, threads) == expected


@SEVERAL
@pytest.mark.parametrize("hook", ["setprofile", "settrace"])
def test_hooks_for_new_threads_see_every_application_thread(serve, threads, hook):
    server = serve(
        TOGETHER
        + f"""
    seen = set()
    def watch(frame, event, argument):
        if frame.f_code.co_name == "application":
            seen.add(threading.current_thread().name)
    threading.{hook}(watch)
    def application(environ, start_response):
        together.wait()
        start_response("200 OK", [])
        return [str(threading.current_thread().name in seen).encode()]
    """,
        "--threads",
        threads,
        env={"THREADS": threads},
    )
    assert on_every_thread(server, threads) == {"True"}


#: The stack size of the calling thread.
STACK = """
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    libc.pthread_self.restype = ctypes.c_ulong
    def stack_size():
        attributes, size = ctypes.create_string_buffer(256), ctypes.c_size_t()
        assert libc.pthread_getattr_np(ctypes.c_ulong(libc.pthread_self()), attributes) == 0
        assert libc.pthread_attr_getstacksize(attributes, ctypes.byref(size)) == 0
        libc.pthread_attr_destroy(attributes)
        return size.value
    """


@SEVERAL
@pytest.mark.parametrize("setting", ["", "threading.stack_size(48 << 20)"])
def test_the_stack_is_as_large_as_that_of_any_thread_of_python(serve, threads, setting):
    server = serve(
        STACK
        + f"""
    import threading
    {setting}
    def application(environ, start_response):
        sizes = [stack_size()]
        other = threading.Thread(target=lambda: sizes.append(stack_size()))
        other.start()
        other.join()
        start_response("200 OK", [])
        return [" ".join(map(str, sizes)).encode()]
    """,
        "--threads",
        threads,
    )
    ours, other = map(int, server.get().body.split())
    assert ours == other
    assert ours >= (48 << 20 if setting else 8 << 20) or not setting


@THREADS
@pytest.mark.parametrize(
    "nested",
    [
        "json.loads('[' * 200_000)",
        "repr(nest(200_000))",
        "pickle.dumps(nest(200_000))",
        "json.dumps(nest(200_000))",
        "call_through_c()",
    ],
)
def test_recursion_in_c_is_an_exception(serve, threads, nested):
    server = serve(
        f"""
        import functools, json, os, pickle
        def nest(depth):
            result = []
            for _ in range(depth):
                result = [result]
            return result
        def call_through_c(*_):
            return sorted([2, 1], key=functools.partial(call_through_c))
        def application(environ, start_response):
            start_response("200 OK", [])
            try:
                {nested}
            except RecursionError:
                return [b"caught"]
            return [b"no exception"]
        """,
        "--threads",
        threads,
    )
    assert [server.get().body for _ in range(3)] == [b"caught"] * 3


@SEVERAL
def test_locals_of_application_threads_end_with_them(serve, threads):
    server = serve(
        TOGETHER
        + """
    class Connection:
        def __del__(self):
            open("closed", "a").write("x")
    local = threading.local()
    def application(environ, start_response):
        together.wait()
        local.connection = Connection()
        start_response("200 OK", [])
        return [b"ok"]
    """,
        "--threads",
        threads,
        env={"THREADS": threads},
    )
    on_every_thread(server, threads)
    assert server.note("closed") == ""
    server.stop()
    assert server.note("closed") == "x" * int(threads)


@SEVERAL
def test_requests_run_on_other_threads_than_the_main_one_which_is_left_to_signals(serve, threads):
    server = serve(
        TOGETHER
        + """
    def application(environ, start_response):
        together.wait()
        start_response("200 OK", [])
        return [str(threading.current_thread() is threading.main_thread()).encode()]
    """,
        "--threads",
        threads,
        env={"THREADS": threads},
    )
    assert on_every_thread(server, threads) == {"False"}
