"""Labels: ordered, weighted by their lines, found by name, and read back from JSON or refused."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, ModelFileError, UsageError
from charlm.text.labels import MAX_LABELS, Labels

NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n"), min_size=1)
COUNTS = st.dictionaries(NAME, st.integers(1, 2 ** 53 - 1), min_size=1)


def labels_of(**counts):
    return Labels.from_counts(Counter(counts))


@settings(deadline=None)
@given(counts=COUNTS)
def test_labels_are_in_code_point_order_and_keep_their_counts(counts):
    labels = Labels.from_counts(Counter(counts))
    assert len(labels) == len(counts)
    assert [ord(name[0]) for name in labels.names] == sorted(ord(name[0]) for name in counts)
    assert all(labels.counts[labels.index(name)] == count for name, count in counts.items())
    assert sorted(map(labels.index, counts)) == list(range(len(counts)))


@settings(deadline=None)
@given(counts=COUNTS)
def test_labels_survive_json(counts):
    labels = Labels.from_counts(Counter(counts))
    assert Labels.from_json(labels.to_json()) == labels


# Unknown labels


@pytest.mark.parametrize("name, similar", [("irish", "Irish"), ("Irsh", "Irish"), ("SCOTISH", "Scottish"),
                                           ("Italien", "Italian")])
def test_a_misspelled_label_is_corrected_in_any_case(name, similar):
    labels = labels_of(Irish=5, Italian=9, Scottish=2, Vietnamese=3)
    with pytest.raises(UsageError) as caught:
        labels.index(name)
    assert f"no label {name!r}; did you mean {similar}" in str(caught.value) and "Vietnamese" not in str(caught.value)


def test_without_a_similar_label_some_are_named_and_the_rest_counted():
    labels = labels_of(Irish=5, Italian=9, Korean=1, Scottish=2, Thai=3)
    with pytest.raises(UsageError, match="no label '12345'; there are Irish, Italian, Korean and 2 more$"):
        labels.index("12345")
    with pytest.raises(UsageError, match="there are Irish, Thai$"):
        labels_of(Thai=3, Irish=5).index("12345")


def test_at_most_three_similar_labels_are_named():
    with pytest.raises(UsageError) as caught:
        labels_of(**{f"class{number}": 1 for number in range(9)}).index("class")
    assert str(caught.value).count("class") == 4


# Frequencies


def test_the_prior_is_the_share_of_lines():
    labels = labels_of(b=1, a=6, c=1)
    assert labels.log_prior() == pytest.approx([math.log(3 / 4), math.log(1 / 8), math.log(1 / 8)], abs=1e-12)
    assert labels.log_prior(uniform=True) == pytest.approx([math.log(1 / 3)] * 3, abs=1e-12)


def test_a_single_label_has_probability_one():
    assert labels_of(only=7).log_prior().tolist() == labels_of(only=7).log_prior(uniform=True).tolist() == [0.0]


@settings(deadline=None)
@given(counts=COUNTS, uniform=st.booleans())
def test_priors_of_all_labels_sum_to_one(counts, uniform):
    prior = Labels.from_counts(Counter(counts)).log_prior(uniform=uniform)
    assert prior.dtype == np.float64 and np.exp(prior).sum() == pytest.approx(1)


# Limits


def test_too_many_labels_are_refused_with_advice():
    assert len(labels_of(**{f"l{number}": 1 for number in range(MAX_LABELS)})) == MAX_LABELS
    with pytest.raises(CorpusError, match=f"{MAX_LABELS + 1} different labels.*--pairs"):
        labels_of(**{f"l{number}": 1 for number in range(MAX_LABELS + 1)})


@pytest.mark.parametrize("letter, length", [("a", 220), ("\u4e00", 31), ("\U0001f680", 15), ("\\", 55)], ids=ascii)
def test_labels_too_long_for_a_model_file_are_refused(letter, length):
    names = [f"{number:04}" + letter * length for number in range(MAX_LABELS)]
    with pytest.raises(CorpusError, match="too long for a model file; --pairs"):
        Labels.from_counts(Counter(names))
    assert Labels.from_counts(Counter(name[:4 + length * 3 // 4] for name in names))


# JSON


@pytest.mark.parametrize("values", [
    None, 5, True, "ab", {}, {"a": 1}, [], [[]], ["a"], [["a"]], [["a", 1, 1]], [("a", 1)], [["a", 1], None], [["", 1]],
    [[None, 1]], [[5, 1]], [["a", 0]], [["a", -1]], [["a", 1.0]], [["a", True]], [["a", "1"]], [["a", None]],
    [["a", 2 ** 53]], [["a\tb", 1]], [["a\nb", 1]], [["\ud800", 1]], [["b", 1], ["a", 1]], [["a", 1], ["a", 1]],
    [[f"{number:05}", 1] for number in range(MAX_LABELS + 1)]], ids=lambda values: ascii(values)[:30])
def test_json_other_than_labels_in_order_is_refused(values):
    with pytest.raises(ModelFileError, match="its labels are not"):
        Labels.from_json(values)
