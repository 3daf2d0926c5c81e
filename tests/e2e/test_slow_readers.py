"""Is a client cut that takes its response too slowly, and no other?"""

import itertools

import pytest
from waiting import eventually
from wire import request

APPLICATION = """
    def application(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/file":
            file = open("large", "rb")
            start_response("200 OK", [("Content-Length", str(12 << 20))])
            return environ["wsgi.file_wrapper"](file)
        start_response("200 OK", [("Content-Length", str(12 << 20))])
        if path == "/block":
            return [bytes(12 << 20)]
        if path == "/pause":
            return pause()
        return (bytes(1 << 16) for _ in range(12 << 4))
    def pause():
        yield bytes((12 << 20) - 1)
        open("paused", "w").write("x")
        open("gate").read()
        yield b"x"
    """

#: What waits for the client: a block in memory, a file, a stream that goes on in a file, a stream whose call waits.
KINDS = [("/block", "1G"), ("/file", "1G"), ("/stream", "1G"), ("/stream", "0")]


@pytest.mark.parametrize("path, spool", KINDS, ids=["block", "file", "spooled", "waiting"])
@pytest.mark.parametrize("threads", ["1", "8"])
def test_a_client_that_trickles_is_cut(serve, tmp_path, path, spool, threads):
    (tmp_path / "large").write_bytes(bytes(12 << 20))
    limits = ["--write-timeout", "1", "--min-send-rate", "10M", "--limit-response-spool", spool]
    server = serve(APPLICATION, "--threads", threads, *limits)
    with server.connect(receive_buffer=8192) as slow:
        slow.send(request("GET", path))
        taken = itertools.count()

        def is_cut():
            """Takes a little at each look, so that there is progress all the time."""
            assert next(taken) * 1000 < 12 << 20, "it has taken everything"
            slow.socket.recv(1000)
            return "took its output too slowly" in server.stderr

        eventually(is_cut, "the connection is cut")
    assert server.get("/block").status == 200


def test_a_client_is_not_held_to_account_while_the_application_makes_nothing(serve, gate):
    server = serve(APPLICATION, "--threads", "2", "--write-timeout", "1", "--min-send-rate", "1M")
    with server.connect() as patient, server.connect(receive_buffer=8192) as slow:
        patient.send(request("GET", "/pause"))
        patient.head()
        assert len(patient._exactly((12 << 20) - 1)) == (12 << 20) - 1
        server.wait_for_note("paused", "x")
        # Until another client, who has come later, has been cut.
        slow.send(request("GET", "/block"))
        server.wait_for_log("took no output for too long")
        gate.open()
        assert patient._exactly(1) == b"x"
        assert patient.request("GET", "/block").status == 200
