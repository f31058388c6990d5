"""The law that plans training on text: sane far from its data, its numbers from the fit, its yardstick."""

import importlib.util
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from charlm.inference.ngrams import ngram_nats
from charlm.text.token_cache import TokenCache
from charlm.training import scaling, yardstick
from charlm.training.scaling import (
    MAX_DROPOUT,
    Yardsticks,
    expected_loss_at,
    expected_short_loss,
    expected_text_loss,
    text_dropout,
    useful_passes,
)

TOKENS, SIZES = (10 ** 3, 10 ** 4, 10 ** 5, 10 ** 6, 10 ** 7, 10 ** 9), (48, 64, 128, 256, 512, 1024)
PASSES = [0.05 * 1.2 ** power for power in range(40)]
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def benchmark(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fit_scaling():
    """The benchmark that fits the law."""
    return benchmark("fit_scaling")


def test_numbers_of_short_runs_are_those_of_the_fit_and_of_the_formula():
    short_runs = benchmark("short_runs")
    runs = short_runs.read_runs()
    for name, value in short_runs.fit(runs).items():
        assert getattr(scaling, name) == pytest.approx(value, abs=0.0011), name
    factors, _ = short_runs.design(runs)
    numbers = [getattr(scaling, name) for name in short_runs.NUMBERS]
    losses = runs["bigrams"] * np.exp(factors @ [np.log(numbers[0]), *numbers[1:]])
    for index, loss in enumerate(losses):
        row = {name: values[index] for name, values in runs.items()}
        yardsticks = Yardsticks(row["yardstick"], row["bigrams"], row["vocabulary"])
        assert expected_short_loss(yardsticks, row["train_tokens"], row["hidden"], row["steps"]) == pytest.approx(loss)


@pytest.mark.parametrize("tokens, size", [(10 ** 5, 64), (10 ** 6, 64), (10 ** 6, 128), (10 ** 7, 256)])
def test_expected_loss_falls_from_the_short_law_to_the_long_one(tokens, size):
    yardsticks = Yardsticks(1.7, 2.7, 110)
    steps = np.geomspace(60, 2000, 60).astype(int).tolist()
    losses = [expected_loss_at(yardsticks, tokens, size, step * 2048 / tokens, step) for step in steps]
    assert all(b < a * 1.01 for a, b in itertools.pairwise(losses))
    assert losses[0] == expected_short_loss(yardsticks, tokens, size, 60) > 2.3
    assert losses[-1] == expected_text_loss(1.7, tokens, size, steps[-1] * 2048 / tokens)


def test_expected_loss_of_a_tiny_text_is_not_above_that_of_guessing():
    assert expected_loss_at(Yardsticks(0.7, 0.7, 2), 2, 64, 150, 150) == pytest.approx(np.log(2))


def test_numbers_of_the_law_are_those_of_the_fit(fit_scaling):
    for name, value in fit_scaling.fit(fit_scaling.read_runs()).items():
        assert getattr(scaling, name) == pytest.approx(value, abs=0.0011), name


def test_law_is_the_formula_that_is_fitted(fit_scaling):
    runs = fit_scaling.read_runs()
    numbers = {name: getattr(scaling, name) for name in (*fit_scaling.SHAPE, *fit_scaling.LEVEL)}
    losses = fit_scaling.expected(numbers, runs)
    for index in range(0, len(losses), 25):
        best = expected_text_loss(runs.yardstick[index], runs.tokens[index], runs.hidden[index], runs.passes[index])
        assert best <= losses[index] + 1e-9
        dropout = text_dropout(runs.tokens[index], runs.hidden[index], runs.passes[index])
        if abs(dropout - runs.dropout[index]) < 0.01:
            assert best == pytest.approx(losses[index], rel=2e-3)


@pytest.mark.parametrize("tokens, size", list(itertools.product(TOKENS, SIZES)))
def test_more_passes_help_until_they_only_overfit(tokens, size):
    losses = [expected_text_loss(1.0, tokens, size, passes) for passes in PASSES]
    least = int(np.argmin(losses))
    # Around the minimum, where dropout sets in, the curve may have a bump of less than a hundredth.
    assert all(b < 1.01 * a for a, b in itertools.combinations(losses[:least + 1], 2))
    assert all(b > 0.99 * a for a, b in itertools.combinations(losses[least:], 2))
    assert 0.3 < losses[least] < 3
    assert expected_text_loss(1.0, tokens, size, useful_passes(tokens, size)) <= losses[least] * 1.002


@pytest.mark.parametrize("size, passes", list(itertools.product(SIZES, (0.3, 3, 30))))
def test_dropout_grows_with_passes_and_width_and_falls_with_tokens(size, passes):
    chosen = text_dropout(10 ** 6, size, passes)
    assert 0 <= text_dropout(10 ** 8, size, passes) <= chosen <= text_dropout(10 ** 4, size, passes) <= MAX_DROPOUT
    assert chosen <= text_dropout(10 ** 6, 2 * size, passes) and chosen <= text_dropout(10 ** 6, size, 2 * passes)


@pytest.mark.parametrize("tokens", [10 ** 6, 10 ** 8])
def test_best_width_grows_with_the_time(tokens):
    def best(seen):                     # `seen` tokens in the time, if the width is 256
        return min(SIZES, key=lambda size: expected_text_loss(1.0, tokens, size, seen / tokens * (256 / size) ** 2))
    widths = [best(10 ** power) for power in (5, 6, 7, 8)]
    assert widths == sorted(widths) and widths[0] < 256 <= widths[-1]


def test_yardstick_samples_the_whole_text_and_not_its_beginning():
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 2, 2_000_000), rng.integers(2, 4, 2_000_000)]
    train = TokenCache(parts, vocabulary_size=4)
    for part in parts:
        held_out = TokenCache([part[:200_000]], vocabulary_size=4)
        assert yardstick.text_yardsticks(train, held_out, 4).ngrams == pytest.approx(np.log(2), abs=0.15)


def test_yardstick_is_an_ngram_model_of_an_eighth_of_the_text():
    ids = np.resize(np.arange(7), 8 * 90)
    held_out = ids[:90]
    found = yardstick.text_yardsticks(*(TokenCache([part], vocabulary_size=7) for part in (ids, held_out)), 7)
    assert found.ngrams == pytest.approx(ngram_nats(ids[:90], held_out, 7, order=8).mean())
    assert found.bigrams == pytest.approx(ngram_nats(ids[:90], held_out, 7, order=2).mean())
