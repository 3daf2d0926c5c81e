"""Who holds the interpreter? A call that never lets go of it stops no I/O, and a thread of the application may send."""

import pytest
from wire import request

#: /hog waits before the gate without letting go of the interpreter: PyDLL, unlike CDLL, keeps it during the call.
HOG = """
    import ctypes, os
    keeping = ctypes.PyDLL(None)
    def application(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/hog":
            with open("begun", "a") as begun:
                begun.write("h")
            os.close(keeping.open(b"gate", os.O_RDONLY))
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [path.encode(), b" ", str(len(body)).encode()]
    """


@pytest.mark.parametrize("threads", ["1", "2", "8"])
def test_a_call_that_keeps_the_interpreter_stops_no_input_and_no_refusal(serve, gate, threads):
    server = serve(HOG, "--threads", threads)
    with server.connect() as hog, server.connect() as bad, server.connect() as upload:
        hog.send(request("GET", "/hog"))
        server.wait_for_note("begun", "h")
        for _ in range(2):
            with server.connect() as bad:
                bad.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
                assert bad.response().status == 400
        # More than the kernel's buffers hold: sending returns only because somebody reads.
        upload.send(request("POST", "/upload", (), bytes(32 << 20)))
        gate.open()
        assert hog.response().body == b"/hog 0"
        assert upload.response().body == b"/upload 33554432"


@pytest.mark.parametrize("threads", ["1", "4"])
def test_threads_of_the_application_may_write(serve, threads):
    server = serve(
        """
        import threading
        def application(environ, start_response):
            write = start_response("200 OK", [])
            lock = threading.Lock()
            def send():
                for _ in range(50):
                    with lock:
                        write(b"y" * 50000)
            senders = [threading.Thread(target=send) for _ in range(4)]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            return []
        """,
        "--threads",
        threads,
    )
    with server.connect() as first, server.connect() as second:
        first.send(request("GET", "/"))
        second.send(request("GET", "/"))
        assert first.response().body == b"y" * 10_000_000
        assert second.response().body == b"y" * 10_000_000
