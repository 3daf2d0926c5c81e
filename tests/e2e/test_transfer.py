"""Do bodies that are larger than memory should hold pass in constant memory? 2 GiB with FUNICORN_LARGE=1, else 64 MiB."""

import hashlib
import os

import pytest
from server import EXAMPLES
from vitals import memory, page_faults, spooled, worker
from waiting import eventually
from wire import request

SIZE = 2 << 30 if os.environ.get("FUNICORN_LARGE") == "1" else 64 << 20
MEMORY = 80 << 20

#: What the downloads of examples/transfer.py repeat.
BLOCK = b"".join(b"%015d\n" % number for number in range(4096))


@pytest.fixture
def transfer(serve, tmp_path):
    """The example for large transfers, with a limit that lets them pass and bodies spooled in the test's directory."""
    (tmp_path / "spool").mkdir()
    flags = [
        "--limit-request-body",
        str(4 << 30),
        "--spool-dir",
        str(tmp_path / "spool"),
        "--pythonpath",
        str(EXAMPLES),
    ]

    def start(*more, env=None):
        return serve(None, *flags, *more, spec="transfer", env=env)

    return start


def repeated(size):
    """Blocks of `size` bytes in all, and their checksum."""
    digest = hashlib.sha256()
    for _ in range(size // len(BLOCK)):
        digest.update(BLOCK)
    return digest.hexdigest()


def receive(connection, size):
    """The checksum of the next `size` bytes, read without keeping them."""
    digest = hashlib.sha256()
    buffered = connection._take(min(size, len(connection.buffer)))
    digest.update(buffered)
    left = size - len(buffered)
    while left:
        data = connection.socket.recv(min(left, 1 << 20))
        assert data, "the connection ended"
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()


def send_body(connection, size, chunked):
    for _ in range(size // len(BLOCK)):
        connection.send(b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if chunked else BLOCK)
    connection.send(b"0\r\n\r\n" if chunked else b"")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_upload_in_constant_memory(transfer, tmp_path, chunked):
    server = transfer()
    with server.connect(patience=120) as connection:
        framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(SIZE))
        connection.send(request("PUT", "/upload", (framing,)))
        send_body(connection, SIZE, chunked)
        assert connection.response().body.decode() == f"{SIZE} {repeated(SIZE)}\n"
        assert server.peak_memory() < MEMORY
        connection.assert_open()
    assert list((tmp_path / "spool").iterdir()) == [], "a spooled body has a name"


@pytest.mark.parametrize(
    "method, framing, mebibytes",
    [("PUT", "length", 105), ("PUT", "chunked", 105), ("POST", "chunked", 150)],
    ids=["webdav", "webdav-chunked", "git-push"],
)
def test_large_uploads_pass_with_the_default_limits(serve, tmp_path, method, framing, mebibytes):
    server = serve(
        """
        def application(environ, start_response):
            read, size = environ["wsgi.input"].read, 0
            while block := read(1 << 20):
                size += len(block)
            start_response("200 OK", [])
            return [f"{size} {environ['CONTENT_LENGTH']}".encode()]
        """,
        "--spool-dir",
        str(tmp_path),
    )
    size = mebibytes << 20
    with server.connect(patience=120) as connection:
        chunked = framing == "chunked"
        header = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(size))
        connection.send(request(method, "/upload", (header,)))
        send_body(connection, size, chunked)
        assert connection.response().body.decode() == f"{size} {size}"
        connection.assert_open()


def test_a_download_in_constant_memory(transfer):
    server = transfer()
    with server.connect(patience=120) as connection:
        connection.send(request("GET", f"/download?bytes={SIZE}"))
        assert connection.head().header("Content-Length") == str(SIZE)
        assert receive(connection, SIZE) == repeated(SIZE)
        assert server.peak_memory() < MEMORY
        connection.assert_open()


