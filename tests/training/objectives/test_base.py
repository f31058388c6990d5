"""The order of validation metrics."""

import itertools
import math

import pytest

from charlm.training.objectives.base import ValidationMetrics

BEST_FIRST = [ValidationMetrics(3.0, 9.0, 0.0), ValidationMetrics(4.0, 1.0, 0.0), ValidationMetrics(1.0, 1.0, 0.25),
              ValidationMetrics(2.0, 1.0, 0.25), ValidationMetrics(0.5, 0.5, 1.0)]


@pytest.mark.parametrize("better, worse", list(itertools.combinations(BEST_FIRST, 2)))
def test_fewer_errors_come_first_then_a_lower_loss(better, worse):
    assert better.is_better_than(worse) and not worse.is_better_than(better)


def test_without_errors_the_loss_alone_counts():
    better, worse = ValidationMetrics(1.0, 9.0), ValidationMetrics(2.0, 1.0)
    assert better.is_better_than(worse) and not worse.is_better_than(better)


@pytest.mark.parametrize("metrics", [ValidationMetrics(1.0, 1.0), ValidationMetrics(1.0, 1.0, 0.5)])
def test_metrics_are_better_than_none_but_not_better_than_themselves(metrics):
    assert not metrics.is_better_than(metrics)
    assert metrics.is_better_than(None)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
@pytest.mark.parametrize("other", [None, ValidationMetrics(1.0, 1.0), ValidationMetrics(9.0, 9.0, 1.0)])
def test_a_loss_that_is_not_finite_is_never_better(loss, other):
    metrics = ValidationMetrics(loss, loss, 0.0)
    assert not metrics.finite and not metrics.is_better_than(other)
