"""Is a wake-up ever lost, a request stuck behind a stuck one, or a byte sent to the wrong client? A crowd tries for a while.

The application takes a moment now and then, and each of its answers repeats the name of its request. Clients of many habits
ask at once; those that vanish leave their descriptors' numbers to others while their responses are still being written.

    FUNICORN_SOAK_SECONDS=60 make e2e ARGS="-k soak"

soaks each kind of worker for a minute, and lets one client ask alone for about a third of that. What the clients do follows
from a seed, which a failing test prints and which FUNICORN_SOAK_SEED gives back. It does not fix how their threads and those
of the server take turns.
"""

from __future__ import annotations

import os
import random
import re
import select
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, NamedTuple

import pytest
from server import Server, children
from vitals import cpu_seconds, descriptors, scheduled_seconds
from waiting import Gate, eventually
from wire import Connection, Response, chunked, request

SECONDS = float(os.environ.get("FUNICORN_SOAK_SECONDS", "3"))

#: Answers /KIND/CLIENT/NUMBER/AMOUNT with that path, repeated in some kinds, and the body that was posted.
APPLICATION = """
    import time

    def application(environ, start_response):
        path = environ["PATH_INFO"]
        name = path.encode()
        _, kind, client, _, amount = path.split("/")
        begin = lambda *length: start_response("200 OK", [("Answers", path), *length])
        if kind == "sleep":
            time.sleep(int(amount) / 1e4)
        elif kind == "compute":
            end = time.perf_counter() + int(amount) / 1e4
            while time.perf_counter() < end:
                pass
        elif kind == "stream":
            begin()
            return stream(name, int(amount))
        elif kind == "stuck":
            begin()
            return stuck(name, client)
        elif kind == "large":
            begin()
            return [name * int(amount)]
        posted = environ["wsgi.input"].read()
        begin(("Content-Length", str(len(name + posted))))
        return [name, posted]

    def stream(name, blocks):
        for block in range(blocks):
            if block % 2:
                time.sleep(block / 1e3)
            yield name

    def stuck(name, client):
        yield name
        open("gate-" + client).read()
        yield name
    """

#: How often an answer is of which kind, and the range of its amount: tenths of milliseconds, repetitions, bytes posted.
KINDS = {
    "quick": (12, range(1)),
    "sleep": (2, range(1, 300)),
    "compute": (2, range(10, 50)),
    "stream": (2, range(2, 6)),
    "length": (3, range(1, 2000)),
    "chunked": (3, range(1, 2000)),
    "large": (1, range(10_000, 10_001)),  # some 200 KiB
}


class Asked(NamedTuple):
    """A request, and the body of the only right answer to it."""

    target: str
    sent: bytes
    answer: bytes

    def check(self, response: Response) -> None:
        assert (response.status, response.header("Answers")) == (200, self.target), f"for {self.target}: {response}"
        if response.body != self.answer:
            right = len(os.path.commonprefix([response.body, self.answer]))
            wrong = response.body[right : right + 100]
            raise AssertionError(f"{self.target}: of {len(self.answer)} bytes {right} are right, then comes {wrong!r}")


