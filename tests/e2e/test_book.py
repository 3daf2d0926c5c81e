"""Are the traces that the book prints those of the command?"""

import re
from pathlib import Path

import pytest
from server import EXAMPLES, REPOSITORY
from waiting import eventually
from wire import request

LISTING = re.compile(r"<!-- trace of examples/(\w+)\.py: GET (\S+) -->\n```text\n(.*?)```", re.DOTALL)


def listings() -> list:
    """Every trace in the book: the example that is served, the target that is asked for, and the lines."""
    chapters = sorted((REPOSITORY / "docs" / "book").glob("*.md"))
    return [
        pytest.param(example, target, lines.splitlines(), id=f"{chapter.stem}-{example}")
        for chapter in chapters
        for example, target, lines in LISTING.findall(chapter.read_text())
    ]


def test_every_chapter_shows_a_trace():
    assert len(listings()) == 4


def without_port(line: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line)


def trace_of_a_request(serve, example: str, target: str, last: str) -> list[str]:
    """What the command traces for one request, when it has come to the line `last` and to the connection's end."""
    server = serve(None, "--log-level", "trace", "--pythonpath", str(EXAMPLES), spec=example)
    with server.connect() as connection:
        connection.send(request("GET", target))
        assert connection.response().status == 200

    def trace() -> list[str]:
        return [without_port(line) for line in re.findall(r"\[TRACE\] (.*)", server.stderr)]

    return eventually(lambda: {last, "funicorn::net: closed: seat 0"} <= set(trace()) and trace(), "the trace is whole")


@pytest.mark.parametrize("example, target, lines", listings())
def test_the_trace_is_as_the_book_prints_it(serve, example, target, lines):
    lines = [without_port(line) for line in lines]
    trace = trace_of_a_request(serve, example, target, lines[-1])
    # The book leaves out lines of layers that a chapter is not about, but changes neither the others nor their order.
    rest = iter(trace)
    for line in lines:
        assert line in rest, f"{line!r} is missing, or out of order, in\n" + "\n".join(trace)


def test_the_last_chapter_leaves_nothing_out(serve):
    example, target, lines = listings()[-1].values
    lines = [without_port(line) for line in lines]
    trace = trace_of_a_request(serve, example, target, lines[-1])
    # On a busy machine even this call may look long to the understudy.
    assert [line for line in trace if "promotion" not in line] == lines
