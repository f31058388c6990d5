"""Line hashes: all lines of a set are known and others are not; each takes four bytes, stored in order."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import ModelFileError
from charlm.text.line_hashes import LineHashes, line_hash

LINE = st.text(st.characters(exclude_characters="\n"))


def known(*lines):
    return LineHashes(np.array([line_hash(line) for line in lines], np.uint64))


def first_digits(line):
    """Return the upper half of a line's hash as hexadecimal digits."""
    return hashlib.blake2b(line.encode(), digest_size=8).hexdigest()[:8]


@settings(deadline=None)
@given(lines=st.lists(LINE, min_size=1))
def test_every_line_is_known(lines):
    assert known(*lines).contains(lines).tolist() == [True] * len(lines)
    assert all(line in known(*lines) for line in lines)


@settings(deadline=None)
@given(lines=st.sets(LINE), others=st.sets(LINE))
def test_other_lines_are_novel(lines, others):
    assert not known(*lines).contains(others - lines).any()


def test_only_the_learned_of_ten_thousand_lines_are_known():
    lines = [f"line {number}" for number in range(10_000)]
    assert known(*lines[::3]).contains(lines).tolist() == [number % 3 == 0 for number in range(10_000)]


@pytest.mark.parametrize("line", ["", " ", "\0", "a", "A", "a ", "\ufeffa", "e\u0301", "\u00e9", "\ud800"], ids=ascii)
def test_similar_lines_are_different(line):
    others = {"", " ", "\0", "a", "A", "a ", "\ufeffa", "e\u0301", "\u00e9", "\ud800"} - {line}
    assert line in known(line) and not known(line).contains(sorted(others)).any()


def test_an_empty_set_knows_no_line():
    empty = LineHashes(np.zeros(0, np.uint64))
    assert "a" not in empty and empty.contains(["", "a"]).tolist() == [False, False]
    assert known("a").contains([]).tolist() == empty.contains([]).tolist() == []


def test_a_line_is_stored_as_the_upper_half_of_its_hash():
    tensor = known("emma").tensor
    assert (tensor.dtype, tensor.shape) == (np.uint32, (1,))
    assert f"{tensor[0]:08x}" == first_digits("emma")


@settings(deadline=None)
@given(lines=st.lists(st.sampled_from(["emma", "olivia", "ava", "", "mia"])))
def test_order_and_repetition_do_not_change_the_tensor(lines):
    assert [f"{half:08x}" for half in known(*lines).tensor] == sorted(map(first_digits, set(lines)))


def test_a_line_takes_four_bytes():
    assert known(*map(str, range(5000))).tensor.nbytes == 4 * 5000


# The tensor of a model file


@settings(deadline=None)
@given(lines=st.lists(LINE))
def test_lines_are_known_after_reading_the_tensor(lines):
    again = LineHashes.from_tensor(known(*lines).tensor)
    assert again.contains(lines).all() and again.tensor.tolist() == known(*lines).tensor.tolist()


@pytest.mark.parametrize("halves", [[2, 1], [1, 1], [0, 2 ** 32 - 1, 2 ** 32 - 2], [5, 6, 6]], ids=str)
def test_hashes_out_of_order_are_refused(halves):
    with pytest.raises(ModelFileError, match="hashes of lines are not in order"):
        LineHashes.from_tensor(np.array(halves, np.uint32))


@pytest.mark.parametrize("halves", [[], [0], [2 ** 32 - 1], [0, 1, 2 ** 32 - 1]], ids=str)
def test_hashes_in_order_are_kept(halves):
    assert LineHashes.from_tensor(np.array(halves, np.uint32)).tensor.tolist() == halves
