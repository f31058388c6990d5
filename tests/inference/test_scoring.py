"""Nats of many texts, each by itself, against a slow loop of one token at a time, in float64."""

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
KNOWN = LETTERS.size + 1
DRAW = np.random.default_rng(4)


def some_row(length):
    """Ids of letters, the unknown one among them, and ends."""
    return DRAW.integers(KNOWN, size=length)


UNLIKE = [some_row(length) for length in (1, 2, 700, 3, 1, 90, 2, 1100, 40, 41, 1)]
BOOK = [some_row(length) for length in DRAW.integers(1, 60, size=600)]          # more than stand side by side


def expected(stepped, network, row, state=None):
    """The slow loop's; an unknown character costs what its share of all unknown ones adds."""
    return stepped(network, row, state) + LETTERS.unknown_surprisal * (row[1:] == LETTERS.unknown_id)


def equal(these, those):
    return len(these) == len(those) and all(
        one.shape == other.shape and np.abs(one - other).max(initial=0) < 1e-5 for one, other in zip(these, those))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_scores_of_rows_of_unlike_lengths_equal_a_slow_loop(random_network, stepped, cell):
    network = random_network(KNOWN, cell=cell, matmul=matmul)
    assert equal(score_rows(network, LETTERS, UNLIKE), [expected(stepped, network, row) for row in UNLIKE])


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("encoder", ["stacked", "bidirectional"])
def test_scores_of_rows_longer_than_the_windows_of_a_network_equal_a_slow_loop(random_network, stepped, encoder,
                                                                                attention):
    network = random_network(KNOWN, encoder=encoder, attention=attention, window=7, source_vocabulary_size=KNOWN)
    rows = [row[:120] for row in UNLIKE]
    assert equal(score_rows(network, LETTERS, rows), [expected(stepped, network, row) for row in rows])


def test_a_row_costs_the_same_alone_and_in_any_company(random_network):
    network = random_network(KNOWN, scale=2, matmul=matmul)
    together = score_rows(network, LETTERS, BOOK)
    assert equal(together, [score_rows(network, LETTERS, [row])[0] for row in BOOK])
    order = DRAW.permutation(len(BOOK))
    assert equal(score_rows(network, LETTERS, [BOOK[number] for number in order]),
                 [together[number] for number in order])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, KNOWN - 1), min_size=1, max_size=9).map(np.array), max_size=9))
def test_any_rows_cost_what_each_costs_alone(random_network, stepped, rows):
    network = random_network(KNOWN)
    assert equal(score_rows(network, LETTERS, rows), [expected(stepped, network, row) for row in rows])


def test_a_row_of_one_id_has_nothing_to_predict_and_no_rows_have_no_scores(random_network):
    network = random_network(KNOWN)
    assert score_rows(network, LETTERS, []) == []
    assert [nats.shape for nats in score_rows(network, LETTERS, [some_row(1)] * 2)] == [(0,), (0,)]


def test_each_row_begins_from_its_own_row_of_the_state_that_is_given(random_network, stepped):
    network = random_network(KNOWN, scale=2)
    _, past = network.step(DRAW.integers(KNOWN, size=(len(UNLIKE), 5)), network.start(len(UNLIKE)))
    one_by_one = [expected(stepped, network, row, past.select([number])) for number, row in enumerate(UNLIKE)]
    assert equal(score_rows(network, LETTERS, UNLIKE, past.select), one_by_one)
    assert not equal(score_rows(network, LETTERS, UNLIKE), one_by_one)


def test_forced_nats_are_those_of_targets_and_their_ends(random_network, stepped):
    network = random_network(KNOWN, scale=2)
    targets = [LETTERS.encode(text) for text in ("", "a", "bad cafe", "é")]
    state = network.start(len(targets))
    costs = [expected(stepped, network, np.array([KNOWN - 1, *ids, KNOWN - 1])) for ids in targets]
    assert eos_id(LETTERS) == KNOWN - 1
    nats, tokens = teacher_forced_nats(network, LETTERS, targets, state)
    assert nats == pytest.approx(sum(map(np.sum, costs)), abs=1e-4) and tokens == 1 + 2 + 9 + 2


