"""The server under test: one process tree, started from a command line, on a listener that the test made.

The command comes from the environment variable FUNICORN_COMMAND, so that the same tests can run against a binary, a
wheel's console script or a wrapper. The listening socket is bound here and handed down as a descriptor (`--bind fd://N`):
no port is guessed, and a client can connect before the server is up.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

from waiting import DEADLINE, eventually
from wire import Connection, Response

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "examples"


def command() -> list[str]:
    """The command line of the server under test, without arguments."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return shlex.split(os.environ.get("FUNICORN_COMMAND", str(target / "debug" / "funicorn")))


def environment(extra: dict | None = None) -> dict[str, str]:
    """The environment of the server: ours, with the virtual environment that runs the tests active."""
    ours = ("PYTHON", "FUNICORN_", "FORWARDED_")
    result = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    result["VIRTUAL_ENV"] = sys.prefix
    result["PATH"] = os.pathsep.join([str(Path(sys.prefix, "bin")), result.get("PATH", os.defpath)])
    result.update(extra or {})
    return result


def listener(host: str = "127.0.0.1") -> socket.socket:
    """A listening socket on a free port."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.bind((host, 0))
    listening.listen(128)
    return listening


#: What keeps the ports of `free_port`.
HOLDERS: list[socket.socket] = []


def free_port(host: str = "127.0.0.1") -> int:
    """A port for tests of `--bind HOST:PORT` itself, which stays free for the server.

    A socket that is bound but does not listen keeps it from everybody else on this machine, not from who reuses addresses.
    """
    holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((host, 0))
    HOLDERS.append(holder)
    return holder.getsockname()[1]


class Server:
    """A running server. `directory` is its working directory, where its application lies and leaves notes."""

    def __init__(
        self, arguments: list[str], directory: Path, listening: socket.socket | None, env: dict | None
    ) -> None:
        self.directory = directory
        self.address = listening.getsockname()[:2] if listening else None
        self.stderr_path = directory / f"stderr-{len(list(directory.glob('stderr-*')))}"
        self.stdout_path = self.stderr_path.with_name(self.stderr_path.name.replace("stderr", "stdout"))
        bind = ["--bind", f"fd://{listening.fileno()}"] if listening else []
        with self.stderr_path.open("wb") as stderr, self.stdout_path.open("wb") as stdout:
            self.process = subprocess.Popen(
                [*command(), *bind, *arguments],
                cwd=directory,
                env=environment(env),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=[listening.fileno()] if listening else [],
                start_new_session=True,  # so that every process of the tree can be found by its session
            )
        if listening:
            listening.close()  # the server's copy is the only one: when it dies, clients are refused

    # talking to it

    def connect(self, **options: object) -> Connection:
        """A new connection, made as soon as there is a listener."""
        assert self.address is not None, "the test gave no address to connect to"

        def attempt() -> Connection | None:
            try:
                return Connection(self.address, **options)
            except (ConnectionRefusedError, FileNotFoundError):
                assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.stderr}"
                return None

        return eventually(attempt, f"a listener at {self.address}")

    def request(self, *arguments: object, **keywords: object) -> Response:
        """One request over a connection of its own."""
        with self.connect() as connection:
            return connection.request(*arguments, **keywords)

    def get(self, target: str = "/", *headers: tuple[str, str]) -> Response:
        return self.request("GET", target, headers)

    # looking at it

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text(errors="replace")

    def note(self, name: str) -> str:
        """What the application has written to the file `name`, "" when there is none."""
        path = self.directory / name
        return path.read_text() if path.exists() else ""

    def wait_for_note(self, name: str, text: str) -> None:
        eventually(lambda: self.note(name) == text, f"note {name}: {text!r}, which is {self.note(name)!r}")

    def wait_for_log(self, text: str) -> None:
        """Waits until this is on standard error, in whatever case."""
        eventually(lambda: text.lower() in self.stderr.lower(), f"{text!r} on standard error")

    def tree(self) -> list[int]:
        """Every process of this server that is alive, from the session that it leads."""
        return [pid for pid in processes() if alive_in_session(pid, self.pid)]

    def peak_memory(self) -> int:
        """The largest resident set that any process of the tree has had, in bytes."""
        return max(peak_memory(pid) for pid in self.tree())

    # ending it

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit status, once the server has ended."""
        return self.process.wait(timeout=DEADLINE)

    def stop(self) -> None:
        """Ends the server as an operator does, and insists on a clean end."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            status = self.wait()
            assert status == 0, f"the server ended with {status} on SIGTERM"
        eventually(lambda: not self.tree(), f"no process left of the server: {self.tree()}")

    def kill(self) -> None:
        """Ends whatever is left of the tree, and waits until nobody holds its sockets any more."""
        # The supervisor first: once it has ended nobody replaces a worker.
        self.process.kill()
        self.process.wait()
        for pid in self.tree():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        eventually(lambda: not self.tree(), "every process of the server has ended")


def processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def process_fields(pid: int | str) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on (proc(5)): state, parent, group, session ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def is_alive(pid: int) -> bool:
    """Whether a thread of the process is left. Its first one may be a zombie while others still hold its sockets."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    fields = [process_fields(f"{pid}/task/{thread}") for thread in threads]
    return any(field is not None and field[0] not in "ZX" for field in fields)


def alive_in_session(pid: int, session: int) -> bool:
    fields = process_fields(pid)
    return fields is not None and int(fields[3]) == session and is_alive(pid)


def children(parent: int) -> list[int]:
    """The processes that are alive and have this parent."""
    found = []
    for pid in processes():
        fields = process_fields(pid)
        if fields is not None and int(fields[1]) == parent and is_alive(pid):
            found.append(pid)
    return found


def peak_memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"/proc/{pid}/status says nothing of memory")
