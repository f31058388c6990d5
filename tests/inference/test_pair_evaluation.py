"""Metrics of pairs against worked examples, and edit distance against its definition."""

import functools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.inference.evaluation import edit_distance, evaluate_pairs
from charlm.inference.pair_scoring import SOURCES_AT_ONCE
from charlm.inference.translation import Translation


class FixedTranslator:
    """A translator that answers from a table and records its calls."""

    def __init__(self, answers):
        self._answers = answers
        self.sources, self.beams = [], set()

    def translate(self, sources, *, beam):
        self.sources += sources
        self.beams.add(beam)
        return [[Translation(self._answers[source], -1.0, -1.0, True), Translation("no", -2.0, -2.0, True)]
                for source in sources]

    def nats(self, sources, targets):
        assert len(sources) == len(targets)
        return 2.0 * len(targets), sum(map(len, targets)) + len(targets)


def recursive_distance(one, other):
    """Return the distance by the recursive definition (Levenshtein 1966)."""
    @functools.cache
    def distance(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))

    return distance(one, other)


words = st.text("abc\U0001d11e", max_size=8)


@given(words, words)
def test_edit_distance_equals_its_definition(one, other):
    assert edit_distance(one, other) == recursive_distance(one, other) == edit_distance(other, one)


@pytest.mark.parametrize("one, other, edits", [
    ("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("abc", "axc", 1), ("abc", "bc", 1),
    ("flaw", "lawn", 2), ("saturday", "sunday", 3), ("a" * 50, "b" * 70, 70)])
def test_edit_distance_of_known_words(one, other, edits):
    assert edit_distance(one, other) == edits


def test_metrics_equal_a_worked_example():
    # "right" for a, one edit of two for b, two of four for c, everything of one for d.
    translator = FixedTranslator({"a": "xyz", "b": "pp", "c": "rsXX", "d": ""})
    metrics = evaluate_pairs(translator, [("a", "xyz"), ("b", "pq"), ("c", "rstu"), ("d", "e")], beam=3)
    assert metrics.word_error_rate == 3 / 4
    assert metrics.character_error_rate == (0 + 1 + 2 + 1) / (3 + 2 + 4 + 1)
    assert (metrics.sources, metrics.tokens, metrics.characters) == (4, 14, 10)
    assert metrics.nats_per_token == 8 / 14
    assert metrics.bits_per_character == pytest.approx(8 / math.log(2) / 10)
    assert translator.beams == {3}


def test_any_target_of_a_source_is_correct():
    pairs = [("a", "wrong"), ("a", "xyz"), ("a", "also"), ("b", "pq"), ("b", "pqrs")]
    metrics = evaluate_pairs(FixedTranslator({"a": "xyz", "b": "pqr"}), pairs, beam=1)
    assert metrics.word_error_rate == 1 / 2 and metrics.sources == 2
    # pqr is one edit from both; the shorter is the reference.
    assert metrics.character_error_rate == (0 + 1) / (3 + 2)
    assert metrics.characters == sum(len(target) for _, target in pairs) and metrics.nats_per_token == 10 / 23


def test_repeated_pair_is_one_source():
    once, twice = (evaluate_pairs(FixedTranslator({"a": "y", "b": "q"}), pairs, beam=1)
                   for pairs in ([("a", "x"), ("b", "q")], [("a", "x"), ("b", "q"), ("a", "x")]))
    assert once.word_error_rate == twice.word_error_rate == 1 / 2
    assert once.character_error_rate == twice.character_error_rate == 1 / 2


def test_every_source_is_translated_once_and_compared_with_its_targets():
    sources = ["s" * size for size in range(1, 2 * SOURCES_AT_ONCE + 10)]
    translator = FixedTranslator({source: f"t{len(source)}" for source in sources})
    pairs = [(source, f"t{len(source)}") for source in reversed(sources)]
    assert evaluate_pairs(translator, pairs, beam=1).word_error_rate == 0
    assert sorted(translator.sources) == sorted(sources)
    assert evaluate_pairs(translator, [*pairs, ("s", "u")], beam=1).word_error_rate == 0


def test_empty_targets_have_error_rates():
    metrics = evaluate_pairs(FixedTranslator({"a": ""}), [("a", "")], beam=1)
    assert metrics.word_error_rate == metrics.character_error_rate == 0
    assert evaluate_pairs(FixedTranslator({"a": "xx"}), [("a", "")], beam=1).character_error_rate == 2


def test_interrupted_evaluation_returns_none():
    sources = ["s" * size for size in range(1, 3 * SOURCES_AT_ONCE)]
    translator = FixedTranslator(dict.fromkeys(sources, "t"))
    calls, pairs = iter([False, True]), [(source, "t") for source in sources]
    assert evaluate_pairs(translator, pairs, beam=1, interrupted=lambda: next(calls)) is None
    assert len(translator.sources) == SOURCES_AT_ONCE
