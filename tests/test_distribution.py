"""Distributions of bits per character: counted ones against NumPy's quantiles, kept ones, and damaged ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from charlm.distribution import BIN, MAX_RATE, QUANTILES, Distribution, Quantiles, parse_quantiles, quantiles_of
from charlm.errors import ModelFileError

RATES = arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, MAX_RATE - 1))


def counted(*batches):
    """Return the distribution of some batches of rates."""
    distribution = Distribution()
    for batch in batches:
        distribution.add(np.asarray(batch, np.float64))
    return distribution


@given(rates=RATES, share=st.floats(0, 1), cut=st.integers(0, 60))
def test_quantiles_are_those_of_numpy_to_half_a_bin(rates, share, cut):
    distribution = counted(rates[:cut], rates[cut:])
    assert abs(distribution.quantile(share) - np.quantile(rates, share)) <= BIN / 2 + 1e-9
    assert (distribution.quantile(0), distribution.quantile(1)) == (rates.min(), rates.max())
    assert distribution.mean == pytest.approx(rates.mean()) and distribution.count == len(rates)


def test_shares_are_those_of_the_lines_between_two_rates():
    distribution = counted([1, 1.5, 1.999, 2, 3, 500])
    assert [distribution.share(1, 2), distribution.share(2, 4)] == [3 / 6, 2 / 6]
    assert distribution.share(4, np.inf) == 1 / 6 and distribution.highest == 500


def test_nothing_has_neither_quantiles_nor_a_mean():
    assert np.isnan([counted().quantile(0.5), counted([]).mean]).all() and counted().share(0, np.inf) == 0


@given(rates=RATES)
def test_kept_quantiles_say_the_same_as_the_rates(rates):
    kept = Quantiles(parse_quantiles(list(quantiles_of(rates))))
    for share in (0, 0.25, 0.99, 1):
        assert kept.quantile(share) == pytest.approx(np.quantile(rates, share), abs=1e-4)
    assert kept.share(0, np.inf) == 1


def test_a_share_of_kept_quantiles_lies_between_those_it_knows():
    kept = Quantiles(quantiles_of(np.linspace(1, 3, 1001)))
    assert kept.share(1, 2) == pytest.approx(0.5, abs=0.001) and kept.share(1.5, 2.5) == pytest.approx(0.5, abs=0.001)
    assert kept.share(0, 1) == 0 and kept.share(3.5, 9) == 0


@pytest.mark.parametrize("values", [None, 5, {}, [1.0], [0.0] * 100, [0.0] * 102, [0] * QUANTILES, ["a"] * QUANTILES,
                                    [-1.0] + [0.0] * 100, [0.0] * 100 + [float("nan")], [0.0] * 100 + [float("inf")],
                                    [1.0] + [0.5] * 100], ids=repr)
def test_what_is_no_series_of_quantiles_is_refused(values):
    with pytest.raises(ModelFileError):
        parse_quantiles(values)


def test_no_lines_have_no_quantiles():
    assert quantiles_of(np.zeros(0)) == parse_quantiles([]) == ()
