"""The scenes of the fault tests: a server, a crowd that makes trouble, and an honest client beside it.

Each scene checks what must hold whatever the numbers are and returns its figures. The tests play them small, with
assertions on the figures; `make faults` plays them at full size and prints them.
"""

from __future__ import annotations

import fcntl
import socket
import time
from collections import Counter
from dataclasses import dataclass
from typing import Callable, Iterator

from server import Server
from slow import KINDS, SlowClients
from vitals import descriptors, memory, worker
from waiting import DEADLINE, eventually
from wire import Connection, chunked, request

#: Answers with the path and the body. /held waits until the test opens its `Barrier`, /large is 8 MiB in one block, /file as
#: much from a file, /blocks is as much as a client takes, /closed says how many of those iterables were made and closed.
APPLICATION = """
    import fcntl, itertools
    LARGE = bytes(8 << 20)
    made, closed = itertools.count(), itertools.count()
    with open("large", "wb") as file:
        file.write(LARGE)

    class Blocks:
        def __init__(self):
            next(made)
        def __iter__(self):
            return itertools.repeat(LARGE)
        def close(self):
            next(closed)

    def application(environ, start_response):
        path = environ["PATH_INFO"]
        body = environ["wsgi.input"].read()
        if path == "/held":
            with open("barrier") as barrier:
                fcntl.flock(barrier, fcntl.LOCK_SH)
        start_response("200 OK", [])
        if path == "/large":
            return [LARGE]
        if path == "/file":
            return environ["wsgi.file_wrapper"](open("large", "rb"))
        if path == "/blocks":
            return Blocks()
        if path == "/closed":
            return [f"{made!r} {closed!r}".encode()]
        return [path.encode() + b" " + body]
    """

#: Connections that are opened before their answers are read: fewer than a listener's backlog holds.
WAVE = 64


class Barrier:
    """Holds every call for /held until it is opened, and none afterwards: a lock on a file in the server's directory."""

    def __init__(self, server: Server) -> None:
        self.file = (server.directory / "barrier").open("w")

    def __enter__(self) -> Barrier:
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        self.file.close()

    def open(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_UN)


class Honest:
    """A client that behaves: one request after the other, most over one connection. Every answer must be right."""

    #: After so many requests it comes back with a new connection.
    PER_CONNECTION = 64

    def __init__(self, server: Server) -> None:
        self.server = server
        self.latencies: list[float] = []
        self.socket: socket.socket | None = None

    def __enter__(self) -> Honest:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Closes the connection; the next request makes another."""
        if self.socket:
            self.socket.close()
            self.socket = None

    def ask(self) -> None:
        """One request, every other one with a body."""
        number = len(self.latencies)
        if self.socket is None or number % self.PER_CONNECTION == 0:
            self.leave()
            self.socket = self.server.connect().socket
        body = b"%d" % number * 100 if number % 2 else b""
        sent = request("POST" if body else "GET", f"/honest/{number}", (), body)
        expected = b"\r\n\r\n/honest/%d " % number + body
        began = time.perf_counter()
        self.socket.sendall(sent)
        answer = b""
        while not answer.endswith(expected):
            data = self.socket.recv(1 << 16)
            answer += data
            assert data and len(answer) < 4096, f"a wrong answer to an honest client: {answer!r}"
        self.latencies.append(time.perf_counter() - began)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), f"a wrong answer to an honest client: {answer!r}"

    def ask_for(self, seconds: float) -> float:
        """Asks for so long, a hundred times at least. Returns what 99 in 100 of these requests did not exceed, in seconds."""
        first, end = len(self.latencies), time.monotonic() + seconds
        while len(self.latencies) < first + 100 or time.monotonic() < end:
            self.ask()
        ordered = sorted(self.latencies[first:])
        return ordered[int(len(ordered) * 0.99)]


@dataclass
class Held:
    """What idle connections cost. Pairs are before and after: the crowd has come and gone once already before."""

    connections: int
    bytes_each: float
    descriptors: tuple[int, int]
    memory: tuple[int, int]
    honest: int


def idle_connections(server: Server, count: int) -> Held:
    """Holds `count` connections that have had an answer each and now keep still; an honest client is served beside them."""
    pid = worker(server)
    with Honest(server) as honest:
        honest.ask()
        fresh = memory(pid)
        # What the first crowd leaves are tables and free lists of its size. A second one must find its place in them.
        after, bytes_each, before = [], 0.0, (0, 0)
        for turn in range(2):
            before = (descriptors(pid), memory(pid))
            crowd = list(idle_crowd(server, count))
            if turn == 0:
                bytes_each = (memory(pid) - fresh) / count
            assert descriptors(pid) >= before[0] + count
            for _ in range(100):
                honest.ask()
            for connection in crowd[:: max(1, count // 100)]:
                connection.assert_open()
            leave(crowd)
            honest.ask()
            eventually(lambda: descriptors(pid) <= before[0], f"{before[0]} descriptors, as before: {descriptors(pid)}")
            after = [descriptors(pid), memory(pid)]
        assert worker(server) == pid
        return Held(count, bytes_each, (before[0], after[0]), (before[1], after[1]), len(honest.latencies))


def idle_crowd(server: Server, count: int) -> Iterator[Connection]:
    """Connections that have had an answer each."""
    for start in range(0, count, WAVE):
        wave = [server.connect() for _ in range(min(WAVE, count - start))]
        for connection in wave:
            connection.send(request("GET", "/idle"))
        for connection in wave:
            assert connection.response().body == b"/idle "
            yield connection


def leave(crowd: list[Connection]) -> None:
    for connection in crowd:
        connection.close()


#: How the server ends slow clients once their time is over: with an answer where a request has begun, else silently.
#: Who does not read is cut, so that what came cannot pass for the whole.
ENDS = {
    "head": "408 closed",
    "body": "408 closed",
    "chunk": "408 closed",
    "reader": "reset",
    "silent": "closed",
    "idle": "closed",
}


@dataclass
class Survived:
    """How honest clients fared beside slow ones, and how these ended. Latencies are the 99th percentiles in seconds, in
    the best of the rounds: what other programs do on this machine can only add to them. Levels are after half the rounds and
    after all, and the most memory beside slow clients: an allocator takes a few crowds to find its size. `held` is how many slow
    ones were there, at least, when the honest ones had been served beside them."""

    clients: int
    held: int
    alone: float
    beside: float
    honest: int
    ends: dict[str, Counter]
    descriptors: tuple[int, int]
    memory: tuple[int, int, int]


def slow_clients(server: Server, count: int, deadline: float, rounds: int = 1, seconds: float = 0.5) -> Survived:
    """Serves an honest client alone and beside `count` slow ones, in turns of so many `seconds`, so that a drift of the
    machine's speed hits both alike. The last crowd is held until its deadlines, of so many seconds each, have ended it."""
    pid, each = worker(server), count // len(KINDS)
    alone, beside, held, before, most, ends = [], [], [], (0, 0), 0, {}
    with Honest(server) as honest:
        honest.ask()
        quiet = descriptors(pid)
        for turn in range(rounds + 1):
            with SlowClients(server.address, list(KINDS), each) as slow:
                if turn > 0:
                    beside.append(honest.ask_for(seconds))
                    left, youngest = slow.held()
                    # Not the whole deadline: the server may have taken the time a little before the client came.
                    assert youngest > deadline / 2, "slow clients were ended before their time"
                    held.append(left)
                    most = max(most, memory(pid))
                honest.leave()
                if turn == rounds:
                    ends = slow.ends(deadline + DEADLINE)
            honest.ask()
            eventually(lambda: descriptors(pid) <= quiet, f"{quiet} descriptors, as before: {descriptors(pid)}")
            if turn == rounds // 2:
                before = descriptors(pid), memory(pid)
            if turn < rounds:
                alone.append(honest.ask_for(seconds))
        after = descriptors(pid), memory(pid)
        assert worker(server) == pid, "the worker has been replaced"
        return Survived(
            each * len(KINDS),
            min(held),
            min(alone),
            min(beside),
            len(honest.latencies),
            ends,
            (before[0], after[0]),
            (before[1], most, after[1]),
        )


