"""What has a tree of processes used? CPU time and memory, from /proc."""

from __future__ import annotations

import os
import re
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """`pid` and all its descendants."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except OSError:
            pass  # it has ended meanwhile
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of one process, threads that have ended included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def tree_cpu_seconds(pid: int) -> float:
    return sum(map(cpu_seconds, tree(pid)))


def memory(pid: int, kind: str = "Rss") -> float:
    """MiB of one process: `Rss` with what it shares with others, `Pss` with its part of that."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"^{kind}:\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def worker_and_others(pid: int) -> tuple[int, list[int]]:
    """The process of the tree that has worked most, and the rest."""
    pids = tree(pid)
    worker = max(pids, key=cpu_seconds)
    return worker, [other for other in pids if other != worker]