class Client:
    """Somebody who asks as the test says, and checks each answer. `name` also seeds what it asks for."""

    def __init__(self, server: Server, name: str, seed: str, threads: int) -> None:
        self.server, self.name, self.threads = server, name, threads
        self.random = random.Random(f"{seed} {name}")
        self.gate = Gate(server.directory / f"gate-{name}")
        self.asked = 0

    def ask(self, kind: str = "", *headers: tuple[str, str]) -> Asked:
        """The next request: of this kind, or of any."""
        kind = kind or self.random.choices([*KINDS], [share for share, _ in KINDS.values()])[0]
        amount = self.random.choice(KINDS[kind][1]) if kind in KINDS else 0
        self.asked += 1
        target = f"/{kind}/{self.name}/{self.asked}/{amount}"
        repeated = target.encode() * {"stream": amount, "large": amount, "stuck": 2}.get(kind, 1)
        if kind not in ("length", "chunked"):
            return Asked(target, request("GET", target, headers), repeated)
        posted = (b"%b posts " % target.encode() * amount)[:amount]
        if kind == "length":
            return Asked(target, request("POST", target, headers, posted), repeated + posted)
        size = self.random.randint(1, amount)
        blocks = [posted[start : start + size] for start in range(0, amount, size)]
        coded = request("POST", target, (*headers, ("Transfer-Encoding", "chunked"))) + chunked(*blocks)
        return Asked(target, coded, repeated + posted)

    def connect(self) -> Connection:
        return self.server.connect()

    def converse(self, connection: Connection, *requests: Asked) -> None:
        """Sends these requests at once: their answers must come in the same order."""
        connection.send(b"".join(asked.sent for asked in requests))
        for asked in requests:
            asked.check(connection.response())

    def keep_silent(self, connection: Connection, most: float) -> None:
        """Sends nothing for a while, and must be told nothing."""
        assert not connection.buffer, f"{self.name} did not ask for {bytes(connection.buffer)!r}"
        if select.select([connection.socket], [], [], self.random.uniform(0, most))[0]:
            raise AssertionError(f"{self.name} did not ask for {connection.socket.recv(1 << 16)!r}")

    def leave(self, connection: Connection) -> None:
        """Says that no request follows: nothing may come any more."""
        connection.finish_sending()
        connection.assert_ended()

    # Habits: what a client does over and over.

    def one_after_another(self) -> None:
        """Asks on a connection that is kept alive, now and then in pieces that are cut anywhere."""
        with self.connect() as connection:
            for _ in range(self.random.randint(1, 20)):
                asked = self.ask()
                cuts = self.random.sample(range(1, len(asked.sent)), self.random.choice([0, 0, 1, 3]))
                start = 0
                for end in [*sorted(cuts), len(asked.sent)]:
                    self.keep_silent(connection, 0.005 if start else 0)
                    connection.send(asked.sent[start:end])
                    start = end
                asked.check(connection.response())
            self.leave(connection)

    def pipelining(self) -> None:
        with self.connect() as connection:
            for _ in range(self.random.randint(1, 4)):
                self.converse(connection, *(self.ask() for _ in range(self.random.randint(2, 8))))
            self.leave(connection)

    def with_a_new_connection_each(self) -> None:
        with self.connect() as connection:
            self.keep_silent(connection, 0.01)
            half_closes = self.random.random() < 0.5
            asked = self.ask("", *([] if half_closes else [("Connection", "close")]))
            connection.send(asked.sent)
            if half_closes:
                connection.finish_sending()
            asked.check(connection.response())
            connection.assert_ended()

    def resetting(self) -> None:
        """Vanishes within a response. What came of it until then must be right."""
        connection = self.connect()
        asked = self.ask(self.random.choice(["large", "stream"]))
        connection.send(asked.sent + self.ask().sent * self.random.randint(0, 2))
        head = connection.head()
        begun = connection.chunk() if head.framing == "chunked" else connection._exactly(1000)
        assert head.header("Answers") == asked.target and asked.answer.startswith(begun)
        connection.reset()
        self.with_a_new_connection_each()

    def closing(self) -> None:
        """Does not wait for the answer. The next client may get the descriptor's number while it is being written."""
        with self.connect() as connection:
            connection.send(b"".join(self.ask().sent for _ in range(self.random.randint(1, 3))))
        self.with_a_new_connection_each()

    def being_stuck(self) -> None:
        """Is in a call that ends only when others have been answered, who must not stand behind it."""
        with self.connect() as connection:
            asked = self.ask("stuck")
            connection.send(asked.sent)
            try:
                # The first block comes while the application waits.
                response = connection.head()
                response.body = connection.chunk()
                with self.connect() as other:
                    self.converse(other, *(self.ask() for _ in range(3 if self.threads > 1 else 0)))
                self.keep_silent(connection, 0.01)
                self.gate.open()
            finally:
                self.gate.open_if_needed()
            while chunk := connection.chunk():
                response.body += chunk
            asked.check(response)
            self.leave(connection)

    def in_a_lull(self) -> None:
        """Makes the worker wait while a call runs whose end is news: there is a next request, and then an end."""
        with self.connect() as connection:
            self.converse(connection, self.ask("sleep"), self.ask("compute"), self.ask("sleep", ("Connection", "close")))
            connection.assert_ended()


