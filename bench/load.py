"""What does a server make of a load? wrk sends it, and /proc says what it cost."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from processes import tree_cpu_seconds
from servers import CLIENT_CPU, HERE, Server

WARM_UP = 1
UNITS = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}


@dataclass
class Figures:
    """One measurement, or the median of several."""

    requests: float  # a second
    cpu: float  # microseconds a request, of the whole process tree, user and system
    p50: float  # milliseconds
    p99: float
    errors: float  # connections refused or broken, timeouts, and answers other than 2xx and 3xx


def milliseconds(text: str) -> float:
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(value) * UNITS[unit]


@dataclass(frozen=True)
class Load:
    """What wrk does."""

    connections: int = 64
    options: tuple[str, ...] = ()
    script: tuple[str, ...] = ()  # arguments of the script that the options name
    path: str = ""


def wrk(server: Server, load: Load, seconds: float) -> str:
    """Runs wrk and gives what it prints."""
    command = ["taskset", "-c", CLIENT_CPU, "wrk", "-t", "1", "-c", str(load.connections), "-d", f"{seconds:g}s", "--latency"]
    command += [*load.options, server.url + load.path, "--", *load.script]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=seconds + 30).stdout


def measure(server: Server, load: Load, seconds: float) -> Figures:
    """Loads the server, after a warm-up."""
    wrk(server, load, WARM_UP)
    before = tree_cpu_seconds(server.pid)
    text = wrk(server, load, seconds)
    spent = tree_cpu_seconds(server.pid) - before
    count = int(re.search(r"(\d+) requests in", text)[1])
    broken = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", text)))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    latency = dict(re.findall(r"(50|99)%\s+(\S+)", text))
    return Figures(
        requests=float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        cpu=spent / count * 1e6 if count else float("nan"),
        p50=milliseconds(latency["50"]),
        p99=milliseconds(latency["99"]),
        errors=broken + (int(bad[1]) if bad else 0),
    )
