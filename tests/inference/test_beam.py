"""Beam search against greedy search, a slow beam search and an enumeration of all sequences."""

import itertools
import math

import numpy as np
import pytest

from charlm.inference.beam import beam_search, log_softmax

END = 3                                 # tokens 0, 1 and 2 are text
SOURCES = np.array([[0, 1, 2], [3, 3, 0], [4, 0, 0], [2, 4, 1]])
LENGTHS = np.array([3, 2, 1, 3])


@pytest.fixture
def network(random_network):
    """A network of four tokens with probabilities skewed enough for beams to differ."""
    return random_network(4, source_vocabulary_size=5, encoder="bidirectional", attention=True, scale=3)


def search(network, rows=(0, 1, 2, 3), *, width, limits, banned=(), length_penalty=1.0):
    rows = np.array(rows)
    state = network.encode(SOURCES, LENGTHS).select(rows)
    return beam_search(network, state, eos_id=END, banned=banned, width=width,
                       limits=np.broadcast_to(limits, len(rows)), length_penalty=length_penalty)


def next_log_probabilities(network, row, written):
    """Return the log probabilities of the next token, by stepping through the tokens one at a time, in float64."""
    state = network.encode(SOURCES, LENGTHS).select([row])
    for token in (END, *written):
        logits, state = network.step(np.array([[token]]), state)
    odds = [math.exp(value) for value in logits[0, 0].tolist()]
    return [math.log(value / math.fsum(odds)) for value in odds]


def all_sequences(network, row, limit):
    """Return every sequence of at most `limit` steps: (tokens, finished) to log probability."""
    found = {}
    for size in range(limit + 1):
        for tokens in itertools.product(range(END), repeat=size):
            finished = size < limit
            sequence = (*tokens, END) if finished else tokens
            found[tokens, finished] = math.fsum(next_log_probabilities(network, row, sequence[:at])[token]
                                                for at, token in enumerate(sequence))
    return found


def ranked(hypotheses, length_penalty):
    """Return the keys (tokens, finished) in order: the finished first, by the length penalty of Wu et al. 2016."""
    return sorted(hypotheses, key=lambda key: (
        not key[1], -hypotheses[key] / (len(key[0]) + 1) ** length_penalty))


def keys(hypotheses):
    return [(hypothesis.tokens, hypothesis.finished) for hypothesis in hypotheses]


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_beam_of_one_is_greedy(network, limit):
    for row, (found,) in enumerate(search(network, width=1, limits=limit)):
        written, token, nats = [], None, 0.0
        while token != END and len(written) < limit:
            log_probabilities = next_log_probabilities(network, row, written)
            token = int(np.argmax(log_probabilities))
            nats += log_probabilities[token]
            written += [token] if token != END else []
        assert (found.tokens, found.finished) == (tuple(written), token == END)
        assert found.log_probability == pytest.approx(nats, abs=1e-5)


@pytest.mark.parametrize("length_penalty", [0, 1, 2])
def test_wide_beam_finds_every_sequence_with_its_probability(network, length_penalty):
    limits = np.array([3, 2, 4, 1])
    for row, found in enumerate(search(network, width=200, limits=limits, length_penalty=length_penalty)):
        everything = all_sequences(network, row, limits[row])
        assert len(found) == len(everything)
        assert keys(found) == ranked(everything, length_penalty)
        for hypothesis in found:
            nats = everything[hypothesis.tokens, hypothesis.finished]
            assert hypothesis.log_probability == pytest.approx(nats, abs=1e-5)
            assert hypothesis.score(length_penalty) == pytest.approx(
                nats / (len(hypothesis.tokens) + 1) ** length_penalty, abs=1e-5)


def test_probabilities_of_all_sequences_sum_to_one(network):
    for found in search(network, width=200, limits=4):
        assert math.fsum(math.exp(hypothesis.log_probability) for hypothesis in found) == pytest.approx(1, abs=1e-6)


def slow_beam(network, row, width, limit):
    """Return the result of a beam search with dictionaries, (tokens, finished) to log probability."""
    unfinished, found = {(): 0.0}, {}
    while unfinished:
        longer = {(*tokens, token): total + log_probability for tokens, total in unfinished.items()
                  for token, log_probability in enumerate(next_log_probabilities(network, row, tokens))}
        best = sorted(longer, key=lambda tokens: -longer[tokens])[:width - len(found)]
        unfinished = {}
        for tokens in best:
            if tokens[-1] == END:
                found[tokens[:-1], True] = longer[tokens]
            else:
                unfinished[tokens] = longer[tokens]
        if unfinished and len(max(unfinished, key=len)) == limit:
            return found | {(tokens, False): total for tokens, total in unfinished.items()}
    return found


