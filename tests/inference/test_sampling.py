"""Sampling of one token: worked examples, frequencies, and tokens that are never sampled."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from charlm.config import SamplingConfig
from charlm.inference.sampling import Uniforms, sample_token

HIGHEST = 1 - 2.0 ** -53                # the largest number below one that a stream can yield


def logits_for(probabilities, rows=1):
    with np.errstate(divide="ignore"):
        return np.tile(np.log(np.array(probabilities, float)), (rows, 1)).astype(np.float32)


def shares(probabilities, *, recent=None, **options):
    """Return the share of [0, 1) that samples each token, measured on an even grid."""
    rows = 5040
    grid = (np.arange(rows) + 0.5) / rows
    seen = None if recent is None else np.tile(recent, (rows, 1))
    drawn = sample_token(logits_for(probabilities, rows), grid, SamplingConfig(**options), seen)
    return np.bincount(drawn, minlength=len(probabilities)) / rows


def equals(found, *expected):
    return np.allclose(found, [float(Fraction(share)) for share in expected], atol=1e-3)


def test_defaults_sample_from_the_distribution_of_the_model():
    assert equals(shares([0.1, 0.2, 0.3, 0.4]), "1/10", "2/10", "3/10", "4/10")


def test_temperature_raises_odds_to_its_inverse():
    assert equals(shares([1 / 2, 1 / 4, 1 / 4], temperature=0.5), "4/6", "1/6", "1/6")
    assert equals(shares([16 / 21, 4 / 21, 1 / 21], temperature=2), "4/7", "2/7", "1/7")


def test_top_k_keeps_the_k_likeliest():
    assert equals(shares([0.1, 0.2, 0.3, 0.4], top_k=2), 0, 0, "3/7", "4/7")
    assert equals(shares([0.1, 0.2, 0.3, 0.4], top_k=1), 0, 0, 0, 1)
    for more_than_there_are in (4, 5, 1 << 40):
        assert equals(shares([0.1, 0.2, 0.3, 0.4], top_k=more_than_there_are), ".1", ".2", ".3", ".4")


def test_top_p_keeps_the_smallest_set_that_holds_the_mass():
    skewed = [1 / 8, 1 / 2, 1 / 8, 1 / 4]
    assert equals(shares(skewed, top_p=0.4), 0, 1, 0, 0)
    assert equals(shares(skewed, top_p=0.7), 0, "2/3", 0, "1/3")
    assert equals(shares(skewed, top_p=0.8), "1/7", "4/7", 0, "2/7")
    assert equals(shares(skewed, top_p=0.9), "1/8", "1/2", "1/8", "1/4")
    assert equals(shares(skewed, top_p=0.0), 0, 1, 0, 0)


def test_min_p_drops_tokens_below_a_share_of_the_likeliest():
    skewed = [1 / 8, 1 / 2, 1 / 8, 1 / 4]
    assert equals(shares(skewed, min_p=0.3), 0, "2/3", 0, "1/3")
    assert equals(shares(skewed, min_p=0.2), "1/8", "1/2", "1/8", "1/4")
    assert equals(shares(skewed, min_p=1.0), 0, 1, 0, 0)


def test_temperature_comes_before_top_p():
    # Squared and normalised the first has 16/22, which holds 0.7 alone; unsquared it has half.
    assert equals(shares([1 / 2, 1 / 4, 1 / 8, 1 / 8], temperature=0.5, top_p=0.7), 1, 0, 0, 0)


def test_top_k_comes_before_top_p():
    # Of the two kept, the first has 4/7 and holds half; of all four it would need the second too.
    assert equals(shares([0.4, 0.3, 0.2, 0.1], top_k=2, top_p=0.5), 1, 0, 0, 0)


def test_temperature_comes_before_min_p():
    assert equals(shares([1 / 2, 1 / 4, 1 / 4], temperature=0.5, min_p=0.3), 1, 0, 0)


def test_repeat_penalty_divides_positive_and_multiplies_negative_logits():
    assert equals(shares([1 / 2, 1 / 2], repeat_penalty=2, recent=[0]), "1/3", "2/3")
    assert equals(shares([1 / 2, 1 / 2], repeat_penalty=2, recent=[0, 0, 0]), "1/3", "2/3")
    config = SamplingConfig(repeat_penalty=2)
    # Logits 2 ln 3 and 0 become ln 3 and 0: shares of 3/4 and 1/4.
    positive = np.float32([[2 * np.log(3), 0.0]])
    assert sample_token(positive, np.array([0.749]), config, np.array([[0]])) == [0]
    assert sample_token(positive, np.array([0.751]), config, np.array([[0]])) == [1]


def test_repeat_penalty_comes_before_temperature():
    assert equals(shares([1 / 2, 1 / 2], repeat_penalty=2, temperature=0.5, recent=[0]), "1/5", "4/5")


@pytest.mark.parametrize("offset", [-50.0, 0.0, 50.0])
def test_repeat_penalty_lowers_logits_of_either_sign(offset):
    logits = logits_for([0.6, 0.4]) + np.float32(offset)
    config = SamplingConfig(temperature=0, repeat_penalty=3)
    assert sample_token(logits, np.zeros(1), config, np.array([[0]])) == [1]
    assert sample_token(logits, np.zeros(1), config, np.array([[1]])) == [0]


def test_repeat_penalty_applies_to_the_past_of_each_row():
    drawn = sample_token(logits_for([0.5, 0.5], 2), np.full(2, 0.5), SamplingConfig(temperature=0, repeat_penalty=2),
                   np.array([[0], [1]]))
    assert drawn.tolist() == [1, 0]


def test_repeat_penalty_without_a_past_has_no_effect():
    config = SamplingConfig(temperature=0, repeat_penalty=9)
    assert sample_token(logits_for([0.3, 0.7]), np.zeros(1), config, np.zeros((1, 0), int)) == [1]


@pytest.mark.parametrize("uniform", [0.0, 0.5, HIGHEST])
def test_temperature_zero_takes_the_first_of_the_likeliest(uniform):
    logits = np.float32([[0, 3, 1, 3], [-5, -7, -5, -9], [-np.inf, -1, -2, -3]])
    drawn = sample_token(logits, np.full(3, uniform), SamplingConfig(temperature=0, top_k=3, top_p=0.5))
    assert drawn.tolist() == [1, 0, 1]


def test_temperature_near_zero_takes_the_likeliest():
    logits = np.float32([[0, 3, 1, 2.999]])
    assert sample_token(logits, np.array([HIGHEST]), SamplingConfig(temperature=1e-320)) == [1]


FILTERS = [{}, {"temperature": 0.01}, {"temperature": 1e6}, {"top_k": 2}, {"top_k": 3}, {"top_p": 0.0},
           {"top_p": 0.5}, {"top_p": 0.999}, {"min_p": 0.1}, {"min_p": 1.0}, {"repeat_penalty": 1e6},
           {"temperature": 1e-300}, {"top_k": 3, "top_p": 0.9, "min_p": 0.05, "repeat_penalty": 1.3}]


@pytest.mark.parametrize("options", FILTERS)
def test_tokens_without_probability_are_never_sampled(options):
    positions = range(5)
    for banned in itertools.chain.from_iterable(itertools.combinations(positions, n) for n in (1, 2, 4)):
        logits = np.float32([[1.0, -2.0, 0.5, 0.5, 3.0]])
        logits[0, list(banned)] = -np.inf
        for uniform in (0.0, HIGHEST):
            drawn = sample_token(logits, np.array([uniform]), SamplingConfig(**options), np.array([[0, 4]]))
            assert drawn[0] in positions and drawn[0] not in banned


def test_sampling_does_not_change_the_logits():
    logits = np.float32([[1, 2, 3]])
    sample_token(logits, np.array([0.5]), SamplingConfig(temperature=0.5, top_k=1, repeat_penalty=2), np.array([[2]]))
    assert logits.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("options, expected", [
    ({}, [0.05, 0.1, 0.15, 0.2, 0.5]),
    ({"temperature": 0.5}, [0.0025, 0.01, 0.0225, 0.04, 0.25]),
    ({"top_k": 3}, [0, 0, 0.15, 0.2, 0.5]),
    ({"top_p": 0.8}, [0, 0, 0.15, 0.2, 0.5]),
    ({"min_p": 0.35}, [0, 0, 0, 0.2, 0.5])])
def test_sample_frequencies_pass_a_chi_square_bound(options, expected):
    streams, rounds = 100, 200
    uniforms, config = Uniforms(11, [(number,) for number in range(streams)]), SamplingConfig(**options)
    logits = logits_for([0.05, 0.1, 0.15, 0.2, 0.5], streams)
    drawn = np.concatenate([sample_token(logits, uniforms.next(), config) for _ in range(rounds)])
    counts, expected_counts = np.bincount(drawn, minlength=5), np.array(expected) / np.sum(expected) * streams * rounds
    possible = expected_counts > 0
    assert not counts[~possible].any()
    statistic = ((counts - expected_counts)[possible] ** 2 / expected_counts[possible]).sum()
    # Laurent and Massart 2000, lemma 1: a chi-square of k degrees exceeds this once in e^14 runs.
    degrees, x = possible.sum() - 1, 14
    assert statistic < degrees + 2 * (degrees * x) ** 0.5 + 2 * x


def uniforms_of(seed, samples, count=300):
    uniforms = Uniforms(seed, [(sample,) for sample in samples])
    return np.stack([uniforms.next() for _ in range(count)], axis=1)        # (samples, count)


def test_uniforms_of_a_sample_do_not_depend_on_the_range():
    together = uniforms_of(7, range(10))
    for samples in (range(3, 4), range(2, 9), range(0, 10, 3), range(9, -1, -1)):
        assert np.array_equal(uniforms_of(7, samples), together[list(samples)])


def test_each_sample_and_seed_has_a_separate_stream():
    both = np.concatenate([uniforms_of(7, range(4)), uniforms_of(8, range(4))])
    assert len(np.unique(both)) == both.size
    assert both.min() >= 0 and both.max() < 1


def test_each_key_of_several_numbers_has_a_separate_stream():
    keys = list(itertools.product(range(3), repeat=3))
    together = Uniforms(7, keys).next()
    assert len(np.unique(together)) == len(keys)
    for key, uniform in zip(keys, together, strict=True):
        assert Uniforms(7, [key]).next() == [uniform]


def test_uniforms_are_uniform():
    counts = np.bincount((uniforms_of(5, range(40)).ravel() * 16).astype(int), minlength=16)
    expected_counts = counts.sum() / 16
    assert ((counts - expected_counts) ** 2 / expected_counts).sum() < 15 + 2 * (15 * 14) ** 0.5 + 2 * 14