def test_scores_are_not_views_that_keep_whole_batches_alive(random_network):
    for nats in score_rows(random_network(KNOWN), LETTERS, UNLIKE):
        assert nats.base is None


@pytest.mark.parametrize("lengths", [[5] * 3, [20_000], [3000] * 10, [2, 9000, 9000], [30] * 300])
def test_what_is_read_at_once_is_bounded_and_nothing_is_read_twice(random_network, steps_watched, lengths):
    network = random_network(KNOWN, hidden_size=2, embedding_size=2, num_layers=1)
    seen = steps_watched(network)
    score_rows(network, LETTERS, [some_row(length) for length in lengths])
    assert max(rows * tokens for rows, tokens in seen) <= TOKENS_AT_ONCE
    assert max(tokens for _, tokens in seen) <= WINDOW
    wanted = sum(lengths) - len(lengths)
    longest_strides = len(lengths) * max(tokens for _, tokens in seen)
    assert wanted <= sum(rows * tokens for rows, tokens in seen) <= wanted + longest_strides


def test_rows_that_have_ended_are_read_no_further(random_network, steps_watched):
    network = random_network(KNOWN, hidden_size=2, embedding_size=2, num_layers=1)
    seen = steps_watched(network)
    score_rows(network, LETTERS, [some_row(2)] * 9 + [some_row(2000)])
    assert [rows for rows, tokens in seen if tokens == WINDOW][-3:] == [1] * 3
    assert sum(rows * tokens for rows, tokens in seen) < 4000


@pytest.mark.parametrize("known", [50_000, 1_000_000])
def test_a_large_vocabulary_is_read_in_small_steps(random_network, steps_watched, known):
    tokenizer = types.SimpleNamespace(size=known, unknown_id=None)
    network = random_network(known, hidden_size=1, embedding_size=1, num_layers=1, cell="rnn", scale=0)
    seen = steps_watched(network)
    rows = [np.arange(length) for length in (2, 3, 1, 2, 2, 2)] if known > 50_000 else [np.arange(4)] * 90
    assert all(np.allclose(nats, math.log(known)) for nats in score_rows(network, tokenizer, rows))
    assert max(rows * tokens for rows, tokens in seen) <= LOGITS // known


def test_ids_beyond_the_tokenizers_own_have_their_part_of_the_probability(random_network):
    network = random_network(KNOWN + 2, scale=0)                    # two labels
    nats, = score_rows(network, LETTERS, [with_bos_eos(LETTERS, LETTERS.encode("ab"), 1)])
    assert np.allclose(nats, math.log(KNOWN + 2), rtol=1e-12)


def test_surprisal_survives_logits_beyond_the_range_of_exp():
    logits = np.float32([[5000, 4999, -5000], [-6000, -6000, -6000]])
    nats = token_nats(logits, np.array([0, 2]), ByteTokenizer())
    assert np.allclose(nats, [math.log(1 + math.exp(-1)), math.log(3)], atol=1e-6)
    assert token_nats(logits, np.array([2, 0]), ByteTokenizer())[0] == pytest.approx(10_000, rel=1e-3)


def test_surprisals_of_a_window_are_those_of_its_places():
    """By hand: odds 1:3 and 1:1:2, and an unknown character among two thousand."""
    tokenizer = types.SimpleNamespace(unknown_id=0, unknown_surprisal=math.log(2000))
    logits = np.log(np.float32([[[1, 3, 4], [1, 1, 2]], [[2, 1, 1], [1, 1, 1]]]))
    nats = token_nats(logits, np.array([[1, 2], [0, 2]]), tokenizer)
    assert np.allclose(nats, np.log([[8 / 3, 2], [2 * 2000, 3]]), atol=1e-6)
