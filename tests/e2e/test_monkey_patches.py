"""What of an application whose locks gevent or eventlet has replaced? Its operator hears what works, and that does work."""

import importlib.util

import pytest

#: Uses, in each call, what several threads would share: a lock, a queue, an executor, a child process, a socket.
LOCKED = """
    import logging, queue, socket, subprocess, threading, time
    from concurrent.futures import ThreadPoolExecutor
    lock = threading.Lock()
    def application(environ, start_response):
        with lock:
            time.sleep(0.01)
            logging.warning("in the lock")
        words = queue.SimpleQueue()
        ours, theirs = socket.socketpair()
        def fill():
            time.sleep(0.01)
            words.put("hel")
            theirs.send(b"lo")
        filler = threading.Thread(target=fill)
        filler.start()
        word = words.get(timeout=10) + ours.recv(2).decode()
        filler.join()
        with ThreadPoolExecutor(2) as executor:
            word = "".join(executor.map(str, word))
        word = subprocess.run(["echo", word], stdout=subprocess.PIPE).stdout.strip()
        ours.close(), theirs.close()
        start_response("200 OK", [])
        return [word]
    """
PATCHES = {
    "gevent": "from gevent import monkey\nmonkey.patch_all({})\n",
    "eventlet": "import eventlet\neventlet.monkey_patch({})\n",
}
#: With what the warning says.
ADVISED = {
    "gevent": "thread=False, queue=False, subprocess=False, os=False, signal=False",
    "eventlet": "thread=False",
}


def installed_or_skip(library: str) -> None:
    """Without importing it: it would look at the forks of the tests."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"there is no {library}")


def patched(library: str, arguments: str) -> str:
    installed_or_skip(library)
    return PATCHES[library].format(arguments) + LOCKED.replace("\n    ", "\n")


def ask_at_once(server) -> None:
    connections = [server.connect() for _ in range(4)]
    for connection in connections:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    for connection in connections:
        with connection:
            assert connection.response().body == b"hello"


def warnings(server) -> list[str]:
    server.wait_for_log("is ready")
    return [line for line in server.stderr.splitlines() if "has replaced" in line and "[WARNING]" in line]


@pytest.mark.parametrize("library", PATCHES)
def test_replaced_locks_and_threads_are_warned_of_with_what_works(serve, library):
    (warning,) = warnings(serve(patched(library, ""), "--threads", "2"))
    assert f"{library} has" in warning and "--threads 1" in warning and f"({ADVISED[library]})" in warning


def test_gevents_queues_and_child_processes_are_warned_of_too(serve):
    """With real threads, and queues that are none of theirs, an executor hangs and a child process cannot be waited for."""
    (warning,) = warnings(serve(patched("gevent", "thread=False"), "--threads", "2"))
    assert "(queue, subprocess, os)" in warning and f"({ADVISED['gevent']})" in warning


@pytest.mark.parametrize("library", PATCHES)
def test_what_the_warning_advises_works_and_is_not_warned_of(serve, library):
    server = serve(patched(library, ADVISED[library]), "--threads", "4")
    ask_at_once(server)
    assert not warnings(server)


@pytest.mark.parametrize("library", PATCHES)
def test_with_one_thread_all_is_patched_and_works(serve, library):
    server = serve(patched(library, ""), "--threads", "1")
    ask_at_once(server)
    assert not warnings(server)
    assert f"{library} has replaced the threads of this application: those that it starts run while a request waits" in server.stderr


def test_a_library_that_has_replaced_nothing_is_not_warned_of(serve):
    installed_or_skip("gevent")
    server = serve("import gevent\n" + LOCKED.replace("\n    ", "\n"), "--threads", "2")
    ask_at_once(server)
    assert not warnings(server)
