"""Copies of a corpus, exact and by what a model remembers, against a search by brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import ModelFileError, UsageError
from charlm.text import remembered
from charlm.text.copies import CorpusCopies
from charlm.text.remembered import LENGTH, Remembered, RememberedCopies, estimate_distinct, remembered_metadata
from charlm.text.rolling_hashes import chunk_hashes, hashes_within_lines, rolling_hashes

WORDS = "".join(f"{number * 7919 % 1009} ships and {number % 97} whales; " for number in range(300))


def longest_copy(corpus, text, start, length):
    """Return the length of the longest part of a text that is in the corpus and ends behind `start`; 0 if too short."""
    parts = [(begin, stop) for begin in range(len(text))
             for stop in range(max(begin + length, start + 1), len(text) + 1)]
    return max((stop - begin for begin, stop in parts if text[begin:stop] in corpus), default=0)


def cut(text, cuts):
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    return [text[start:stop] for start, stop in zip(places, places[1:], strict=False)]


def remember(text):
    return Remembered.of(lambda: chunk_hashes([text], LENGTH))


@given(st.text("ab\n", max_size=40), st.lists(st.integers(1, 40), max_size=4),
       st.lists(st.tuples(st.text("ab\n", max_size=15), st.integers(0, 9)), min_size=1, max_size=3), st.integers(1, 6))
def test_copies_are_as_long_as_those_of_brute_force(corpus, cuts, texts, length):
    found = CorpusCopies(lambda: cut(corpus, cuts), length).longest(texts)
    assert [len(copy) for copy in found] == [longest_copy(corpus, text, start, length) for text, start in texts]
    assert all(copy in text and copy in corpus for copy, (text, _) in zip(found, texts, strict=True))


def test_a_copy_may_begin_in_the_prompt_but_must_go_beyond_it():
    finder = CorpusCopies(lambda: ["over the sea to skye"], 5)
    assert finder.longest([("under the sea! to", 6), ("under the sea! to", 13), ("the sea to bed", 7)]) \
        == ["er the sea", "", "the sea to "]
    kept = RememberedCopies(remember("speed bonnie boat, over the sea to skye"), LENGTH)
    assert kept.longest([("-onnie boat, over the?", 5), ("-onnie boat, over the?", 21)]) == ["onnie boat, over the", ""]


def test_a_copy_is_found_wherever_the_corpus_is_cut():
    for at in range(1, 60):
        finder = CorpusCopies(lambda at=at: cut(WORDS, [at, at + 3]), 20)
        assert finder.longest([("x" + WORDS[5:50], 0)]) == [WORDS[5:50]]


def test_a_remembered_text_has_every_sequence_and_few_others():
    kept, other = remember(WORDS), "".join(reversed(WORDS))
    known = {WORDS[at:at + LENGTH] for at in range(len(WORDS) - LENGTH + 1)}
    assert kept.contains(rolling_hashes(WORDS, LENGTH)).all()
    others = [other[at:at + LENGTH] not in known for at in range(len(other) - LENGTH + 1)]
    assert sum(others) > 6000 and kept.contains(rolling_hashes(other, LENGTH))[others].mean() < 0.02
    assert 10 * len(known) <= 8 * kept.tensor.nbytes < 10.5 * len(known)


def test_remembered_copies_are_never_shorter_than_exact_ones():
    texts = [(WORDS[at:at + 40] + "!" + WORDS[2 * at:2 * at + 25], 0) for at in range(100, 1500, 50)]
    exact = CorpusCopies(lambda: [WORDS], 20).longest(texts)
    found = RememberedCopies(remember(WORDS), 20).longest(texts)
    assert all(one in other for one, other in zip(exact, found, strict=True)) and all(exact)
    assert sum(one == other for one, other in zip(exact, found, strict=True)) > 0.9 * len(texts)


@pytest.mark.parametrize("count", [0, 1, 65_535, 65_536, 300_000])
def test_the_number_of_different_sequences_is_estimated(count):
    values = np.random.default_rng(count).integers(0, 2 ** 64, count, np.uint64)
    assert estimate_distinct([values, values[::-1], values[:10]]) == pytest.approx(count, rel=0.02)


def test_sequences_of_lines_do_not_reach_over_their_ends():
    found = np.concatenate([*hashes_within_lines(["abcd\nefg\n", "\n\nhijk\n"], 3)])
    assert found.tolist() == np.concatenate([rolling_hashes(line, 3) for line in ("abcd", "efg", "hijk")]).tolist()


def test_a_filter_that_would_be_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(remembered, "MAX_BYTES", 100)
    with pytest.raises(UsageError, match="--remember would take .* --corpus"):
        remember(WORDS)


@pytest.mark.parametrize("change", [
    {"length": 15}, {"hashes": 4}, {"sequences": -1}, {"sequences": 1.0}, {"sequences": True}, {"length": 16.0},
    {"more": 1}])
def test_a_filter_of_another_kind_is_refused(change):
    good = {"length": 16, "hashes": 5, "sequences": 3}
    assert remembered_metadata(good) == good and remembered_metadata(None) is None
    for bad in (good | change, [], {"length": 16, "hashes": 5}):
        with pytest.raises(ModelFileError, match="not of a known kind"):
            remembered_metadata(bad)
