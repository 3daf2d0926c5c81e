"""Do docs/pep3333.md and the tests agree on which duties there are, and which are tested where?"""

import re
from pathlib import Path

from server import REPOSITORY

TABLE = (REPOSITORY / "docs" / "pep3333.md").read_text()


def duties_with_tests():
    """The duties that have a test, each with the files of its tests."""
    duties = {}
    for path in Path(__file__).parent.glob("test_pep3333_*.py"):
        for number in re.findall(r"^def test_(\d\d)_", path.read_text(), re.MULTILINE):
            duties.setdefault(int(number), set()).add(path.name)
    return duties


def test_every_duty_is_listed_once():
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", TABLE, re.MULTILINE)] == list(range(1, 57))


def test_every_duty_has_a_test_or_a_reason():
    untested = {int(number) for number in re.findall(r"^\| (\d+) \|.*\*Not tested:\*", TABLE, re.MULTILINE)}
    assert untested == set(range(1, 57)) - set(duties_with_tests())


def test_the_tests_of_a_section_are_in_the_files_that_it_names():
    for section in TABLE.split("\n## ")[1:]:
        files = set(re.findall(r"test_pep3333_\w+\.py", section))
        for number in re.findall(r"^\| (\d+) \|", section, re.MULTILINE):
            assert duties_with_tests().get(int(number), set()) <= files, number
