#!/usr/bin/env python3
"""Counts the instructions that a request takes, in user space, and compares them with those on record. `make instructions` runs it.

A count does not depend on how busy the machine is, so a regression of one in a hundred shows anywhere. It does depend on the
compiler and on Python: the record (instructions.json) names them, and a count made with others is shown but not judged.

in memory      through session, adapter and encoder, without a network (src/bin/request_loop.rs). The same to within a few
               instructions every time; this is what is judged.
over sockets   the thread of the real server that does the work, without the kernel, over one connection. How often it comes
               to wait depends on the client, so the last digits move; this is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import callgrind
from servers import HERE, free_port

RECORD = HERE / "instructions.json"
KINDS = {"hello": "hello", "browser": "hello", "browsing": "hello", "post1k": "echo", "stream100": "stream"}
# Of each pair of runs, the requests; the shorter one warms up whatever is remembered.
FEW, MANY = {"stream100": 100}, {"stream100": 300}
TOLERANCE = 0.01
SHOWN = 25


def in_memory(kind: str) -> callgrind.Profile:
    few, many = FEW.get(kind, 500), MANY.get(kind, 1500)
    return run_loop(kind, many).per_request(run_loop(kind, few), many - few)


def run_loop(kind: str, count: int) -> callgrind.Profile:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "out")
        command = [*callgrind.VALGRIND, f"--callgrind-out-file={out}", os.environ["BENCH_LOOP"], kind, str(count)]
        subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)
        return callgrind.read(out)


def environment() -> dict[str, str]:
    """Python's hashes are the same in every run, and nothing is written that a later run would find."""
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(HERE)}


def over_sockets(kind: str) -> callgrind.Profile:
    few, many = FEW.get(kind, 500), MANY.get(kind, 1500)
    return run_server(kind, many).per_request(run_server(kind, few), many - few)


def run_server(kind: str, count: int) -> callgrind.Profile:
    """The main thread of the worker of a server that has answered `count` requests."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        # One file for each process and each of its threads.
        files = [f"--callgrind-out-file={directory}/out.%p", "--separate-threads=yes"]
        command = [os.environ["BENCH_FUNICORN"], f"apps:{KINDS[kind]}", "--bind", f"127.0.0.1:{port}", "--log-level", "error"]
        server = subprocess.Popen([*callgrind.VALGRIND, *files, *command], env=environment(), cwd=HERE)
        try:
            with connected(port, server) as client:
                requests = wires(kind)
                for number in range(count):
                    exchange(client, requests[number % 2])
            worker = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        return callgrind.read(Path(directory, f"out.{worker}-01"))


def connected(port: int, server: subprocess.Popen) -> socket.socket:
    """A connection to the server, once it is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), 60)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start under valgrind")


def wires(kind: str) -> list[bytes]:
    """The requests that are sent in turn, from where request_loop has them too."""
    source = (HERE / "src" / "kind.rs").read_text()
    row = rf'name: "{kind}".*?head: (\w+), body_len: (\d+), changes: (\w+)'
    name, length, changes = re.search(row, source).groups()
    head = re.search(rf'const {name}: &str = "(.*?)";', source, re.DOTALL)[1]
    other = head.replace("?with=query", "?with=other") if changes == "true" else head
    return [text.replace("\n", "\r\n").encode() + b"x" * int(length) for text in (head, other)]


def exchange(client: socket.socket, request: bytes) -> None:
    """Sends a request and reads its response to the end."""
    client.sendall(request)
    received = b""
    while not is_whole(received):
        data = client.recv(65536)
        if not data:
            raise SystemExit(f"the connection ended after {received!r}")
        received += data


def is_whole(response: bytes) -> bool:
    head, separator, body = response.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    if length is None:
        return body.endswith(b"0\r\n\r\n")
    return bool(separator) and len(body) >= int(length[1])


def tools() -> dict[str, str]:
    """What a count depends on."""

    def version(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    return {
        "rustc": version("rustc", "--version").split()[1],
        "Python": platform.python_version(),
        "valgrind": version("valgrind", "--version").removeprefix("valgrind-"),
        "machine": platform.machine(),
    }


def show_where(title: str, profile: callgrind.Profile) -> None:
    """Where the instructions of one request go."""
    print(f"\n== {title}: {profile.total:,.0f} instructions a request")
    print("   " + ", ".join(f"{name} {cost:,.0f}" for name, cost in profile.objects.most_common() if cost >= 1))
    for name, cost in profile.functions.most_common(SHOWN):
        print(f"{cost:>9,.0f} {cost / profile.total:>6.1%}  {name[:120]}")


def compare(title: str, kind: str, now: float, then: float | None) -> bool:
    """Prints one line. Returns whether there are more instructions than on record."""
    change = f"{now / then - 1:>+8.2%}" if then else " (new)"
    recorded = f"{then:>10,.0f}" if then else " " * 10
    print(f"{title:<14}{kind:<12}{recorded}{now:>10,.0f}{change}")
    return bool(then) and now > then * (1 + TOLERANCE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"separated by commas, from {', '.join(KINDS)}")
    parser.add_argument("--memory-only", action="store_true", help="leave out the counts over sockets")
    parser.add_argument("--where", action="store_true", help=f"show the {SHOWN} functions that take most")
    parser.add_argument("--record", action="store_true", help="put the counts on record")
    given = parser.parse_args()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    used = tools()
    same = record.get("counted with") == used
    print(f"\n{'':<14}{'request':<12}{'on record':>10}{'now':>10}  change", flush=True)
    worse, profiles = False, {}
    counts = {"in memory": in_memory} if given.memory_only else {"in memory": in_memory, "over sockets": over_sockets}
    for title, count in counts.items():
        for kind in given.kinds.split(","):
            profile = profiles[title, kind] = count(kind)
            grown = compare(title, kind, profile.total, record.get(title, {}).get(kind))
            worse |= grown and title == "in memory"
            sys.stdout.flush()
    if given.where:
        for (title, kind), profile in profiles.items():
            show_where(f"{kind} {title}", profile)
    if given.record:
        for (title, kind), profile in profiles.items():
            record.setdefault(title, {})[kind] = round(profile.total)
        record["counted with"] = used
        RECORD.write_text(json.dumps(record, indent=2) + "\n")
    elif not same:
        print(f"\nThe record was made with {record.get('counted with')}, this count with {used}: they do not compare.")
    elif worse:
        sys.exit(f"\nMore than {TOLERANCE:.0%} more than on record. If that is meant: make instructions ARGS=--record")


if __name__ == "__main__":
    main()
