"""How are things measured side by side? They take turns, round after round, so that a drift of the machine hits all of them alike."""

from __future__ import annotations

import time
from typing import Callable, Iterable, TypeVar

from servers import NotServing

Name = TypeVar("Name")
Figures = TypeVar("Figures")
Summary = TypeVar("Summary")


def in_turns(
    names: Iterable[Name],
    rounds: int,
    deadline: float,
    measure: Callable[[Name], Figures],
    summarize: Callable[[list[Figures]], Summary],
) -> dict[Name, Summary | str]:
    """Measures each of `names` in each round, until `deadline`: per name a summary of its rounds, or why there are none.

    Who fails has no further rounds.
    """
    done: dict[Name, list[Figures]] = {name: [] for name in names}
    failed: dict[Name, str] = {}
    for _ in range(rounds):
        for name, figures in done.items():
            if name in failed or time.monotonic() > deadline:
                continue
            try:
                figures.append(measure(name))
            except NotServing as error:
                failed[name] = str(error)
            except (OSError, TypeError, KeyError) as error:
                failed[name] = f"could not be measured: {error!r}"
    return {
        name: summarize(figures) if figures else failed.get(name, "no time left") for name, figures in done.items()
    }
