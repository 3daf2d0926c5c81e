"""Which servers are compared, and how is one run? Each has one worker process, on a CPU of its own."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

HERE = Path(__file__).parent
SERVER_CPU, CLIENT_CPU = "0", "1"

# Placeholders: {bin} of the virtual environment, {funicorn}, {limit}, {app}, {port}, {threads}, {body} (bytes that the limit answers).
# Access logs are off and keep-alive is on wherever there is a choice. A name that ends in "-threads" is the same server with a
# pool of as many threads as the workload says.
SERVERS = {
    "limit": "{limit} {port} {body}",
    "funicorn": "{funicorn} apps:{app} --bind 127.0.0.1:{port} --log-level error",
    "funicorn-threads": "{funicorn} apps:{app} --bind 127.0.0.1:{port} --log-level error --threads {threads}",
    "bjoern": "{bin}/python -c \"import bjoern, apps; bjoern.run(apps.{app}, '127.0.0.1', {port})\"",
    "fastwsgi": "{bin}/python -c \"import fastwsgi, apps; fastwsgi.run(apps.{app}, '127.0.0.1', {port}, loglevel=0)\"",
    "granian": "{bin}/granian --interface wsgi apps:{app} --host 127.0.0.1 --port {port} --workers 1 --no-log --no-ws --http 1",
    "granian-threads": "{bin}/granian --interface wsgi apps:{app} --host 127.0.0.1 --port {port} --workers 1 --no-log --no-ws --http 1"
    " --blocking-threads {threads}",
    "uwsgi": "{bin}/uwsgi --http11-socket 127.0.0.1:{port} --module apps:{app} --master --processes 1 --disable-logging"
    " --die-on-term --need-app -b 32768",
    "waitress": "{bin}/waitress-serve --listen=127.0.0.1:{port} --threads={threads} apps:{app}",
    "cheroot": "{bin}/cheroot --bind 127.0.0.1:{port} --threads {threads} apps:{app}",
    "gunicorn-sync": "{bin}/gunicorn apps:{app} -b 127.0.0.1:{port} -w 1 -k sync --log-level error",
    "gunicorn-gthread": "{bin}/gunicorn apps:{app} -b 127.0.0.1:{port} -w 1 -k gthread --threads {threads} --keep-alive 60"
    " --log-level error",
    "gunicorn-gevent": "{bin}/gunicorn apps:{app} -b 127.0.0.1:{port} -w 1 -k gevent --keep-alive 60 --log-level error",
    "pyruvate": "{bin}/python -c \"import pyruvate, apps; pyruvate.serve(apps.{app}, '127.0.0.1:{port}', {threads})\"",
}


class NotServing(Exception):
    """A server did not start; the text says why."""


class Server:
    """A server that answers on `port`. `process` leads its tree."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self.process, self.port = process, port

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


def command(name: str, app: str, port: int, threads: int = 4, body: int = 13) -> list[str]:
    """The command line of the server called `name`. The environment says where the programs are (see scripts/bench)."""
    places = {key: os.environ["BENCH_" + key.upper()] for key in ("bin", "funicorn", "limit")}
    return shlex.split(SERVERS[name].format(app=app, port=port, threads=threads, body=body, **places))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@contextmanager
def serving(name: str, app: str, **options: int) -> Iterator[Server]:
    """Runs a server for as long as the context lasts.

    Raises NotServing if it does not answer.
    """
    port = free_port()
    # What it says goes to a file: a pipe that nobody reads would stall a server that warns a lot.
    with tempfile.TemporaryFile() as log:
        words = command(name, app, port, **options)
        if not Path(words[0]).exists():
            raise NotServing("not installed")
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CPU, *words],
            cwd=HERE,
            env={**os.environ, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
        try:
            if not answers(port, process):
                log.seek(0)
                raise NotServing((log.read() or b"no answer").decode(errors="replace").strip()[-200:])
            yield Server(process, port)
        finally:
            end(process)


def answers(port: int, process: subprocess.Popen, within: float = 15) -> bool:
    """Whether the server comes to answer a request. It goes at once: then it has gone."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if client.recv(64):
                    return True
        except OSError:
            time.sleep(0.05)
    return False


def end(process: subprocess.Popen) -> None:
    """Ends the server's whole process group, kindly first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(3)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            pass
