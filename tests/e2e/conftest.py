"""What every end-to-end test gets: a way to start servers that are certainly gone when the test is over."""

from __future__ import annotations

import signal
import textwrap
from pathlib import Path
from typing import Iterator

import pytest
from server import Server, command, listener
from waiting import Gate

# Who runs the tests in the background (nohup) has HUP ignored, which servers would inherit.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Serve:
    """Starts servers in the test's directory, and ends them all at the end of the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.servers: list[Server] = []

    def __call__(
        self,
        source: str | None,
        *flags: str,
        spec: str = "app:application",
        host: str | None = "127.0.0.1",
        env: dict | None = None,
    ) -> Server:
        """Starts a server of the Python module `source`, which becomes app.py.

        `host` is the address of the listener that is handed down; None hands none, for tests that give `--bind`.
        """
        if source is not None:
            (self.directory / "app.py").write_text(textwrap.dedent(source))
        listening = listener(host) if host else None
        server = Server([*flags, spec], self.directory, listening, env)
        self.servers.append(server)
        return server


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers: `serve(source, *flags)`. Whatever the test did to them, they must end cleanly on TERM."""
    factory = Serve(tmp_path)
    try:
        yield factory
        for server in factory.servers:
            server.stop()
            assert "panicked at" not in server.stderr
    finally:
        for server in factory.servers:
            server.kill()
            print(f"--- standard error of {' '.join(server.process.args)}\n{server.stderr}")


@pytest.fixture
def gate(serve: Serve, tmp_path: Path) -> Iterator[Gate]:
    """A gate named `gate` before which the application can wait: `open("gate").read()`."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open_if_needed()  # a test that failed must not leave the application waiting


def pytest_report_header() -> str:
    return f"server under test: {' '.join(command())}"
