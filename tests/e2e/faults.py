"""Plays the scenes of the fault tests at full size and prints their figures: the program behind `make faults`.

    faults.py [RUST_TEST_LOG]

The log of the Rust tests tells how many bad inputs were tried. The table goes to standard output and, where
docs/security.md has a place for it, there. What must hold in any case is asserted on the way: a program that ends with 0
has lost no request and leaked nothing. The figures that depend on the machine are compared with their goals by the reader.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import textwrap
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from scenes import APPLICATION, ENDS, STATES, Held, Survived, idle_connections, reset_in, slow_clients
from server import REPOSITORY, Server, listener
from slow import KINDS
from vitals import descriptors, memory, raise_descriptor_limit, worker

IDLE, SLOW, RESETS = 10_000, 2_000, 500

#: Rounds of the comparison with and without slow clients, and seconds of each half.
ROUNDS, SECONDS = 16, 1.0

#: The deadlines of slow clients: longer than it takes to measure beside them.
DEADLINE = 10

#: The C library keeps what threads have freed for each of them, and takes dozens of crowds to find its size. With one arena
#: for all, what is left is what the server has left.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}

PAGE = REPOSITORY / "docs" / "security.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

@contextmanager
def serving(*flags: str) -> Iterator[Server]:
    """A server of the application of the scenes on the first processor, with this process on the second."""
    processors = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "app.py").write_text(textwrap.dedent(APPLICATION))
        os.sched_setaffinity(0, processors[:1])
        server = Server([*flags, "app:application"], directory, listener(), ENVIRONMENT)
        os.sched_setaffinity(0, processors[1:2] or processors)
        try:
            assert server.get().status == 200
            yield server
            assert not re.search("ERROR|Traceback|panicked", server.stderr), server.stderr
            server.stop()
        finally:
            server.kill()
            os.sched_setaffinity(0, processors)


def say(text: str) -> None:
    print(f"==> {text}", file=sys.stderr, flush=True)


def mib(*values: int) -> str:
    return " → ".join(f"{value / 2**20:.1f}" for value in values)


def counted(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


class Figures:
    """The rows of the two tables: figures with their goals, and what each crowd has left behind."""

    def __init__(self) -> None:
        self.goals: list[tuple[str, ...]] = [("figure", "measured", "goal")]
        self.crowds: list[tuple[str, ...]] = [
            ("crowd", "clients", "honest requests, all answered right", "descriptors", "memory in MiB")
        ]

    def bad_inputs(self, log: str) -> None:
        """What the Rust tests tried, from what cargo printed: tests are listed under the file that they are in."""
        sections = dict(re.findall(r"Running tests/(\w+)\.rs.*?\n(.*?)test result: ok", log, re.DOTALL))
        assert sections.keys() >= {"wire", "memory", "mutations", "properties"}, f"tests that passed: {[*sections]}"
        streams = len(list((REPOSITORY / "funicorn-http" / "tests" / "wire").glob("*.http")))
        properties = [name for file in ("mutations", "properties") for name in re.findall(r"test (\w+) ", sections[file])]
        properties += re.findall(r"test (no_stream_costs_more_memory_than_the_limits) ", sections["memory"])
        tried = len(properties) * int(os.environ["PROPTEST_CASES"])
        split = "recorded streams, each whole, by line, byte by byte and at random splits"
        self.goals.append((split, f"{streams:,}", "one outcome for each"))
        self.goals.append((f"generated inputs, for {len(properties)} properties", f"{tried:,}", "each property holds"))

    def idle(self) -> None:
        say(f"{IDLE:,} idle connections")
        with serving() as server:
            held: Held = idle_connections(server, IDLE)
        self.goals.append(("idle connections held at once", f"{held.connections:,}", "10,000"))
        self.goals.append(("memory of the worker for each of them", f"{held.bytes_each:,.0f} bytes", "under 2,048 bytes"))
        self.crowd("idle", f"{held.connections:,}", held.honest, held.descriptors, held.memory)

    def slow(self, threads: int) -> None:
        say(f"{SLOW:,} slow clients, {counted(threads)}")
        names = ("head-timeout", "body-timeout", "write-timeout", "keep-alive")
        count = -(-SLOW // len(KINDS)) * len(KINDS)
        with serving("--threads", str(threads), *(f"--{name}={DEADLINE}" for name in names)) as server:
            survived: Survived = slow_clients(server, count, DEADLINE, ROUNDS, SECONDS)
        assert survived.held == survived.clients, "slow clients were ended while others were measured beside them"
        for kind, ends in survived.ends.items():
            assert set(ends) == {ENDS[kind]}, f"slow clients ({kind}) ended otherwise than they should: {ends}"
        alone, beside = survived.alone * 1e3, survived.beside * 1e3
        what = f"99th percentile of honest requests, {counted(threads)}, without and beside slow clients, best of {ROUNDS}"
        self.goals.append((what, f"{alone:.2f} and {beside:.2f} ms: {beside / alone:.2f} times", "within 1.5 times"))
        who = f"slow, {counted(threads)}"
        self.crowd(who, f"{survived.clients:,}", survived.honest, survived.descriptors, survived.memory)

    def resets(self, threads: int) -> None:
        say(f"{RESETS:,} resets in each of {len(STATES)} states, {counted(threads)}")
        with serving("--threads", str(threads), "--limit-response-spool=1M") as server:
            pid = worker(server)
            for state in STATES:  # what the first crowd leaves are tables of its size
                reset_in(state, server, RESETS)
            before = descriptors(pid), memory(pid)
            honest = sum(reset_in(state, server, RESETS) for state in STATES)
            levels = list(zip(before, (descriptors(pid), memory(pid))))
        who = f"reset in one of {len(STATES)} states, {counted(threads)}"
        self.crowd(who, f"{RESETS:,} in each", honest, *levels)

    def crowd(self, who: str, size: str, honest: int, held: tuple[int, ...], used: tuple[int, ...]) -> None:
        self.crowds.append((who, size, f"{honest:,}", " → ".join(map(str, held)), mib(*used)))

    def text(self) -> str:
        other = "another" if len(os.sched_getaffinity(0)) > 1 else "the same"
        return "\n\n".join(
            [
                f"Linux {platform.release().split('-')[0]} on {platform.machine()}, CPython {platform.python_version()}; one "
                f"worker on one processor, the clients on {other}.",
                table(self.goals),
                "What each crowd left behind: levels before and after it (of slow clients half of the rounds come\n"
                "before), and the most memory beside slow clients. All with `MALLOC_ARENA_MAX=1`, so that memory which the\n"
                "C library keeps for each thread does not look like a leak, nor hide one.",
                table(self.crowds),
            ]
        )


def table(rows: list[tuple[str, ...]]) -> str:
    rows = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write(text: str) -> None:
    """Puts the table into the page, where it has a place for it."""
    page = PAGE.read_text() if PAGE.exists() else ""
    if not 0 <= page.find(BEGIN) < page.find(END):
        return say(f"{PAGE.name} has no place for the figures ({BEGIN} ... {END})")
    before, rest = page.split(BEGIN, 1)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END, 1)[1]}")
    say(f"written to docs/{PAGE.name}")


def main() -> None:
    raise_descriptor_limit()
    figures = Figures()
    if len(sys.argv) > 1:
        figures.bad_inputs(Path(sys.argv[1]).read_text())
    figures.idle()
    for threads in (1, 8):
        figures.slow(threads)
    for threads in (1, 8):
        figures.resets(threads)
    print(figures.text())
    write(figures.text())


if __name__ == "__main__":
    main()
