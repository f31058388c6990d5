"""Nats of many independent texts against a slow loop of one token at a time, in float64."""

import math
import types

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm.inference.matmul import matmul
from charlm.inference.scoring import LOGITS, TOKENS_AT_ONCE, WINDOW, score_rows, teacher_forced_nats, token_nats
from charlm.text.special_tokens import eos_id, with_bos_eos
from charlm.text.tokenizers.byte import ByteTokenizer
from charlm.text.tokenizers.char import CharTokenizer

LETTERS = CharTokenizer.train(["\nabcdefgh "], vocabulary_size=None)
VOCABULARY = LETTERS.size + 1
RNG = np.random.default_rng(4)


def make_row(length):
    """Return random ids of letters, the unknown one and the end among them."""
    return RNG.integers(VOCABULARY, size=length)


ROWS = [make_row(length) for length in (1, 2, 700, 3, 1, 90, 2, 1100, 40, 41, 1)]
MANY_ROWS = [make_row(length) for length in RNG.integers(1, 60, size=600)]          # more than one batch


def expected(stepwise_nats, network, row, state=None):
    """Return the nats by the slow loop, in which an unknown character costs its share of all unknown ones."""
    return stepwise_nats(network, row, state) + LETTERS.unknown_surprisal * (row[1:] == LETTERS.unknown_id)


def equal(left, right):
    return len(left) == len(right) and all(
        one.shape == other.shape and np.abs(one - other).max(initial=0) < 1e-5
        for one, other in zip(left, right, strict=True))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_scores_of_rows_of_unequal_lengths_equal_a_slow_loop(random_network, stepwise_nats, cell):
    network = random_network(VOCABULARY, cell=cell, matmul=matmul)
    assert equal(score_rows(network, LETTERS, ROWS), [expected(stepwise_nats, network, row) for row in ROWS])


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("encoder", ["stacked", "bidirectional"])
def test_scores_of_rows_over_several_windows_equal_a_slow_loop(random_network, stepwise_nats, encoder, attention):
    network = random_network(VOCABULARY, encoder=encoder, attention=attention, window=7,
                             source_vocabulary_size=VOCABULARY)
    rows = [row[:120] for row in ROWS]
    assert equal(score_rows(network, LETTERS, rows), [expected(stepwise_nats, network, row) for row in rows])


def test_score_of_a_row_does_not_depend_on_the_batch(random_network):
    network = random_network(VOCABULARY, scale=2, matmul=matmul)
    together = score_rows(network, LETTERS, MANY_ROWS)
    assert equal(together, [score_rows(network, LETTERS, [row])[0] for row in MANY_ROWS])
    order = RNG.permutation(len(MANY_ROWS))
    assert equal(score_rows(network, LETTERS, [MANY_ROWS[number] for number in order]),
                 [together[number] for number in order])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9).map(np.array), max_size=9))
def test_scores_of_any_rows_equal_a_slow_loop(random_network, stepwise_nats, rows):
    network = random_network(VOCABULARY)
    assert equal(score_rows(network, LETTERS, rows), [expected(stepwise_nats, network, row) for row in rows])


def test_row_of_one_id_has_an_empty_score(random_network):
    network = random_network(VOCABULARY)
    assert score_rows(network, LETTERS, []) == []
    assert [nats.shape for nats in score_rows(network, LETTERS, [make_row(1)] * 2)] == [(0,), (0,)]


def test_each_row_starts_from_its_row_of_the_given_state(random_network, stepwise_nats):
    network = random_network(VOCABULARY, scale=2)
    _, past = network.step(RNG.integers(VOCABULARY, size=(len(ROWS), 5)), network.start(len(ROWS)))
    one_by_one = [expected(stepwise_nats, network, row, past.select([number])) for number, row in enumerate(ROWS)]
    assert equal(score_rows(network, LETTERS, ROWS, past.select), one_by_one)
    assert not equal(score_rows(network, LETTERS, ROWS), one_by_one)


