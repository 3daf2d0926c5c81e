"""How does a test wait for what another process does? By events; this is the one place that looks more than once."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Callable, TypeVar

Result = TypeVar("Result")

#: Seconds after which something that should have happened counts as missing. Long, since a test that passes never waits it out;
#: but less than the server's own deadlines (30 s and more), so that what only one of them brings about is missing too.
DEADLINE = 25.0


def eventually(condition: Callable[[], Result], what: str, within: float = DEADLINE) -> Result:
    """The first true value of `condition`. Fails with `what` when there is none within the deadline."""
    end = time.monotonic() + within
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {within:g} s: {what}")
        time.sleep(0.005)


class Gate:
    """A door that holds the application until the test opens it: a FIFO in the application's directory.

    The application stands before it with `open("gate").read()`, which returns once the test has opened the gate.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    def _writer(self) -> int | None:
        try:
            return os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nobody stands before the gate
                return None
            raise

    def open(self) -> None:
        """Waits until somebody stands before the gate and lets through all who do."""
        writer = eventually(lambda: self._writer(), f"somebody before the gate {self.path.name}")
        os.close(writer)

    def open_if_needed(self) -> None:
        """Lets through whoever stands before the gate, if anybody does."""
        writer = self._writer()
        if writer is not None:
            os.close(writer)