@pytest.mark.parametrize("width", [2, 3, 5, 8])
@pytest.mark.parametrize("length_penalty", [0, 1, 2])
def test_beam_equals_a_slow_reference(network, width, length_penalty):
    limits = np.array([5, 4, 3, 6])
    for row, found in enumerate(search(network, width=width, limits=limits, length_penalty=length_penalty)):
        expected = slow_beam(network, row, width, limits[row])
        assert keys(found) == ranked(expected, length_penalty)
        for hypothesis in found:
            assert hypothesis.log_probability == pytest.approx(expected[hypothesis.tokens, hypothesis.finished],
                                                               abs=1e-5)


def test_length_penalty_favours_longer_sequences(network):
    mean = [np.mean([len(found[0].tokens) for found in search(network, width=200, limits=5, length_penalty=penalty)])
            for penalty in (0, 4)]
    assert mean[0] < mean[1]


@pytest.mark.parametrize("width", [1, 3])
def test_results_do_not_depend_on_the_batch(network, width):
    together = search(network, width=width, limits=6)
    for rows in ([2], [3, 0], [1, 1, 0, 2], [0, 1, 2, 3] * 20):
        for row, found in zip(rows, search(network, rows, width=width, limits=6), strict=True):
            assert found == together[row]


def test_limits_hold_and_cut_off_sequences_come_last(network):
    limits = np.array([1, 2, 7, 4])
    for limit, found in zip(limits, search(network, width=4, limits=limits, length_penalty=0), strict=True):
        assert [hypothesis.finished for hypothesis in found] == sorted(
            (hypothesis.finished for hypothesis in found), reverse=True)
        for hypothesis in found:
            assert len(hypothesis.tokens) <= limit - hypothesis.finished
            assert hypothesis.finished or len(hypothesis.tokens) == limit
    network._head_bias[END] = -np.inf                        # a network that never ends
    for limit, found in zip(limits, search(network, width=4, limits=limits), strict=True):
        assert len(found) == min(4, 3 ** limit)
        assert all(not hypothesis.finished and len(hypothesis.tokens) == limit for hypothesis in found)


@pytest.mark.parametrize("banned", [(1,), (0, 2)])
def test_banned_tokens_are_never_written(network, banned):
    network._head_bias[list(banned)] = 50.0
    allowed = {0, 1, 2} - {*banned}
    for found in search(network, width=200, limits=3, banned=banned):
        assert {hypothesis.tokens for hypothesis in found} == {
            tokens for size in range(4) for tokens in itertools.product(allowed, repeat=size)}


def test_hypotheses_are_distinct_and_sorted(network):
    for length_penalty in (0.0, 0.7):
        for found in search(network, width=6, limits=6, length_penalty=length_penalty):
            assert len(found) == 6 and len({*keys(found)}) == 6
            scores = [(hypothesis.finished, hypothesis.score(length_penalty)) for hypothesis in found]
            assert scores == sorted(scores, reverse=True)


def test_lowest_token_wins_a_tie(random_network):
    uniform = random_network(4, source_vocabulary_size=5, encoder="stacked", scale=0)
    for found in search(uniform, width=2, limits=3):
        assert keys(found) == [((0, 0, 0), False), ((0, 0, 1), False)]
    for found in search(uniform, width=5, limits=2):
        assert keys(found) == [((), True), ((0,), True), ((0, 0), False), ((0, 1), False), ((0, 2), False)]
    assert search(uniform, width=3, limits=4) == search(uniform, width=3, limits=4)


@pytest.mark.parametrize("width", range(2, 9))
def test_lowest_tokens_win_a_tie_of_many(random_network, width):
    network = random_network(24, source_vocabulary_size=5, encoder="stacked", scale=0)
    network._head_bias[[END, 11]] = -1.0, 1.0
    for found in search(network, width=width, limits=1):
        assert [hypothesis.tokens for hypothesis in found] == [(11,), *((token,) for token in range(3)),
                                                               *((token,) for token in range(4, 11))][:width]


def test_log_softmax_is_exact_for_large_logits():
    found = log_softmax(np.float32([[1000, 1000, -np.inf], [0, math.log(3), -1e4]]))
    assert np.allclose(found, [[-math.log(2), -math.log(2), -np.inf],
                               [-math.log(4), math.log(3 / 4), -1e4 - math.log(4)]])


def test_row_with_nan_logits_ends(random_network):
    network = random_network(5, source_vocabulary_size=5, encoder="bidirectional", attention=True)
    network._head_bias = np.full(5, np.nan, np.float32)
    state = network.encode(np.array([[1, 2]]), np.array([2]))
    found, = beam_search(network, state, eos_id=4, banned=(), width=2, limits=np.array([3]), length_penalty=1.0)
    assert [(one.tokens, one.finished) for one in found] == [((), True)]
