"""Labels: numbered in order, weighted by their lines, found again by name, read back from JSON or refused."""

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
def test_labels_are_numbered_in_code_point_order_and_keep_their_counts(counts):
    labels = Labels.from_counts(Counter(counts))
    assert len(labels) == len(counts) and [ord(name[0]) for name in labels.names] == sorted(ord(name[0]) for name in counts)
    assert all(labels.counts[labels.index(name)] == count for name, count in counts.items())
    assert sorted(map(labels.index, counts)) == list(range(len(counts)))


@settings(deadline=None)
@given(counts=COUNTS)
def test_labels_read_back_from_json_are_the_same(counts):
    labels = Labels.from_counts(Counter(counts))
    assert Labels.from_json(labels.to_json()) == labels


# What there is instead of an unknown label


@pytest.mark.parametrize("name, near", [("irish", "Irish"), ("Irsh", "Irish"), ("SCOTISH", "Scottish"), ("Italien", "Italian")])
def test_nearest_label_is_named_whatever_its_case(name, near):
    labels = labels_of(Irish=5, Italian=9, Scottish=2, Vietnamese=3)
    with pytest.raises(UsageError) as caught:
        labels.index(name)
    assert f"no label {name!r}; did you mean {near}" in str(caught.value) and "Vietnamese" not in str(caught.value)


def test_without_a_near_one_some_labels_are_named_and_the_rest_counted():
    labels = labels_of(Irish=5, Italian=9, Korean=1, Scottish=2, Thai=3)
    with pytest.raises(UsageError, match="no label '12345'; there are Irish, Italian, Korean and 2 more$"):
        labels.index("12345")
    with pytest.raises(UsageError, match="there are Irish, Thai$"):
        labels_of(Thai=3, Irish=5).index("12345")


def test_of_many_near_labels_three_are_named():
    with pytest.raises(UsageError) as caught:
        labels_of(**{f"class{number}": 1 for number in range(9)}).index("class")
    assert str(caught.value).count("class") == 4


# How frequent they are


def test_prior_is_each_labels_share_of_the_lines():
    labels = labels_of(b=1, a=6, c=1)
    assert labels.log_prior() == pytest.approx([math.log(3 / 4), math.log(1 / 8), math.log(1 / 8)], abs=1e-12)
    assert labels.log_prior(uniform=True) == pytest.approx([math.log(1 / 3)] * 3, abs=1e-12)


def test_a_single_label_is_certain():
    assert labels_of(only=7).log_prior().tolist() == labels_of(only=7).log_prior(uniform=True).tolist() == [0.0]


@settings(deadline=None)
@given(counts=COUNTS, uniform=st.booleans())
def test_priors_of_all_labels_sum_to_one(counts, uniform):
    prior = Labels.from_counts(Counter(counts)).log_prior(uniform=uniform)
    assert prior.dtype == np.float64 and np.exp(prior).sum() == pytest.approx(1)


# Too many, too long


def test_labels_that_are_nearly_as_many_as_lines_are_refused_with_what_to_do():
    assert len(labels_of(**{f"l{number}": 1 for number in range(MAX_LABELS)})) == MAX_LABELS
    with pytest.raises(CorpusError, match=f"{MAX_LABELS + 1} different labels.*--pairs"):
        labels_of(**{f"l{number}": 1 for number in range(MAX_LABELS + 1)})


@pytest.mark.parametrize("letter, long", [("a", 220), ("\u4e00", 31), ("\U0001f680", 15), ("\\", 55)], ids=ascii)
def test_labels_that_a_model_file_cannot_hold_are_refused_before_anything_is_learned(letter, long):
    names = [f"{number:04}" + letter * long for number in range(MAX_LABELS)]
    with pytest.raises(CorpusError, match="too long for a model file; --pairs"):
        Labels.from_counts(Counter(names))
    assert Labels.from_counts(Counter(name[:4 + long * 3 // 4] for name in names))


# Read from a file


@pytest.mark.parametrize("values", [
    None, 5, True, "ab", {}, {"a": 1}, [], [[]], ["a"], [["a"]], [["a", 1, 1]], [("a", 1)], [["a", 1], None], [["", 1]],
    [[None, 1]], [[5, 1]], [["a", 0]], [["a", -1]], [["a", 1.0]], [["a", True]], [["a", "1"]], [["a", None]], [["a", 2 ** 53]],
    [["a\tb", 1]], [["a\nb", 1]], [["\ud800", 1]], [["b", 1], ["a", 1]], [["a", 1], ["a", 1]],
    [[f"{number:05}", 1] for number in range(MAX_LABELS + 1)]], ids=lambda values: ascii(values)[:30])
def test_what_is_not_labels_in_order_is_refused(values):
    with pytest.raises(ModelFileError, match="its labels are not"):
        Labels.from_json(values)
