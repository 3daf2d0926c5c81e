"""The WSGI applications that are measured: one callable a workload."""

import time

HELLO = b"Hello, World!"
PLAIN = [("Content-Type", "text/plain"), ("Content-Length", str(len(HELLO)))]
MEGABYTE = b"x" * (1 << 20)


def nothing(environ, start_response):
    """As little as an application can do."""
    start_response("204 No Content", [])
    return []


def hello(environ, start_response):
    start_response("200 OK", PLAIN)
    return [HELLO]


def echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def swallow(environ, start_response):
    """Reads a body of any size and answers briefly."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return hello(environ, start_response)


def big(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(MEGABYTE)))])
    return [MEGABYTE]


def stream(environ, start_response):
    """As many blocks as the query says, 100 without one."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"chunk %04d\n" % i for i in range(int(environ["QUERY_STRING"] or 100)))


def slow(environ, start_response):
    """A generator that takes its time; each block says when it was yielded, on the clock that all processes share."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(int(environ["QUERY_STRING"] or 10)):
        yield b"%d\n" % time.monotonic_ns()
        time.sleep(0.03)


def sleep10ms(environ, start_response):
    time.sleep(0.01)
    start_response("200 OK", PLAIN)
    return [HELLO]


def make_flask():
    from flask import Flask, request

    app = Flask(__name__)

    @app.route("/hola", methods=["GET", "POST"])
    def hola():
        return request.json if request.method == "POST" else "Hello World"

    @app.route("/")
    def index():
        return "Hello World"

    return app


try:
    flask_app = make_flask()
except ImportError:
    flask_app = None
