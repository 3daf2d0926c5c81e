"""What does a process hold, and what has it spent? From /proc (proc(5)), so that the server need not help."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from server import Server, children, process_fields
from waiting import eventually


def worker(server: Server) -> int:
    """The process of the only worker, once there is one."""
    return eventually(lambda: children(server.pid), "a worker")[0]


def memory(pid: int) -> int:
    """Bytes of memory that this process alone has in use: what files are mapped does not count."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"/proc/{pid}/status says nothing of memory")


def descriptors(pid: int) -> int:
    """Open descriptors."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid: int) -> float:
    """Processor time, of all threads."""
    fields = process_fields(pid)
    assert fields is not None, f"process {pid} has gone"
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def scheduled_seconds(thread: str) -> float:
    """How long a thread (PID/task/TID) ran, or was ready to and waited for a processor. 0 where the kernel keeps no such account."""
    try:
        ran, waited, _ = Path(f"/proc/{thread}/schedstat").read_text().split()
    except OSError:
        return 0.0
    return (int(ran) + int(waited)) / 1e9


def spooled(pid: int) -> list[int]:
    """The sizes of the files without a name that it has open."""
    sizes = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{fd}"
        try:
            target, size = os.readlink(path), os.stat(path).st_size
        except OSError:
            continue  # closed meanwhile
        if "(deleted)" in target and "memfd" not in target:
            sizes.append(size)
    return sizes


def page_faults(pid: int) -> int:
    """How often it has touched memory that the kernel had to find first, without a disk."""
    fields = process_fields(pid)
    assert fields is not None, f"process {pid} has gone"
    return int(fields[7])


def raise_descriptor_limit() -> int:
    """Lets this process, and the servers it starts, have as many descriptors as they may. Returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
