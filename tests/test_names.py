"""Names of tests are claims that fit on a line."""

import re
from collections import Counter

from tests.helpers.source import ROOT, fail_if_any, python_files

MAX_LENGTH = 70
TESTS = {path.relative_to(ROOT): re.findall(r"^( *)def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
         for path in python_files("tests")}


def test_no_name_of_a_test_is_too_long():
    fail_if_any([f"{path}: {name} has {len(name)} characters" for path, names in TESTS.items() for _, name in names
                 if len(name) > MAX_LENGTH])


def test_no_two_tests_of_a_file_have_the_same_name():
    fail_if_any([f"{path}: {name} hides an earlier test" for path, names in TESTS.items()
                 for (indent, name), times in Counter(names).items() if not indent and times > 1])
    assert sum(map(len, TESTS.values())) > 1000
