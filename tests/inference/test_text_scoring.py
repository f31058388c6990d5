"""Nats of every token of one long text against a slow loop of one token at a time, in float64."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlm.inference.text_scoring import StatefulReader, score_carried, score_windows
from charlm.text.tokenizers.byte import ByteTokenizer
from charlm.text.tokenizers.char import CharTokenizer

LETTERS = CharTokenizer.train(["\nabcdefgh "], vocabulary_size=None)
TEXT = np.random.default_rng(2).integers(1, LETTERS.size, size=1300)


@pytest.fixture
def slow_nats(stepwise_nats):
    """A function that returns the nats of every token by a slow loop, reset every `window` tokens."""
    def nats(network, ids, *, window=None):
        ids = np.concatenate([[LETTERS.start_id], ids])
        size = window or len(ids)
        return np.concatenate([stepwise_nats(network, ids[at:at + size + 1]) for at in range(0, len(ids) - 1, size)])
    return nats


def carried(network, *pieces, tokenizer=LETTERS):
    return np.concatenate(list(score_carried(network, tokenizer, pieces)))


def windowed(network, *pieces, window):
    return np.concatenate(list(score_windows(network, LETTERS, pieces, window=window)))


@pytest.mark.parametrize("tokenizer", [LETTERS, ByteTokenizer()])
def test_uniform_model_scores_log_of_the_vocabulary(random_network, tokenizer):
    network = random_network(tokenizer.size, scale=0)
    ids = tokenizer.encode("abcd efgh\n" * 9).astype(np.int64)
    nats = carried(network, ids, tokenizer=tokenizer)
    assert nats.shape == ids.shape and np.allclose(nats, math.log(tokenizer.size), rtol=1e-12)
    assert np.allclose(np.concatenate(list(score_windows(network, tokenizer, [ids], window=7))),
                       math.log(tokenizer.size), rtol=1e-12)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_carried_score_equals_a_slow_loop(random_network, slow_nats, cell):
    network = random_network(LETTERS.size, cell=cell)
    assert np.allclose(carried(network, TEXT), slow_nats(network, TEXT), atol=1e-5)


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("encoder", ["stacked", "bidirectional"])
def test_scores_of_a_windowed_network_equal_a_slow_loop(random_network, slow_nats, encoder, attention):
    network = random_network(LETTERS.size, encoder=encoder, attention=attention, window=7,
                             source_vocabulary_size=LETTERS.size)
    start = TEXT[:600]                                   # more than one window
    assert np.allclose(carried(network, start), slow_nats(network, start), atol=1e-5)
    assert np.allclose(windowed(network, start, window=20), slow_nats(network, start, window=20), atol=1e-5)


@pytest.mark.parametrize("window", [1, 7, 512, 600, 1299])
def test_scores_of_independent_windows_equal_a_slow_loop(random_network, slow_nats, window):
    network = random_network(LETTERS.size, scale=2)
    expected = slow_nats(network, TEXT, window=window)
    assert np.allclose(windowed(network, TEXT, window=window), expected, atol=1e-5)
    assert not np.allclose(carried(network, TEXT), expected, atol=1e-3)


@pytest.mark.parametrize("window", [1300, 1301, 100_000])
def test_window_larger_than_the_text_is_the_whole_text(random_network, window):
    network = random_network(LETTERS.size)
    assert np.allclose(windowed(network, TEXT, window=window), carried(network, TEXT), atol=1e-5)


def test_blocks_of_windows_join_seamlessly(random_network):
    network = random_network(LETTERS.size)
    long = np.tile(TEXT, 30)                                # more than one block
    part = windowed(network, long, window=13)               # 1300 is a multiple of 13
    assert len(part) == len(long)
    assert np.allclose(part.reshape(30, -1)[1:], part[len(TEXT):2 * len(TEXT)], atol=1e-5)


def cuts(sizes):
    return np.split(TEXT, np.cumsum(sizes))


@pytest.mark.parametrize("sizes", [[1], [0, 0, 5], [512], [511, 1, 1], [64] * 20, [1299]])
def test_scores_do_not_depend_on_how_the_text_is_cut(random_network, sizes):
    network = random_network(LETTERS.size)
    pieces = cuts(sizes)
    assert len(pieces) > 1
    assert np.array_equal(carried(network, *pieces), carried(network, TEXT))
    assert np.array_equal(windowed(network, *pieces, window=11), windowed(network, TEXT, window=11))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 700), max_size=5))
def test_score_of_a_text_read_in_pieces_equals_that_of_the_whole(random_network, sizes):
    network = random_network(LETTERS.size)
    reading = StatefulReader(network, LETTERS)
    nats = [reading.nats(piece) for piece in cuts(sizes)]
    assert [*map(len, nats)] == [*map(len, cuts(sizes))]
    assert np.allclose(np.concatenate(nats), StatefulReader(network, LETTERS).nats(TEXT), atol=1e-5)


def test_large_vocabulary_is_read_in_small_windows(random_network, record_steps):
    network = random_network(50_000, hidden_size=2, embedding_size=2, num_layers=1)
    steps = record_steps(network)
    many = CharTokenizer(np.arange(60, 60 + 49_999))
    assert len(StatefulReader(network, many).nats(np.arange(200))) == 200
    lengths = [tokens for _, tokens in steps]
    assert sum(lengths) == 200 and max(lengths) == 80       # 4,000,000 / 50,000


@pytest.mark.parametrize("pieces", [[], [np.zeros(0, np.int64)]])
def test_empty_text_has_no_scores(random_network, pieces):
    network = random_network(LETTERS.size)
    assert list(score_carried(network, LETTERS, pieces)) == []
    assert list(score_windows(network, LETTERS, pieces, window=5)) == []


def test_unknown_character_costs_its_share_of_all_unknown_ones(random_network):
    network = random_network(LETTERS.size, scale=0)
    # Unicode has 17 planes of 65,536 code points; 2,048 are surrogates; ten are known.
    unknown = 17 * 65_536 - 2_048 - 10
    nats = carried(network, LETTERS.encode("aéa").astype(np.int64))
    assert np.allclose(nats, [math.log(11), math.log(11) + math.log(unknown), math.log(11)], rtol=1e-12)
    assert math.fsum([10 * math.exp(-nats[0]), unknown * math.exp(-nats[1])]) == pytest.approx(1)