def test_teacher_forced_nats_include_the_ends_of_targets(random_network, stepwise_nats):
    network = random_network(VOCABULARY, scale=2)
    targets = [LETTERS.encode(text) for text in ("", "a", "bad cafe", "é")]
    state = network.start(len(targets))
    end = VOCABULARY - 1
    nats_by_target = [expected(stepwise_nats, network, np.array([end, *ids, end])) for ids in targets]
    assert eos_id(LETTERS) == end
    nats, tokens = teacher_forced_nats(network, LETTERS, targets, state)
    assert nats == pytest.approx(sum(map(np.sum, nats_by_target)), abs=1e-4) and tokens == 1 + 2 + 9 + 2


def test_scores_are_not_views_that_keep_batches_alive(random_network):
    for nats in score_rows(random_network(VOCABULARY), LETTERS, ROWS):
        assert nats.base is None


@pytest.mark.parametrize("lengths", [[5] * 3, [20_000], [3000] * 10, [2, 9000, 9000], [30] * 300])
def test_tokens_read_at_once_are_bounded_and_none_is_read_twice(random_network, record_steps, lengths):
    network = random_network(VOCABULARY, hidden_size=2, embedding_size=2, num_layers=1)
    steps = record_steps(network)
    score_rows(network, LETTERS, [make_row(length) for length in lengths])
    assert max(rows * tokens for rows, tokens in steps) <= TOKENS_AT_ONCE
    assert max(tokens for _, tokens in steps) <= WINDOW
    needed = sum(lengths) - len(lengths)
    longest_strides = len(lengths) * max(tokens for _, tokens in steps)
    assert needed <= sum(rows * tokens for rows, tokens in steps) <= needed + longest_strides


def test_finished_rows_are_not_read_further(random_network, record_steps):
    network = random_network(VOCABULARY, hidden_size=2, embedding_size=2, num_layers=1)
    steps = record_steps(network)
    score_rows(network, LETTERS, [make_row(2)] * 9 + [make_row(2000)])
    assert [rows for rows, tokens in steps if tokens == WINDOW][-3:] == [1] * 3
    assert sum(rows * tokens for rows, tokens in steps) < 4000


@pytest.mark.parametrize("vocabulary_size", [50_000, 1_000_000])
def test_large_vocabulary_is_read_in_small_steps(random_network, record_steps, vocabulary_size):
    tokenizer = types.SimpleNamespace(size=vocabulary_size, unknown_id=None)
    network = random_network(vocabulary_size, hidden_size=1, embedding_size=1, num_layers=1, cell="rnn", scale=0)
    steps = record_steps(network)
    rows = [np.arange(length) for length in (2, 3, 1, 2, 2, 2)] if vocabulary_size > 50_000 else [np.arange(4)] * 90
    assert all(np.allclose(nats, math.log(vocabulary_size)) for nats in score_rows(network, tokenizer, rows))
    assert max(rows * tokens for rows, tokens in steps) <= LOGITS // vocabulary_size


def test_special_ids_take_their_share_of_the_probability(random_network):
    network = random_network(VOCABULARY + 2, scale=0)                    # two labels
    nats, = score_rows(network, LETTERS, [with_bos_eos(LETTERS, LETTERS.encode("ab"), 1)])
    assert np.allclose(nats, math.log(VOCABULARY + 2), rtol=1e-12)


def test_surprisal_survives_logits_beyond_the_range_of_exp():
    logits = np.float32([[5000, 4999, -5000], [-6000, -6000, -6000]])
    nats = token_nats(logits, np.array([0, 2]), ByteTokenizer())
    assert np.allclose(nats, [math.log(1 + math.exp(-1)), math.log(3)], atol=1e-6)
    assert token_nats(logits, np.array([2, 0]), ByteTokenizer())[0] == pytest.approx(10_000, rel=1e-3)


def test_surprisals_of_a_window_equal_a_worked_example():
    """The odds are 1:3:4 and 1:1:2, and the unknown character is one of two thousand."""
    tokenizer = types.SimpleNamespace(unknown_id=0, unknown_surprisal=math.log(2000))
    logits = np.log(np.float32([[[1, 3, 4], [1, 1, 2]], [[2, 1, 1], [1, 1, 1]]]))
    nats = token_nats(logits, np.array([[1, 2], [0, 2]]), tokenizer)
    assert np.allclose(nats, np.log([[8 / 3, 2], [2 * 2000, 3]]), atol=1e-6)