HABITS = {
    Client.one_after_another: 6,
    Client.pipelining: 4,
    Client.with_a_new_connection_each: 5,
    Client.resetting: 3,
    Client.closing: 3,
}


def soak(server: Server, seed: str, threads: int) -> Counter:
    """Lets the crowd ask until the time is over. Returns how many requests were made by habit."""
    # However many are stuck, one thread is left.
    habits = {**HABITS, Client.being_stuck: max(1, threads - 1)}
    crowd = [
        (Client(server, f"{habit.__name__}-{n}", seed, threads), habit)
        for habit, count in habits.items()
        for n in range(count)
    ]
    end, failures = time.monotonic() + SECONDS, []

    def live(client: Client, habit: Callable[[Client], None]) -> None:
        try:
            habit(client)
            while time.monotonic() < end and not failures:
                habit(client)
        except BaseException as failure:  # the first one counts: others may follow from it
            failures.append(failure)

    with ThreadPoolExecutor(len(crowd)) as pool:
        list(pool.map(live, *zip(*crowd)))
    if failures:
        raise failures[0]
    asked = Counter()
    for client, habit in crowd:
        asked[habit.__name__] += client.asked
    return asked


def lull(server: Server, seed: str, threads: int) -> None:
    """Lets one client ask alone, so that no event of another saves a worker that has missed its wake-up.

    What saves it then is that deadlines are looked at once a second. In that wait nobody is ready to run, client or worker,
    while what a busy machine adds to a round is waiting for a processor; so that is taken off. What is left of a round is under
    0.1 s, and with a missed wake-up mostly more than 0.4 s. One such round is forgiven: virtual machines stand still at times.
    """
    client = Client(server, "in_a_lull", seed, threads)
    ours = f"{os.getpid()}/task/{threading.get_native_id()}"
    workers = [f"{pid}/task/{thread}" for pid in children(server.pid) for thread in os.listdir(f"/proc/{pid}/task")]

    def scheduled() -> float:
        return sum(map(scheduled_seconds, [ours, *workers]))

    late = []
    for _ in range(int(SECONDS * 10)):
        began, before = time.monotonic(), scheduled()
        client.in_a_lull()
        waited = time.monotonic() - began - (scheduled() - before)
        if waited > 0.4:
            late.append(waited)
        assert len(late) < 2, f"in rounds of one client alone everybody waited {late} seconds"


def assert_rests(server: Server, pids: list[int]) -> None:
    """For a second nothing comes on a connection that is kept alive, and no worker spends more than a tick."""
    with server.connect() as silent:
        silent.request("GET", "/quick/silent/1/0")
        spent = [cpu_seconds(pid) for pid in pids]
        assert select.select([silent.socket], [], [], 1.0)[0] == []
        moved = [after - before for before, after in zip(spent, map(cpu_seconds, pids))]
        assert max(moved) < 0.015, f"idle workers were busy for {moved} seconds of one"


@pytest.mark.parametrize(("workers", "threads"), [(1, 1), (1, 2), (1, 8), (2, 4)])
def test_every_client_of_a_crowd_gets_its_own_answers_in_time(serve, workers, threads):
    seed = os.environ.get("FUNICORN_SOAK_SEED") or str(random.randrange(1 << 32))
    print(f"FUNICORN_SOAK_SEED={seed}")
    server = serve(APPLICATION, "--workers", str(workers), "--threads", str(threads))
    eventually(lambda: server.stderr.count(" is ready") == workers, "every worker is ready")
    pids = sorted(children(server.pid))
    before = [*map(descriptors, pids)]
    asked = soak(server, seed, threads)
    print(f"{sum(asked.values())} requests: {dict(asked)}")
    assert all(asked.values()), "not every habit was tried"
    assert sorted(children(server.pid)) == pids, "a worker has been replaced"
    eventually(lambda: [*map(descriptors, pids)] == before, f"{before} descriptors in the workers, as before")
    lull(server, seed, threads)
    eventually(lambda: [*map(descriptors, pids)] == before, f"{before} descriptors in the workers, as before")
    assert_rests(server, pids)
    server.stop()
    assert not re.search("ERROR|Traceback|panicked", server.stderr)
