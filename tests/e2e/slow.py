"""How are thousands of slow clients played? By a process of their own, one turn of each client a second.

A slow client sends or reads a byte in each turn, or nothing at all, and takes note of how the server ends it. The process is
another one so that honest clients are measured without waiting for the slow ones' turns.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import select
import socket
import time
from collections import Counter
from multiprocessing.connection import Connection as Pipe

from vitals import raise_descriptor_limit
from wire import request

#: What each kind sends at once, and what it repeats byte by byte.
KINDS: dict[str, tuple[bytes, bytes]] = {
    "head": (b"GET / HTTP/1.1\r\nHost: test\r\n", b"X-Slow: 1\r\n"),
    "body": (request("POST", "/", (("Content-Length", "100000"),)), b"x"),
    "chunk": (request("POST", "/", (("Transfer-Encoding", "chunked"),)), b"1\r\nx\r\n"),
    "reader": (request("GET", "/large"), b""),
    "silent": (b"", b""),
    "idle": (request("GET", "/idle"), b""),
}

#: Turns are spread over so many steps, so that no moment sees all clients at once.
STEPS = 500


class Slow:
    """One slow client. `end` is how the server ended it: "" not yet, a status, "closed" without a word, or "reset"; `age` how many
    seconds after it came."""

    def __init__(self, kind: str, address: tuple) -> None:
        self.kind = kind
        self.began, self.age = time.monotonic(), math.inf
        self.socket = socket.socket()
        if kind == "reader":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.socket.connect(address)
        first, self.repeated = KINDS[kind]
        self.socket.sendall(first)
        if kind == "idle":
            self.read_answer()
        self.socket.setblocking(False)
        self.turns = 0
        self.answer = b""
        self.end = ""

    def read_answer(self) -> None:
        answer = b""
        while not answer.endswith(b"/idle "):
            data = self.socket.recv(4096)
            assert data, f"no answer for a client that means to be idle: {answer!r}"
            answer += data

    def events(self) -> int:
        """What is waited for: anything at all, but of one that reads slowly the end alone."""
        return select.EPOLLRDHUP | (0 if self.kind == "reader" else select.EPOLLIN)

    def take_turn(self) -> None:
        if self.end:
            return
        try:
            if self.repeated:
                position = self.turns % len(self.repeated)
                self.socket.send(self.repeated[position : position + 1])
            elif self.kind == "reader" and self.turns % 2:  # some read a little, others nothing
                self.socket.recv(1)
        except BlockingIOError:
            pass
        except OSError:
            self.finish("reset")
        self.turns += 1

    def look(self) -> None:
        """Takes what the server has sent, after an event."""
        try:
            while data := self.socket.recv(1 << 16):
                if self.kind != "reader":
                    self.answer += data
        except BlockingIOError:
            return
        except OSError:
            return self.finish("reset")
        self.finish("closed")

    def finish(self, how: str) -> None:
        status = self.answer[9:12].decode()
        self.end = f"{status} {how}" if status else how
        self.age = time.monotonic() - self.began
        self.socket.close()


class SlowClients:
    """`count` slow clients of each of `kinds`, in a process of their own, from `with` to its end."""

    def __init__(self, address: tuple, kinds: list[str], count: int, turn: float = 1.0, niceness: int = 0) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        arguments = (theirs, address, kinds, count, turn, niceness)
        self.process = context.Process(target=play, args=arguments, daemon=True)

    def __enter__(self) -> SlowClients:
        """Returns when all have connected and sent their first bytes."""
        self.process.start()
        assert self.report(60) == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.join()

    def report(self, within: float) -> object:
        assert self.pipe.poll(within), f"the slow clients did not report within {within:g} s"
        return self.pipe.recv()

    def held(self) -> tuple[int, float]:
        """How many of them the server has not ended yet, and the age of the youngest that it has."""
        self.pipe.send("held")
        return self.report(60)

    def ends(self, within: float) -> dict[str, Counter]:
        """How the server ended those of each kind, when the last has ended or the time is over ("" for who remains)."""
        self.pipe.send(within)
        return self.report(within + 60)


def play(pipe: Pipe, address: tuple, kinds: list[str], count: int, turn: float, niceness: int) -> None:
    """What the process does: plays the clients until it is killed."""
    os.nice(niceness)
    raise_descriptor_limit()
    poller, clients = select.epoll(), {}
    for number in range(count):
        for kind in kinds:
            client = Slow(kind, address)
            clients[client.socket.fileno()] = client
            poller.register(client.socket, client.events())
    pipe.send("ready")
    crowd, deadline, step = list(clients.values()), None, 0
    next_step = time.monotonic()
    while True:
        for fd, _ in poller.poll(max(0.0, next_step - time.monotonic())):
            clients[fd].look()
        if time.monotonic() >= next_step:
            next_step += turn / STEPS
            for client in crowd[step::STEPS]:
                client.take_turn()
            step = (step + 1) % STEPS
        if pipe.poll():
            asked = pipe.recv()
            if asked == "held":
                pipe.send((sum(not client.end for client in crowd), min(client.age for client in crowd)))
            else:
                deadline = time.monotonic() + asked
        if deadline and (time.monotonic() > deadline or all(client.end for client in crowd)):
            pipe.send({kind: Counter(client.end for client in crowd if client.kind == kind) for kind in kinds})
            deadline = None