def test_a_file_in_constant_memory(transfer, tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(SIZE // len(BLOCK)):
            file.write(BLOCK)
    server = transfer(env={"TRANSFER_FILE": str(path)})
    with server.connect(patience=120) as connection:
        connection.send(request("GET", "/file"))
        assert connection.head().header("Content-Length") == str(SIZE)
        assert receive(connection, SIZE) == repeated(SIZE)
        assert server.peak_memory() < MEMORY
        connection.assert_open()
    path.unlink()


def test_a_download_to_a_client_that_does_not_read_takes_no_memory(transfer):
    """What waits for the client is bounded; then the application waits."""
    server = transfer("--threads", "2")
    with server.connect(receive_buffer=4096) as slow:
        slow.send(request("GET", f"/download?bytes={SIZE}"))
        slow.head()
        for _ in range(50):
            assert server.get("/download?bytes=100000").body == (BLOCK * 2)[:100000]
        assert server.peak_memory() < MEMORY
        slow.reset()
    assert server.get("/download?bytes=5").body == BLOCK[:5]


def test_several_uploads_at_once(transfer):
    server = transfer()
    size = 8 << 20
    connections = [server.connect() for _ in range(4)]
    for connection in connections:
        connection.send(request("PUT", "/upload", (("Content-Length", str(size)),)))
    for _ in range(size // len(BLOCK)):
        for connection in connections:
            connection.send(BLOCK)
    for connection in connections:
        assert connection.response().body.decode() == f"{size} {repeated(size)}\n"


def test_bodies_one_after_the_other_take_the_same_memory(serve):
    """The C library would give it back to the kernel after each, and the next would pay for every page of it."""
    server = serve(
        """
        def application(environ, start_response):
            body = environ["wsgi.input"].read()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
        """
    )
    body = (BLOCK * 4)[: 250 << 10]
    with server.connect() as connection:
        for _ in range(20):
            connection.request("PUT", "/", body=body)
        pid = worker(server)
        before = page_faults(pid)
        for _ in range(100):
            assert connection.request("PUT", "/", body=body).body == body
        assert page_faults(pid) - before < 100, "less than one for a request"


#: Whole bodies, each one object of the application's, in every way to hand one over; and what fails on the way.
HOARD = """
    SIZE = 200 << 20
    def application(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/upload":
            size = len(environ["wsgi.input"].read())
            start_response("200 OK", [])
            return [str(size).encode()]
        write = start_response("200 OK", [("Content-Length", str(SIZE))])
        if path == "/tuple":
            return (b"x" * SIZE,)
        if path == "/generator":
            return (b"x" * SIZE for _ in range(1))
        if path == "/write":
            write(b"x" * SIZE)
            return []
        if path == "/many":
            return [b"x" * (SIZE // 100) for _ in range(100)]
        return [b"x" * SIZE]
    """


@pytest.mark.parametrize("threads", ["1", "4"])
@pytest.mark.parametrize("path", ["/list", "/tuple", "/generator", "/write", "/many"])
def test_a_response_leaves_the_memory_with_its_last_byte(serve, path, threads):
    """Not with the next request, which may come in an hour."""
    server = serve(HOARD, "--threads", threads)
    with server.connect(patience=60) as connection:
        connection.send(request("GET", path))
        assert connection.head().status == 200
        receive(connection, 200 << 20)
        pid = worker(server)
        eventually(lambda: memory(pid) < 60 << 20, f"the memory is free, which is {memory(pid) >> 20} MiB")
        connection.assert_open()


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_response_leaves_the_memory_with_its_client(serve, threads):
    server = serve(HOARD, "--threads", threads)
    with server.connect(receive_buffer=4096) as connection:
        connection.send(request("GET", "/list"))
        connection.head()
        pid = worker(server)
        assert memory(pid) > 150 << 20, "it waits for its client"
        connection.reset()
    eventually(lambda: memory(pid) < 60 << 20, f"the memory is free, which is {memory(pid) >> 20} MiB")


def test_an_upload_leaves_the_memory_with_its_response(serve):
    server = serve(HOARD)
    with server.connect(patience=60) as connection:
        connection.send(request("PUT", "/upload", (("Content-Length", str(64 << 20)),)) + bytes(64 << 20))
        assert connection.response().body == b"%d" % (64 << 20)
        pid = worker(server)
        eventually(lambda: memory(pid) < 40 << 20, f"the memory is free, which is {memory(pid) >> 20} MiB")


def test_a_stream_gives_its_file_back_when_its_client_has_caught_up(serve, gate):
    server = serve(
        """
        def application(environ, start_response):
            start_response("200 OK", [("Content-Length", str((64 << 20) + 1))])
            yield from (bytes(1 << 20) for _ in range(64))
            open("made", "w").write("x")
            open("gate").read()
            yield b"x"
        """
    )
    with server.connect(patience=60) as connection:
        connection.send(request())
        connection.head()
        server.wait_for_note("made", "x")
        assert spooled(worker(server))
        receive(connection, 64 << 20)
        eventually(lambda: not spooled(worker(server)), "the file is given back, while the response goes on")
        gate.open()
        assert connection._exactly(1) == b"x"


def test_an_upload_that_is_given_up_leaves_nothing(transfer, tmp_path):
    server = transfer()
    connection = server.connect()
    connection.send(request("PUT", "/upload", (("Content-Length", str(SIZE)),)))
    send_body(connection, 4 << 20, False)
    connection.reset()
    assert server.get("/download?bytes=5").body == BLOCK[:5]
    assert list((tmp_path / "spool").iterdir()) == []
    eventually(lambda: not any(map(spooled, server.tree())), "the spooled part is given back")


def test_a_spool_that_cannot_take_the_upload_refuses_it(serve, tmp_path):
    """That no file can be made, or a disk is full, is told to this client and harms no other."""
    (tmp_path / "spool").mkdir()
    server = serve(None, "--spool-dir", str(tmp_path / "spool"), "--pythonpath", str(EXAMPLES), spec="transfer")
    assert server.get("/download?bytes=5").status == 200
    (tmp_path / "spool").rmdir()
    with server.connect() as connection:
        connection.send(request("PUT", "/upload", (("Content-Length", str(8 << 20)),)))
        try:
            send_body(connection, 8 << 20, False)
        except (BrokenPipeError, ConnectionResetError):
            pytest.fail("the connection was reset before the answer could be read")
        assert connection.response().status == 503
    assert server.get("/download?bytes=5").status == 200
    server.wait_for_log("spool")
