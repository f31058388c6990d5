"""Which of two scores is the better one."""

import itertools
import math

import pytest

from charlm.training.objectives.base import ValidationMetrics

WORSE_AND_WORSE = [ValidationMetrics(3.0, 9.0, 0.0), ValidationMetrics(4.0, 1.0, 0.0), ValidationMetrics(1.0, 1.0, 0.25), ValidationMetrics(2.0, 1.0, 0.25), ValidationMetrics(0.5, 0.5, 1.0)]


@pytest.mark.parametrize("better, worse", list(itertools.combinations(WORSE_AND_WORSE, 2)))
def test_fewer_errors_come_first_then_a_lower_loss(better, worse):
    assert better.is_better_than(worse) and not worse.is_better_than(better)


def test_without_errors_the_loss_alone_counts():
    assert ValidationMetrics(1.0, 9.0).is_better_than(ValidationMetrics(2.0, 1.0)) and not ValidationMetrics(2.0, 1.0).is_better_than(ValidationMetrics(1.0, 9.0))


@pytest.mark.parametrize("score", [ValidationMetrics(1.0, 1.0), ValidationMetrics(1.0, 1.0, 0.5)])
def test_metrics_are_better_than_none_but_not_better_than_themselves(score):
    assert not score.is_better_than(score)
    assert score.is_better_than(None)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
@pytest.mark.parametrize("other", [None, ValidationMetrics(1.0, 1.0), ValidationMetrics(9.0, 9.0, 1.0)])
def test_a_loss_that_is_not_finite_is_never_better(loss, other):
    score = ValidationMetrics(loss, loss, 0.0)
    assert not score.finite and not score.is_better_than(other)
