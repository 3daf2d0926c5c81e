"""Does docs/performance.md name only files and words that exist, and have a place for everything that `make bench` writes?"""

import re

import pytest
from server import REPOSITORY

PAGE = (REPOSITORY / "docs" / "performance.md").read_text()
REPORT = (REPOSITORY / "bench" / "report.py").read_text()
SOURCES = [path for crate in ("http", "net", "wsgi", "cli") for path in (REPOSITORY / f"funicorn-{crate}" / "src").rglob("*.rs")]


def tricks():
    """The rows of the table of what makes it fast, each as its cells."""
    section = PAGE.split("\n## What makes it fast\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def sources(name):
    """The source files that the page may mean by `name`, which can begin with folders."""
    return [path for path in SOURCES if f"/{path.as_posix()}".endswith(f"/{name}")]


@pytest.mark.parametrize("trick", tricks(), ids=lambda trick: trick[0])
def test_every_trick_is_where_the_page_says(trick):
    what, where, gain = trick
    assert gain, "a trick without a figure or a reason"
    places = re.findall(r"`([\w/]+\.rs)`((?: of the adapter)?)(?: \(`(\w+)`\))?", where)
    assert places
    for name, _, word in places:
        files = sources(name)
        assert files, name
        assert not word or any(re.search(rf"\b{word}\b", path.read_text()) for path in files), f"{word} in {name}"


def test_there_is_a_place_for_each_table():
    places = re.findall(r"<!-- ([\w-]+) -->\n.*?<!-- end -->", PAGE, re.DOTALL)
    written = set(re.findall(r'put\(text, "([\w-]+)"', REPORT))
    scenarios = re.search(r"for name in \(([^)]*)\):\n\s+if name in results:\n\s+text = put", REPORT)[1]
    assert sorted(places) == sorted(written | set(re.findall(r'"([\w-]+)"', scenarios)))


def test_every_target_is_in_the_makefile():
    makefile = (REPOSITORY / "Makefile").read_text()
    named = set(re.findall(r"`make (\w+)", PAGE))
    assert named
    assert {target for target in named if not re.search(rf"^(?:\w+ )*{target}(?: \w+)*:", makefile, re.MULTILINE)} == set()
