"""Metrics of held-out gaps: the loss against a slow loop, and the number of exact fills."""

import math

import numpy as np
import pytest

from charlm.inference.evaluation import evaluate_gaps
from charlm.text.gap_sampling import held_out_gaps
from charlm.text.special_tokens import eos_id, vocabulary_sizes
from charlm.text.token_cache import TokenCache
from charlm.text.tokenizers.char import CharTokenizer

LETTERS = CharTokenizer.train(["\nabcdefgh "], vocabulary_size=None)
SIZE, SOURCE_SIZE = vocabulary_sizes("fill", LETTERS, LETTERS)
END = eos_id(LETTERS)


def cache_of(text):
    return TokenCache([LETTERS.encode(text)], vocabulary_size=LETTERS.size)


def text_of(length, letters="abcdefgh \nQ"):
    return "".join(np.random.default_rng(7).choice([*letters], length))


@pytest.fixture(params=["shared", "bidirectional"])
def network(request, random_network):
    return random_network(SIZE, source_vocabulary_size=SOURCE_SIZE, encoder=request.param, attention=True, scale=1.5)


def slow_nats(network, text):
    """Return the nats of all gaps, token by token, each with the other gaps masked."""
    nats = 0.0
    for position, ids in zip(text.positions.tolist(), text.gaps, strict=True):
        state = network.encode(text.source[None], np.array([len(text.source)]), (np.array([0]), np.array([position])))
        for before, token in zip([END, *ids.tolist()], [*ids.tolist(), END], strict=True):
            logits, state = network.step(np.array([[before]]), state)
            odds = [math.exp(value) for value in logits[0, 0].tolist()]
            nats -= math.log(odds[token] / math.fsum(odds))
            nats += LETTERS.unknown_surprisal if token == LETTERS.unknown_id else 0.0
    return nats


@pytest.mark.parametrize("length", [3, 40, pytest.param(8300, marks=pytest.mark.slow)])
def test_nats_equal_a_slow_loop_over_every_gap(network, length):
    tokens = cache_of(text_of(length))
    metrics, texts = evaluate_gaps(network, LETTERS, tokens), held_out_gaps(tokens, LETTERS)
    assert metrics.nats == pytest.approx(math.fsum(slow_nats(network, text) for text in texts), rel=1e-5)
    assert metrics.gaps == sum(len(text.gaps) for text in texts) >= 1
    assert metrics.tokens == metrics.characters == sum(len(ids) + 1 for text in texts for ids in text.gaps)


def test_uniform_model_scores_log_of_the_vocabulary(random_network):
    network = random_network(SIZE, source_vocabulary_size=SOURCE_SIZE, encoder="stacked", scale=0)
    metrics = evaluate_gaps(network, LETTERS, cache_of(text_of(3000, "abc ")))
    assert metrics.nats == pytest.approx(metrics.tokens * math.log(SIZE))


class WritesOneLetter:
    """A network and its state: it fills every gap with an a."""

    def encode(self, source, lengths, positions):
        return self

    def select(self, rows):
        return self

    def step(self, tokens, state):
        letter = int(LETTERS.encode("a")[0])
        logits = np.zeros((*tokens.shape, SIZE), np.float32)
        logits[..., LETTERS.unknown_id] = 30.0              # not text, and never written
        logits[tokens == letter, END] = 20.0
        logits[tokens != letter, letter] = 20.0
        return logits, state


@pytest.mark.parametrize("length", [3, 130, 20_000])
def test_exact_counts_the_gaps_that_greedy_search_fills_exactly(length):
    tokens = cache_of(text_of(length, "aab"))
    metrics, texts = evaluate_gaps(WritesOneLetter(), LETTERS, tokens), held_out_gaps(tokens, LETTERS)
    gaps = [LETTERS.push(ids.tolist()) for text in texts for ids in text.gaps]
    assert (metrics.gaps, metrics.exact) == (len(gaps), gaps.count("a"))
    assert length < 1000 or 0 < metrics.exact < metrics.gaps / 2


class WritesWhatItReads:
    """A network and its state: it fills a gap with the token before it, or with b at the start of a text."""

    def __init__(self, target=None):
        self.target = target

    def encode(self, source, lengths, positions):
        rows, positions = positions
        return WritesWhatItReads(np.where(positions, source[rows, positions - 1], LETTERS.encode("b")[0]))

    def select(self, rows):
        return WritesWhatItReads(self.target[rows])

    def step(self, tokens, state):
        logits = np.zeros((*tokens.shape, SIZE), np.float32)
        logits[tokens != END, END] = 20.0
        first = tokens == END
        logits[first, np.broadcast_to(state.target[:, None], tokens.shape)[first]] = 20.0
        return logits, state


@pytest.mark.parametrize("length", [3, 130, 20_000])
def test_each_gap_starts_from_its_own_position(length):
    """This holds for texts with several gaps, in a batch."""
    tokens = cache_of(text_of(length, "ab"))
    metrics, texts = evaluate_gaps(WritesWhatItReads(), LETTERS, tokens), held_out_gaps(tokens, LETTERS)
    expected = sum(ids.tolist() == [text.source[position - 1] if position else LETTERS.encode("b")[0]]
                   for text in texts for position, ids in zip(text.positions, text.gaps, strict=True))
    assert metrics.exact == expected
    assert length < 1000 or 0 < metrics.exact < metrics.gaps / 2


def test_evaluation_is_deterministic(network):
    tokens = cache_of(text_of(5000))
    assert evaluate_gaps(network, LETTERS, tokens) == evaluate_gaps(network, LETTERS, tokens)
