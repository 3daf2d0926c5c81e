"""How many instructions does a program execute, and in which functions? callgrind counts them; here its files are read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

VALGRIND = ["valgrind", "--tool=callgrind", "--quiet"]

NAMED = re.compile(r"c?(fn|ob)=\((\d+)\)(?: (.*))?")


class Profile:
    """The instructions of one run or the difference of two, by function and by object file."""

    def __init__(self, functions: Counter, objects: Counter) -> None:
        self.functions, self.objects = functions, objects

    @property
    def total(self) -> float:
        return sum(self.objects.values())

    def per_request(self, shorter: Profile, requests: int) -> Profile:
        """What each of the `requests` cost by which this run is longer than `shorter`: starting and ending cancel out."""

        def difference(long: Counter, short: Counter) -> Counter:
            names = {*long, *short}
            return Counter({name: (long[name] - short[name]) / requests for name in names if long[name] != short[name]})

        return Profile(difference(self.functions, shorter.functions), difference(self.objects, shorter.objects))


def read(path: Path) -> Profile:
    """Reads a callgrind file: each function's own cost, without that of what it calls.

    Names are written once and then stand as numbers; a `calls=` line is followed by a line with the cost of the callee.
    """
    names: dict[tuple[str, str], str] = {}
    function, place = "?", "?"
    functions, objects = Counter(), Counter()
    skip = False
    for line in path.read_text().splitlines():
        if line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            if not skip:
                cost = int(line.split()[1])
                functions[function] += cost
                objects[place] += cost
            skip = False
        elif line.startswith("calls="):
            skip = True
        elif (found := NAMED.match(line)) is not None:
            kind, number, name = found.groups()
            if name is not None:
                names[kind, number] = name
            if line.startswith("fn="):
                function = short(names[kind, number])
            elif line.startswith("ob="):
                place = Path(names[kind, number]).name
    return Profile(functions, objects)


def short(name: str) -> str:
    """A function's name without what makes one instance differ from another: recursion levels, hashes, clones."""
    name = re.sub(r"'\d+$", "", name)
    name = re.sub(r"::h[0-9a-f]{16}$", "", name)
    return re.sub(r"\.(cold|part|constprop|isra|llvm)\.\d+", "", name)
