"""Sparklines: a curve in one line of text."""

import math

from hypothesis import given
from hypothesis import strategies as st

from charlm.reports.curves import sparkline

BARS = "▁▂▃▄▅▆▇█"
finite = st.floats(-1e6, 1e6)


@given(st.lists(finite, min_size=1), st.integers(1, 50))
def test_sparkline_has_one_bar_per_value_up_to_its_width(values, width):
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert set(line) <= set(BARS)


@given(st.lists(finite, min_size=1), st.integers(1, 50))
def test_rising_values_give_rising_bars(values, width):
    line = sparkline(sorted(values), width)
    assert list(line) == sorted(line)


def test_minimum_is_the_lowest_bar_and_maximum_the_highest():
    assert sparkline([3, 1, 2, 9], 4)[1] + sparkline([3, 1, 2, 9], 4)[3] == "▁█"


def test_groups_are_averaged():
    assert sparkline([0, 10, 7, 7, 3, 7], 3) == sparkline([5, 7, 5], 3)


def test_values_that_are_not_finite_are_left_out():
    assert sparkline([1, math.nan, 2, math.inf, 3, -math.inf], 9) == sparkline([1, 2, 3], 9)


def test_equal_values_are_a_flat_line():
    assert len(set(sparkline([2.5] * 7, 7))) == 1


def test_sparkline_without_values_or_width_is_empty():
    assert sparkline([], 5) == sparkline([math.nan], 5) == sparkline([1], 0) == ""
