"""Lines too near to known ones, against the plain edit distance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.inference.evaluation import edit_distance
from charlm.text.line_distance import LineTable, nearer_than
from charlm.text.line_hashes import LineHashes, line_hash

WORDS = st.text("abé", max_size=7)


@given(st.lists(WORDS, max_size=6), st.lists(WORDS, min_size=1, max_size=4), st.integers(1, 5))
def test_a_line_is_near_if_its_edit_distance_is_smaller(known, lines, distance):
    expected = [any(edit_distance(line, other) < distance for other in known) for line in lines]
    assert LineTable(known).are_near(lines, distance) == expected
    if distance <= 2:
        hashes = LineHashes(np.array([line_hash(line) for line in known], np.uint64))
        assert nearer_than(distance, hashes, "abé")(lines) == expected


@pytest.mark.parametrize("distance, near", [(1, False), (2, False), (3, False), (4, True)])
def test_kitten_is_three_edits_from_sitting(distance, near):
    assert LineTable(["sitting", "x" * 50, ""]).are_near(["kitten"], distance) == [near]


@pytest.mark.parametrize("distance, near", [(120, False), (121, True), (1 << 20, True)])
def test_a_large_distance_needs_no_more_memory_than_the_lines(distance, near):
    assert LineTable(["b" * 120]).are_near(["a" * 100], distance) == [near]