#: The states in which a client can vanish: what it does to get there. Some read, since an answer proves the state.
STATES: dict[str, Callable[[Connection], None]] = {
    "before a byte": lambda client: None,
    "within the head": lambda client: client.send(b"GET / HTTP/1.1\r\nHost:"),
    "within the body": lambda client: client.send(request("POST", "/", (("Content-Length", "1000"),)) + bytes(10)),
    "within a chunk": lambda client: client.send(
        request("POST", "/", (("Transfer-Encoding", "chunked"),)) + chunked(b"block")[:7]
    ),
    "within a body in a file": lambda client: client.send(
        request("POST", "/", (("Content-Length", str(1 << 20)),)) + bytes(300 << 10)
    ),
    "asked to continue": lambda client: told_to_continue(client),
    "while the application runs": lambda client: client.send(request("GET", "/held")),
    "while a response is sent": lambda client: (client.send(request("GET", "/large")), client.head()),
    "while a file is sent": lambda client: (client.send(request("GET", "/file")), client.head()),
    "while the application waits to send": lambda client: client.send(request("GET", "/blocks")),
    "pipelining": lambda client: client.send(request("GET", "/") * 20),
    "idle": lambda client: client.request(),
    "after half a close": lambda client: (client.send(request("GET", "/large")), client.finish_sending()),
    "refused, and still sending": lambda client: refused_and_sending(client),
}


def told_to_continue(client: Connection) -> None:
    client.send(request("POST", "/", (("Expect", "100-continue"), ("Content-Length", "4"))))
    assert client.response().status == 100


def refused_and_sending(client: Connection) -> None:
    client.send(b"wrong\r\n\r\n")
    assert client.response().status == 400
    client.send(b"more of it")


def reset_in(state: str, server: Server, count: int) -> int:
    """Lets `count` clients vanish in `state`, all at once, with a reset. Returns how many honest requests were answered
    meanwhile."""
    pid = worker(server)
    with Honest(server) as honest, Barrier(server) as barrier:
        honest.ask()
        before = descriptors(pid)
        clients = []
        for _ in range(count):
            clients.append(server.connect(receive_buffer=4096))
            STATES[state](clients[-1])
        for client in clients:
            client.reset()
        barrier.open()
        for _ in range(Honest.PER_CONNECTION + 1):  # over a new connection too
            honest.ask()
        eventually(lambda: descriptors(pid) <= before, f"{before} descriptors, as before: {descriptors(pid)}")
        eventually(lambda: everything_closed(server), "close() of every iterable")
    assert worker(server) == pid, "the worker has been replaced"
    return len(honest.latencies)


def everything_closed(server: Server) -> bool:
    made, closed = server.get("/closed").body.split()
    return made == closed
