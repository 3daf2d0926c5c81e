#!/usr/bin/env python3
"""Measures Funicorn, its peers and the kernel's own cost on the same work. `make bench` runs it (scripts/bench says how).

Every server runs one worker process on CPU 0 and the load generator (wrk) runs on CPU 1. The servers take turns, round after
round, so that a drift of the machine's speed hits all of them alike. CPU time per request, of the whole process tree, is
the figure that noise moves least; what is said is the median of the rounds, with the least and the greatest of them.

`limit` is limit.c: what the kernel costs, without Python and without looking at requests. Compare within one run only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

import report
import scenarios
from load import Figures, Load, measure
from servers import HERE, SERVERS, NotServing, serving
from turns import in_turns

ALL = ("limit", "funicorn", "bjoern", "fastwsgi", "granian", "uwsgi", "waitress", "cheroot", "gunicorn-gthread")
KERNEL_CANNOT = ALL[1:]


@dataclass(frozen=True)
class Workload:
    app: str
    load: Load
    servers: tuple[str, ...] = ALL
    threads: int = 4
    body: int = 13


WORKLOADS = {
    "hello": Workload("hello", Load()),
    "browser": Workload("hello", Load(options=("-s", "browser.lua"))),
    "browsing": Workload("hello", Load(options=("-s", "browsing.lua"))),
    "post1k": Workload("echo", Load(options=("-s", "post.lua"))),
    "hello1": Workload("hello", Load(connections=1)),
    "close": Workload("hello", Load(32, ("-s", "close.lua")), KERNEL_CANNOT),
    "big1m": Workload("big", Load(16), body=1 << 20),
    "stream100": Workload("stream", Load(32), KERNEL_CANNOT),
    "flask": Workload("flask_app", Load(), (*KERNEL_CANNOT, "granian-threads"), threads=32),
    "threads32": Workload("hello", Load(), ("funicorn", "funicorn-threads", "granian-threads", "gunicorn-gthread"), 32),
    "sleep10ms": Workload(
        "sleep10ms",
        Load(),
        ("funicorn-threads", "granian-threads", "waitress", "cheroot", "gunicorn-gthread"),
        threads=64,
    ),
}


def summary(rounds: list[Figures]) -> dict[str, list[float]]:
    """Median, least and greatest of each figure."""
    columns = {field.name: [getattr(figures, field.name) for figures in rounds] for field in fields(Figures)}
    return {name: [statistics.median(column), min(column), max(column)] for name, column in columns.items()}


def compare(name: str, servers: list[str], seconds: float, rounds: int, deadline: float) -> dict:
    """All rounds of one workload: per server a summary, or the words of its failure."""
    workload = WORKLOADS[name]

    def measured(server: str) -> Figures:
        with serving(server, workload.app, threads=workload.threads, body=workload.body) as running:
            figures = measure(running, workload.load, seconds)
        if not figures.requests:
            raise NotServing("answered nothing")
        return figures

    return in_turns(servers, rounds, deadline, measured, summary)


def show(name: str, results: dict) -> None:
    print(f"\n== {name}\n{'server':<18}{'CPU us':>9}{'least':>9}{'most':>9}{'req/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}")
    for server, result in results.items():
        if isinstance(result, str):
            print(f"{server:<18}  {result}")
            continue
        cpu, requests, p50, p99, errors = (result[key] for key in ("cpu", "requests", "p50", "p99", "errors"))
        print(
            f"{server:<18}{cpu[0]:>9.2f}{cpu[1]:>9.2f}{cpu[2]:>9.2f}{requests[0]:>10.0f}"
            f"{p50[0]:>9.3f}{p99[0]:>9.2f}{errors[2]:>8.0f}"
        )
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", default=",".join([*WORKLOADS, *scenarios.SCENARIOS]), help="separated by commas")
    parser.add_argument("--servers", help=f"separated by commas, from {', '.join(SERVERS)}; default: those of each workload")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (default 3)")
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--minutes", type=float, default=60, help="stop measuring after so many (default 60)")
    parser.add_argument("--write", action="store_true", help="put tables and plots into docs/performance.md")
    given = parser.parse_args()
    unknown = [name for name in given.workloads.split(",") if name not in {**WORKLOADS, **scenarios.SCENARIOS}]
    unknown += [name for name in (given.servers or "limit").split(",") if name not in SERVERS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    return given


def main() -> None:
    given = arguments()
    deadline = time.monotonic() + given.minutes * 60
    kept = Path(os.environ["BENCH_RESULTS"])
    results = json.loads(kept.read_text()) if kept.exists() else {}
    for name in given.workloads.split(","):
        if time.monotonic() > deadline:
            print(f"\n== {name}\nno time left")
            continue
        if name in WORKLOADS:
            servers = given.servers.split(",") if given.servers else list(WORKLOADS[name].servers)
            results[name] = compare(name, servers, given.seconds, given.rounds, deadline)
            show(name, results[name])
        else:
            results[name] = scenarios.run(name, given, deadline)
        kept.write_text(json.dumps(results, indent=1))
    if given.write:
        report.write(results, HERE.parent / "docs", given.rounds, given.seconds)


if __name__ == "__main__":
    main()
