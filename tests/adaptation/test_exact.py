"""exp and log agree with the mathematical functions, and the sums that must be exact have room."""

import math

import numpy as np
import pytest

from charlm.adaptation import counts, mixing
from charlm.adaptation.exact import SCALE, exp, integer_weights, log, log_from_one, power, shares, softmax_weights
from charlm.adaptation.head import ERROR_SCALE, FINE_SCALE, STATE_SCALE, AdaptiveHead, quantise_states
from charlm.config import MAX_VOCABULARY, AdaptationSettings

GRID = np.concatenate([np.linspace(-690, 690, 4001), np.linspace(-1, 1, 2001), [0.0, -1e-300, 1e-17]])


def test_exp_is_that_of_libm_to_twelve_digits():
    expected = np.array([math.exp(x) for x in GRID])
    assert np.abs(exp(GRID) / expected - 1).max() < 1e-12
    assert exp(np.zeros(1))[0] == 1 and 0 < exp(np.array([-1e9]))[0] < 1e-300


def test_log_is_that_of_libm_to_twelve_digits():
    x = np.concatenate([np.exp(GRID), 1 + np.linspace(0, 1e-9, 50), [0.5 ** 0.5, 2 ** 0.5, 2.0 ** -1022]])
    expected = np.array([math.log(value) for value in x])
    assert np.abs(log(x) - expected).max() < 1e-12
    assert log(np.ones(1))[0] == 0


def test_tables_follow_the_functions_without_a_jump():
    x = np.concatenate([np.linspace(-44, 44, 100_001), np.linspace(-0.01, 0.01, 1001)])
    assert np.abs(power(x) / np.exp(x) - 1).max() < 5e-7
    assert (power(np.array([-1e9, 1e9])) == power(np.array([-44.0, 44.0]))).all()
    x = np.concatenate([np.exp(np.linspace(0, 31, 100_001)), 1 + np.linspace(0, 0.01, 1001)])
    assert np.abs(log_from_one(x) - np.log(x)).max() < 5e-7
    assert log_from_one(np.ones(1))[0] == 0 and 31 < log_from_one(np.array([1e300]))[0] <= mixing._MAX_FEATURE
    logits = np.random.default_rng(0).standard_normal((5, 300)) * 9
    expected = np.exp(logits - logits.max(axis=1, keepdims=True)) * SCALE
    weights = softmax_weights(logits.copy(), 1.0)
    assert weights.min() == 1 and (weights.max(axis=1) == SCALE + 1).all()
    assert np.abs(weights - expected - 1).max() <= 1 + 5e-7 * SCALE and (np.abs(weights / expected - 1) < 1e-6)[
        expected > 1e8].all()


def test_weights_are_positive_and_their_shares_sum_to_one():
    weights = integer_weights(np.array([[1e-300, 3.0, 1.0], [5.0, 5.0, 5.0]]))
    assert weights.min() == 1 and weights.max() == SCALE + 1
    assert np.abs(shares(weights).sum(axis=1) - 1).max() < 1e-15


@pytest.mark.parametrize("width", [1, 256, 4096, 65536])
@pytest.mark.parametrize("scale", [STATE_SCALE, FINE_SCALE])
def test_logits_are_exact_sums_at_any_width(width, scale):
    head = AdaptiveHead(np.full((2, width), 1e9, np.float32), np.full(2, -1e9, np.float32), AdaptationSettings(), scale)
    largest = np.abs(head._weights).max() * np.abs(quantise_states(np.full((1, 1), 1e9), scale)).max()
    assert largest * (width + 1) <= 2 ** 53
    assert np.array_equal(head._weights, np.rint(head._weights))


def test_all_other_sums_are_exact_for_4096_tokens_at_once():
    tokens, state = 4096, 64 * FINE_SCALE
    assert (SCALE + 1) * MAX_VOCABULARY < 2 ** 63                       # of a distribution, int64
    assert tokens * ERROR_SCALE * state <= 2 ** 53                      # of the head's gradient
    assert 2 * counts.ORDERS * mixing._MAX_FEATURE * mixing._MAX_WEIGHT * mixing._LOGIT_SCALE <= 2 ** 53
    assert counts.SLOTS * mixing._MAX_FEATURE * mixing._FEATURE_SCALE * mixing._SHARE_SCALE <= 2 ** 53
    assert counts.ORDERS * tokens * (mixing._MAX_FEATURE * mixing._GRADIENT_SCALE) ** 2 <= 2 ** 53
