"""What else does the comparison ask? Memory, idle connections, how long a yielded block takes to the wire, and how costs grow."""

from __future__ import annotations

import argparse
import re
import resource
import socket
import statistics
import time
from contextlib import ExitStack
from typing import Callable

from load import Load, measure
from processes import memory, tree, worker_and_others
from servers import NotServing, Server, serving
from turns import in_turns

SERVED = ("funicorn", "bjoern", "fastwsgi", "granian", "uwsgi", "waitress", "cheroot", "gunicorn-gthread")
STREAMING = ("funicorn", "bjoern", "fastwsgi", "granian", "uwsgi", "waitress", "gunicorn-gthread")
CONCURRENT = ("funicorn", "bjoern", "fastwsgi", "granian")
IDLE = 10_000
BLOCKS = 20
ROUNDS = 3  # at most: a scenario takes longer than a load

REQUEST = b"GET /?%d HTTP/1.1\r\nHost: localhost\r\n\r\n"


def memory_of_worker(server: Server, seconds: float) -> dict[str, float]:
    """MiB after a load: of the process that did the work, and of the rest of its tree."""
    measure(server, Load(), seconds)
    worker, others = worker_and_others(server.pid)
    return {"worker MiB": memory(worker), "supervisor MiB": sum(map(memory, others))}


def idle_connections(server: Server, seconds: float) -> dict[str, float]:
    """What connections that only stay open cost: hello's CPU with and without them, and the memory of the whole tree for each."""

    def tree_memory() -> float:
        return sum(memory(pid, "Pss") for pid in tree(server.pid))

    without = measure(server, Load(), seconds).cpu
    before = tree_memory()
    with ExitStack() as opened:
        for _ in range(IDLE):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
            # Each has had a request, as an idle connection of a browser has: it waits for the next.
            client.sendall(REQUEST % 0)
            if not client.recv(4096):
                raise NotServing("it closes connections that should stay open")
        grown = tree_memory() - before
        during = measure(server, Load(), seconds).cpu
    return {"connections": IDLE, "CPU us without": without, "CPU us with": during, "KiB each": grown * 1024 / IDLE}


def first_block(server: Server, _seconds: float) -> dict[str, float]:
    """Milliseconds from the moment when a generator yields a block until a client has it."""
    delays = []
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(REQUEST % BLOCKS)
        while len(delays) < BLOCKS:
            data = client.recv(65536)
            if not data:
                raise NotServing(f"it sent {len(delays)} of {BLOCKS} blocks")
            now = time.monotonic_ns()
            delays += [(now - int(stamp)) / 1e6 for stamp in re.findall(rb"(\d{10,})\n", data)]
    return {"first ms": delays[0], "median ms": statistics.median(delays), "most ms": max(delays)}


def some_headers(count: int) -> tuple[str, ...]:
    return tuple(word for number in range(count) for word in ("-H", f"X-Header-{number}: some value"))


def body(kib: int) -> Load:
    return Load(16, ("-s", "body.lua"), (str(kib * 1024),))


# What grows: the application, the places, and the load at a place. A body past 256 KiB waits in a file, which costs more: there are
# two lines. One connection is a case of its own, since every request is waited for, and stands among the workloads.
GROWTH: dict[str, tuple[str, tuple[int, ...], Callable[[int], Load]]] = {
    "headers": ("hello", (0, 16, 32, 48, 64, 80, 96), lambda count: Load(options=some_headers(count))),
    "KiB of a body in memory": ("swallow", (1, 64, 128, 192, 256), body),
    "KiB of a body in a file": ("swallow", (384, 512, 768, 1024, 1536), body),
    "blocks": ("stream", (1, 100, 200, 300, 400), lambda count: Load(32, path=f"?{count}")),
    "connections": ("hello", (64, 256, 512, 1024, 2048), Load),
}


def growth(given: argparse.Namespace, deadline: float) -> dict[str, list]:
    """CPU microseconds a request of Funicorn at each place: the median of the rounds."""
    results = {}
    for axis, (app, places, load_at) in GROWTH.items():

        def measured(place: int) -> float:
            with serving("funicorn", app) as server:
                return measure(server, load_at(place), min(given.seconds, 2)).cpu

        points = in_turns(places, min(given.rounds, ROUNDS), deadline, measured, statistics.median)
        results[axis] = [[place, cpu] for place, cpu in points.items() if not isinstance(cpu, str)]
        words = (f"{place}: {cpu if isinstance(cpu, str) else f'{cpu:.2f} us'}" for place, cpu in points.items())
        print(f"\n== cost against {axis}: {', '.join(words)}")
    return results


SCENARIOS: dict[str, tuple[str, tuple[str, ...], Callable[[Server, float], dict[str, float]]] | None] = {
    "memory": ("hello", SERVED, memory_of_worker),
    "idle": ("hello", CONCURRENT, idle_connections),
    "first-block": ("slow", STREAMING, first_block),
    "growth": None,
}


def run(name: str, given: argparse.Namespace, deadline: float) -> dict:
    """Runs one scenario on each of its servers, prints and returns what came out."""
    # As many descriptors as we may have, for us and the servers, which inherit the limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    scenario = SCENARIOS[name]
    if scenario is None:
        return growth(given, deadline)
    app, servers, measure_in = scenario

    def measured(server: str) -> dict[str, float]:
        with serving(server, app) as running:
            return measure_in(running, given.seconds)

    print(f"\n== {name}", flush=True)
    wanted = given.servers.split(",") if given.servers else servers
    results = in_turns(wanted, min(given.rounds, ROUNDS), deadline, measured, medians)
    for server, shown in results.items():
        words = shown if isinstance(shown, str) else ", ".join(f"{key} {value:.3g}" for key, value in shown.items())
        print(f"{server:<18}  {words}", flush=True)
    return results


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]}
