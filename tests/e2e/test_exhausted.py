"""What happens when something is used up: descriptors, the disk of the spool, memory? Others wait or are told, and all goes on."""

import os
import select
import subprocess
from contextlib import ExitStack

import pytest
from server import command
from vitals import cpu_seconds, descriptors, spooled, worker
from waiting import eventually
from wire import Connection, Response, request

ECHO = """
    def application(environ, start_response):
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode(), b" %d" % len(body)]
    """

MIB = 1 << 20


def behind(monkeypatch, script: str) -> None:
    """Makes the shell `script` run first, in the process that becomes the server."""
    wrapped = " ".join([f"""sh -c '{script} && exec "$@"' sh""", *command()])
    monkeypatch.setenv("FUNICORN_COMMAND", wrapped)


def upload(connection: Connection, length: int) -> Response:
    """Sends a body whole, whatever becomes of it, and reads the answer."""
    connection.send(request("POST", "/upload", (("Content-Length", str(length)),)) + bytes(length))
    return connection.response()


def assert_rests(pid: int, silent: Connection) -> None:
    """For as long as a second nothing happens on a connection, and the process spends next to nothing on it."""
    spent = cpu_seconds(pid)
    assert select.select([silent.socket], [], [], 1.0)[0] == []
    assert cpu_seconds(pid) - spent < 0.3


@pytest.mark.parametrize("threads", ["1", "8"])
def test_more_clients_than_descriptors_are_served_one_after_the_other(serve, monkeypatch, threads):
    behind(monkeypatch, "ulimit -n 64")
    server = serve(ECHO, "--threads", threads)
    with ExitStack() as stack:
        # Each is in the middle of a request, so that none can be closed for another.
        crowd = [stack.enter_context(server.connect()) for _ in range(100)]
        for number, connection in enumerate(crowd):
            connection.send(b"GET /%d HTTP/1.1\r\nHost: test\r\n" % number)
        pid = worker(server)
        server.wait_for_log("accepting pauses")
        assert descriptors(pid) <= 64
        assert_rests(pid, crowd[-1])
        # Every one who leaves makes room for one who waits.
        for number, connection in enumerate(crowd):
            connection.send(b"\r\n")
            assert connection.response().body == b"/%d 0" % number
            connection.close()
    assert server.get().status == 200
    assert worker(server) == pid


def test_when_the_application_has_taken_every_descriptor_clients_wait(serve, monkeypatch):
    behind(monkeypatch, "ulimit -n 64")
    server = serve("""
        taken = []
        def application(environ, start_response):
            body = environ["wsgi.input"].read()
            if environ["PATH_INFO"] == "/take":
                try:
                    while True:
                        taken.append(open("/dev/null"))
                except OSError:
                    pass
            elif environ["PATH_INFO"] == "/let-go":
                while taken:
                    taken.pop().close()
            start_response("200 OK", [])
            return [b"%d" % len(body)]
        """)
    with server.connect() as first:
        assert first.request("GET", "/take").status == 200
        pid = worker(server)
        assert descriptors(pid) == 64
        # In the middle of a request, so that it cannot be closed for another.
        first.send(request("POST", "/", (("Content-Length", "4"),)) + b"bo")
        with server.connect() as late, server.connect() as later:
            for connection in (late, later):
                connection.send(request("GET", "/late"))
            server.wait_for_log("accepting pauses")
            assert_rests(pid, late)
            first.send(b"dy")
            assert first.response().body == b"4", "a request needs no descriptor"
            assert first.request("GET", "/let-go").status == 200
            assert late.response().body == later.response().body == b"0"
            # A body that needs a file is told that there is none.
            assert late.request("GET", "/take").status == 200
            refused = upload(first, MIB)
            assert refused.status == 503 and refused.header("Retry-After")
            assert late.request("GET", "/let-go").status == 200
            assert server.request("POST", "/", (), bytes(MIB)).body == b"%d" % MIB
    assert worker(server) == pid


