"""Does docs/security.md name only streams and tests that exist, and every refusal and advisory that the code knows?"""

import re

import pytest
from server import REPOSITORY

PAGE = (REPOSITORY / "docs" / "security.md").read_text()
WIRE = REPOSITORY / "funicorn-http" / "tests" / "wire"
SOURCES = [
    path
    for folder in ("funicorn-http", "funicorn-net", "funicorn-wsgi", "funicorn-cli", "tests")
    for path in (REPOSITORY / folder).rglob("*")
    if path.suffix in (".rs", ".py")
]
ADVISORY = r"CVE-\d{4}-\d+"


def section(title, level="##"):
    """What stands under a heading, up to the next one of its level."""
    return PAGE.split(f"\n{level} {title}\n")[1].split(f"\n{level} ")[0]


def rows(text):
    """The rows of the tables in `text`, each as its cells, without the heads of the tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    is_head = [not line.strip("| -") or not following.strip("| -") for line, following in zip(lines, lines[1:] + ["|x"])]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line, head in zip(lines, is_head) if not head]


def test_every_stream_exists():
    named = re.findall(r"`([\w-]+)\.http`", PAGE)
    assert len(named) > 100
    assert [name for name in named if not (WIRE / f"{name}.http").is_file()] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(\w+\.(?:rs|py)::\w+)`", PAGE))))
def test_every_test_exists(name):
    file, function = name.split("::")
    texts = [path.read_text() for path in SOURCES if path.name == file]
    assert any(re.search(rf"\b(fn|def) {function}\(", text) for text in texts)


def test_every_file_exists():
    files = {path.name for path in SOURCES}
    assert {name for name in re.findall(r"`(?:[\w/]+/)?(\w+\.(?:rs|py))`", PAGE)} <= files


def test_every_advisory_row_names_a_test():
    found = rows(section("Advisories of our peers"))
    assert len(found) > 30
    assert [row for row in found if not re.search(r"`[\w-]+\.http`|`\w+\.(rs|py)::\w+`", row[2])] == []


def test_every_advisory_that_a_stream_cites_is_on_the_page():
    cited = {advisory for path in WIRE.glob("*.http") for advisory in re.findall(ADVISORY, path.read_text())}
    assert cited - set(re.findall(ADVISORY, PAGE)) == set()


def test_every_refusal_is_listed_with_its_status():
    source = (REPOSITORY / "funicorn-http" / "src" / "refusal.rs").read_text()
    texts = dict(re.findall(r'#\[error\("([^"]+)"\)\]\s+(\w+),', source))
    groups = re.findall(r"((?:(?:\|\s*)?Self::\w+\s*)+)=>\s*\{?\s*\((\d{3}),", source)
    statuses = {variant: status for group, status in groups for variant in re.findall(r"Self::(\w+)", group)}
    assert set(texts.values()) == set(statuses)
    listed = {row[0]: row[1] for row in rows(section("What is refused"))}
    assert {text: listed.get(text) for text in texts} == {text: statuses[variant] for text, variant in texts.items()}
