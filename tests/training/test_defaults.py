"""How large and how long, from the size of the corpus."""

import itertools

import pytest

from charlm.config import TrainingConfig
from charlm.training.defaults import (
    MAX_LINE_PASSES,
    MAX_VALIDATIONS,
    TOKENS_PER_SECOND,
    fill_sizes,
    fill_steps,
    fit_window,
    line_sizes,
    line_steps,
    pair_sizes,
    pair_steps,
    resolve,
    text_lanes,
    text_plan,
    validation_interval,
    warning,
)
from charlm.training.options import TrainingOptions
from charlm.training.scaling import relative_cost, text_dropout


def seconds_of(tokens, precision):
    """Return the seconds that the default plan for a text takes on two ordinary cores."""
    hidden_size, passes = text_plan(tokens, precision)
    cost = relative_cost(hidden_size) / relative_cost(256)
    return passes * tokens * cost / TOKENS_PER_SECOND[precision]


@pytest.mark.parametrize("precision", TOKENS_PER_SECOND)
def test_a_text_of_a_million_takes_about_four_minutes(precision):
    assert 240 <= seconds_of(1_000_000, precision) <= 270


@pytest.mark.parametrize("precision", TOKENS_PER_SECOND)
def test_time_grows_with_the_text_but_more_slowly_than_its_root(precision):
    assert seconds_of(10_000, precision) < 10
    assert 60 <= seconds_of(198_000, precision) <= 90
    assert seconds_of(10_000_000, precision) <= 10.1 * 60
    assert seconds_of(100_000_000, precision) <= 10 * seconds_of(1_000_000, precision)


def test_a_million_tokens_are_read_about_nine_times_in_bfloat16():
    hidden_size, passes = text_plan(1_003_854, "bfloat16")
    assert hidden_size == 256 and 8 < passes < 10
    assert text_plan(1_003_854, "float32")[1] < passes


def test_longer_texts_never_get_a_narrower_network_or_fewer_lanes():
    chosen = [(text_lanes(10 ** power), text_plan(10 ** power, "bfloat16")[0]) for power in range(1, 11)]
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(chosen))


def test_a_handful_of_characters_is_read_for_few_steps(corpus_of):
    for text in ("aba", "ab" * 50):
        _, run = resolve("text", TrainingOptions(), corpus_of(text))
        assert 100 <= run.steps <= 300 and validation_interval(run.steps, 1, 1) <= run.steps


def test_dropout_follows_the_width_and_length_that_the_user_gives(corpus_of):
    corpus = corpus_of("abcdefgh" * 8000)
    tokens = len(corpus.train)
    for given in ({"hidden_size": 512, "epochs": 20.0}, {"epochs": 3.0}, {}):
        model, run = resolve("text", TrainingOptions(**given), corpus)
        passes = run.steps * run.batch_size * run.bptt / tokens
        assert run.dropout == text_dropout(tokens, model.hidden_size, given.get("epochs", passes))
    assert resolve("text", TrainingOptions(dropout=0.37), corpus)[1].dropout == 0.37


def test_only_tiny_corpora_are_warned_of(corpus_of):
    assert warning(corpus_of("ab" * 50)).startswith("90 tokens to learn from are too few")
    assert warning(corpus_of("abcd" * 1000)) == ""


def test_gaps_in_larger_texts_never_get_a_narrower_network_or_fewer_lanes():
    chosen = [fill_sizes(10 ** power) for power in range(1, 11)]
    assert all(a.hidden_size <= b.hidden_size and a.batch_size <= b.batch_size for a, b in itertools.pairwise(chosen))
    assert len(set(chosen)) > 3


@pytest.mark.parametrize("tokens", [20_000, 100_000, 400_000, 20_000_000])
def test_a_size_for_gaps_begins_exactly_at_its_threshold(tokens):
    assert fill_sizes(tokens - 1) != fill_sizes(tokens) == fill_sizes(tokens + 1)


def test_a_million_tokens_with_gaps_are_read_five_times():
    assert fill_steps(1_000_000, 1000) == 5000


def test_tokens_with_gaps_read_grow_with_the_square_root():
    assert fill_steps(100_000_000, 1000) == 10 * fill_steps(1_000_000, 1000)


def test_steps_for_gaps_in_a_tiny_corpus_are_bounded_on_both_sides():
    assert fill_steps(5000, 500) == 300                  # thirty passes
    assert fill_steps(10, 1) == 300
    assert fill_steps(10, 500) == 150


def test_more_pairs_never_get_a_narrower_network_or_smaller_batches():
    chosen = [pair_sizes(10 ** power, 20 * 10 ** power) for power in range(8)]
    assert all(a.hidden_size <= b.hidden_size and a.batch_size <= b.batch_size for a, b in itertools.pairwise(chosen))
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
               for a, b in itertools.pairwise(chosen))
    assert len(set(chosen)) > 3


@pytest.mark.parametrize("tokens", [20_000, 100_000, 150_000, 500_000, 20_000_000])
def test_a_size_for_lines_begins_exactly_at_its_threshold(tokens):
    assert line_sizes(tokens - 1) != line_sizes(tokens) == line_sizes(tokens + 1)


def test_lines_of_a_million_tokens_are_read_six_times():
    assert line_steps(1_000_000, 1000) == 6000
    assert line_steps(1_000_000, 250) == 1500


def test_tokens_of_lines_read_grow_with_the_square_root():
    assert line_steps(100_000_000, 100_000) == 10 * line_steps(1_000_000, 1000)


def test_a_handful_of_lines_still_has_steps_to_learn_from():
    assert line_steps(1000, 50) == 50 * MAX_LINE_PASSES
    assert line_steps(1000, 5) == line_steps(1_000_000, 1) == 150


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
