"""What of an application whose locks gevent or eventlet has replaced? It is warned of when threads would share them."""

import importlib.util

import pytest

LOCKED = """
    import threading, time
    lock = threading.Lock()
    def application(environ, start_response):
        with lock:
            time.sleep(0.01)
        start_response("200 OK", [])
        return [b"hello"]
    """
PATCHES = {
    "gevent": ("from gevent import monkey\nmonkey.patch_all({})\n", "gevent.monkey.patch_all(thread=False)"),
    "eventlet": ("import eventlet\neventlet.monkey_patch({})\n", "eventlet.monkey_patch(thread=False)"),
}


def installed_or_skip(library: str) -> None:
    """Without importing it: it would look at the forks of the tests."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"there is no {library}")


def patched(library: str, arguments: str) -> str:
    installed_or_skip(library)
    return PATCHES[library][0].format(arguments) + LOCKED.replace("\n    ", "\n")


def ask_at_once(server) -> None:
    connections = [server.connect() for _ in range(4)]
    for connection in connections:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    for connection in connections:
        with connection:
            assert connection.response().body == b"hello"


@pytest.mark.parametrize("library", PATCHES)
def test_replaced_locks_and_threads_are_warned_of_with_what_works(serve, library):
    server = serve(patched(library, ""), "--threads", "2")
    server.wait_for_log("is ready")
    warning = next(line for line in server.stderr.splitlines() if "has replaced the threads" in line)
    assert f"{library} has" in warning and "--threads 1" in warning and PATCHES[library][1] in warning


@pytest.mark.parametrize("library", PATCHES)
@pytest.mark.parametrize("arguments, threads", [("", "1"), ("thread=False", "4")])
def test_what_the_warning_advises_works_and_is_not_warned_of(serve, library, arguments, threads):
    server = serve(patched(library, arguments), "--threads", threads)
    ask_at_once(server)
    assert "has replaced the threads" not in server.stderr


def test_a_library_that_has_replaced_nothing_is_not_warned_of(serve):
    installed_or_skip("gevent")
    server = serve("import gevent\n" + LOCKED.replace("\n    ", "\n"), "--threads", "2")
    ask_at_once(server)
    assert "has replaced the threads" not in server.stderr
