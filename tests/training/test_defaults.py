"""How large and how long, from the size of the corpus."""

import itertools

import pytest

from charlm.config import TrainingConfig
from charlm.training.defaults import (
    MAX_VALIDATIONS, fit_window, line_sizes, line_steps, pair_sizes, pair_steps, text_sizes, text_steps,
    validation_interval)


def test_larger_corpora_never_get_a_narrower_network_or_fewer_lanes():
    chosen = [text_sizes(10 ** power) for power in range(1, 11)]
    assert all(a.hidden_size <= b.hidden_size and a.batch_size <= b.batch_size for a, b in zip(chosen, chosen[1:]))
    assert len(set(chosen)) > 3


@pytest.mark.parametrize("tokens", [20_000, 100_000, 400_000, 20_000_000])
def test_a_size_begins_exactly_at_its_threshold(tokens):
    assert text_sizes(tokens - 1) != text_sizes(tokens) == text_sizes(tokens + 1)


def test_a_million_tokens_are_read_five_times():
    assert text_steps(1_000_000, 1000) == 5000


def test_tokens_read_grow_with_the_square_root():
    assert text_steps(100_000_000, 1000) == 10 * text_steps(1_000_000, 1000)


def test_a_tiny_corpus_still_has_steps_to_learn_from():
    assert text_steps(10, 500) == 300                    # 150,000 tokens
    assert text_steps(10, 1_000_000) == 150


def test_more_pairs_never_get_a_narrower_network_or_smaller_batches():
    chosen = [pair_sizes(10 ** power, 20 * 10 ** power) for power in range(8)]
    assert all(a.hidden_size <= b.hidden_size and a.batch_size <= b.batch_size for a, b in zip(chosen, chosen[1:]))
    assert len(set(chosen)) > 2


@pytest.mark.parametrize("tokens", [10_000, 2_000_000])
def test_width_for_pairs_grows_exactly_at_its_thresholds_of_tokens(tokens):
    before, at, after = (pair_sizes(5000, tokens + more).hidden_size for more in (-1, 0, 1))
    assert before < at == after


def test_few_pairs_are_read_in_smaller_batches():
    assert pair_sizes(1_999, 50_000).batch_size < pair_sizes(2_000, 50_000).batch_size


def test_eight_thousand_pairs_are_read_thirty_times():
    assert pair_steps(8_000, 64) == 30 * 8_000 // 64
    assert pair_steps(8_000, 16) == 30 * 8_000 // 16


def test_pairs_read_grow_with_the_square_root():
    assert pair_steps(800_000, 64) == 10 * pair_steps(8_000, 64)


def test_a_handful_of_pairs_still_has_steps_to_learn_from():
    assert pair_steps(1, 64) == pair_steps(20, 64) == 312             # 20,000 pairs
    assert pair_steps(20, 1000) == 150


def test_more_lines_never_get_a_narrower_network_or_more_dropout():
    chosen = [line_sizes(10 ** power) for power in range(1, 11)]
    assert all(a.hidden_size <= b.hidden_size and a.batch_size <= b.batch_size and a.dropout >= b.dropout
               for a, b in zip(chosen, chosen[1:]))
    assert len(set(chosen)) > 3


@pytest.mark.parametrize("tokens", [20_000, 150_000, 500_000, 20_000_000])
def test_a_size_for_lines_begins_exactly_at_its_threshold(tokens):
    assert line_sizes(tokens - 1) != line_sizes(tokens) == line_sizes(tokens + 1)


def test_lines_of_a_million_tokens_are_read_six_times():
    assert line_steps(1_000_000, 1000) == 6000
    assert line_steps(1_000_000, 250) == 1500


def test_tokens_of_lines_read_grow_with_the_square_root():
    assert line_steps(100_000_000, 100_000) == 10 * line_steps(1_000_000, 1000)


def test_a_handful_of_lines_still_has_steps_to_learn_from():
    assert line_steps(1000, 5) == 1500              # 300,000 tokens
    assert line_steps(1_000_000, 1) == 150


@pytest.mark.parametrize("tokens, wanted, given", [
    (1000, (8, 64), (8, 64)), (64, (8, 64), (1, 63)), (65, (8, 64), (1, 64)), (2, (8, 64), (2, 1)),
    (300, (8, 64), (4, 64)), (512, (8, 64), (8, 64)), (511, (8, 64), (7, 64))])
def test_window_is_neither_longer_nor_wider_than_the_corpus(cache_of, tokens, wanted, given):
    run = fit_window(cache_of(range(tokens)), TrainingConfig(1, batch_size=wanted[0], bptt=wanted[1]))
    assert (run.batch_size, run.bptt) == given
    assert given[0] * given[1] <= tokens


def test_a_run_is_validated_ten_times():
    assert validation_interval(1000, 1000, 1) == 100
    assert validation_interval(1001, 1000, 1) == 101        # ten, the last one a little early
    assert validation_interval(3, 1000, 1) == 1


@pytest.mark.parametrize("steps, window, held_out",
                         list(itertools.product((1, 7, 150, 5000), (8, 1024), (10, 9999, 10 ** 6))))
def test_validations_read_at_most_a_quarter_of_the_tokens_trained_on(steps, window, held_out):
    interval = validation_interval(steps, window, held_out)
    validations = len({*range(interval, steps + 1, interval), steps})
    assert 1 <= interval <= steps and validations <= MAX_VALIDATIONS
    assert validations == 1 or 4 * validations * held_out <= steps * window