def can_mount() -> bool:
    """Whether this machine lets us have a file system of our own."""
    script = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/tmp"]
    try:
        return subprocess.run(script, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


#: Ways to a spool that takes 4 MiB, as scripts for `behind`. The second bounds each file rather than all.
SMALL_DISKS = {
    "disk": "mount -t tmpfs -o size=4m none spool",
    "file": "ulimit -f 8192",
}


@pytest.fixture(params=SMALL_DISKS)
def small_disk(request, serve, monkeypatch, tmp_path):
    """A server whose spool takes 4 MiB."""
    if request.param == "disk" and not can_mount():
        pytest.skip("no file system can be mounted here: it takes root")
    (tmp_path / "spool").mkdir()
    behind(monkeypatch, SMALL_DISKS[request.param])
    if request.param == "disk":
        monkeypatch.setenv("FUNICORN_COMMAND", "unshare --mount " + os.environ["FUNICORN_COMMAND"])
    return serve(ECHO, "--spool-dir", str(tmp_path / "spool"))


def test_a_body_that_fills_the_disk_is_refused_and_the_next_is_served(small_disk):
    pid = None
    for _ in range(3):
        assert small_disk.request("POST", "/", (), bytes(3 * MIB)).body == b"/ %d" % (3 * MIB)
        with small_disk.connect() as connection:
            refused = upload(connection, 6 * MIB)
            assert refused.status == 503 and refused.header("Retry-After")
            connection.finish_sending()
            connection.assert_ended()
        pid = pid or worker(small_disk)
        eventually(lambda: not spooled(pid), "the disk is given back")
    assert worker(small_disk) == pid, "the worker has been replaced"
    small_disk.wait_for_log("spool")


def test_bodies_that_fill_the_disk_together_give_it_back(serve, monkeypatch, tmp_path):
    """Clients that upload slowly fill the disk; others are refused while it is full, and served when they have gone."""
    if not can_mount():
        pytest.skip("no file system can be mounted here: it takes root")
    (tmp_path / "spool").mkdir()
    behind(monkeypatch, "mount -t tmpfs -o size=4m none spool")
    monkeypatch.setenv("FUNICORN_COMMAND", "unshare --mount " + os.environ["FUNICORN_COMMAND"])
    server = serve(ECHO, "--spool-dir", str(tmp_path / "spool"))
    with server.connect() as other, ExitStack() as stack:
        assert other.request().status == 200
        pid = worker(server)
        before = descriptors(pid)
        slow = [stack.enter_context(server.connect()) for _ in range(3)]
        for connection in slow:
            connection.send(request("POST", "/", (("Content-Length", str(2 * MIB)),)) + bytes(MIB + MIB // 8))
        eventually(lambda: descriptors(pid) == before + 6, "three connections with a file each")
        eventually(lambda: sum(spooled(pid)) > 3 * MIB, "so much in the files that another body finds no place")
        with server.connect() as late:
            assert upload(late, 2 * MIB).status == 503
        assert other.request("POST", "/", (), bytes(1000)).body == b"/ 1000"
        slow.pop().reset()
        eventually(lambda: descriptors(pid) == before + 4, "one of them has gone")
        assert server.request("POST", "/", (), bytes(MIB)).body == b"/ %d" % MIB
        eventually(lambda: descriptors(pid) == before + 4, "this one has gone too, with its file")
        for connection in slow[:1]:
            connection.send(bytes(2 * MIB - MIB - MIB // 8))
            assert connection.response().body == b"/ %d" % (2 * MIB)
    assert worker(server) == pid, "the worker has been replaced"


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_response_that_finds_the_disk_full_waits_for_its_client(serve, monkeypatch, tmp_path, threads):
    """A client that reads slowly gets all of it all the same; when it has, the disk is free again."""
    if not can_mount():
        pytest.skip("no file system can be mounted here: it takes root")
    (tmp_path / "spool").mkdir()
    behind(monkeypatch, "mount -t tmpfs -o size=4m none spool")
    monkeypatch.setenv("FUNICORN_COMMAND", "unshare --mount " + os.environ["FUNICORN_COMMAND"])
    server = serve(
        """
        def blocks():
            for number in range(32):
                yield bytes([number]) * (1 << 20)
        def application(environ, start_response):
            length = len(environ["wsgi.input"].read())
            start_response("200 OK", [])
            return blocks() if environ["PATH_INFO"] == "/blocks" else [b"%d" % length]
        """,
        "--spool-dir",
        str(tmp_path / "spool"),
        "--threads",
        threads,
    )
    with server.connect(receive_buffer=4096) as slow:
        slow.send(request("GET", "/blocks"))
        slow.head()
        server.wait_for_log("cannot be spooled")
        if threads != "1":
            assert server.request("POST", "/", (), bytes(1000)).body == b"1000"
            with server.connect() as late:
                refused = upload(late, MIB)
                assert refused.status == 503 and refused.header("Retry-After")
        body = b"".join(iter(slow.chunk, b""))
        assert [body[start : start + MIB] for start in range(0, len(body), MIB)] == [
            bytes([number]) * MIB for number in range(32)
        ]
        slow.assert_open()
        eventually(lambda: not spooled(worker(server)), "the disk is given back")
        assert server.request("POST", "/", (), bytes(3 * MIB)).body == b"%d" % (3 * MIB)


def test_memory_that_an_application_uses_up_is_an_error_of_its_request(serve):
    server = serve("""
        import resource
        def application(environ, start_response):
            if environ["PATH_INFO"] == "/greedy":
                with open("/proc/self/statm") as statm:
                    used = int(statm.read().split()[0]) * resource.getpagesize()
                hard = resource.getrlimit(resource.RLIMIT_AS)[1]
                resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), hard))
                try:
                    blocks = []
                    while True:
                        blocks.append(bytes(16 << 20))
                finally:
                    open("taken", "a").write("x" * len(blocks))
            start_response("200 OK", [])
            return [b"fine"]
        """)
    pid = None
    with server.connect() as other:
        assert other.request().body == b"fine"
        for _ in range(3):
            assert server.get("/greedy").status == 500
            assert other.request().body == b"fine"
            pid = pid or worker(server)
    assert len(server.note("taken")) > 8
    assert worker(server) == pid, "the worker has been replaced"
    server.wait_for_log("MemoryError")
