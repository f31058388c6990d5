"""Held-out gaps: their loss against a slow loop of one token at a time, and which are filled exactly."""

import math

import numpy as np
import pytest

from charlm.inference.gap_scoring import score_gaps
from charlm.text.cache import TokenCache
from charlm.text.characters import CharacterTokenizer
from charlm.text.gaps import held_out_gaps
from charlm.text.special import MARKS, boundary

LETTERS = CharacterTokenizer.fit(["\nabcdefgh "], vocabulary_size=None)
SIZE = LETTERS.size + 1 + MARKS


def cached(text):
    return TokenCache([LETTERS.encode(text)], vocabulary_size=LETTERS.size)


def text_of(length, letters="abcdefgh \nQ"):
    return "".join(np.random.default_rng(7).choice([*letters], length))


@pytest.fixture(params=["shared", "bidirectional"])
def network(request, random_network):
    return random_network(SIZE, source_vocabulary_size=SIZE, encoder=request.param, attention=True, scale=1.5)


def begun(network, text):
    return network.encode(text.source[None], np.array([len(text.source)]))


def slow_nats(network, text):
    nats, state = 0.0, begun(network, text)
    for before, token in zip(text.read.tolist(), text.written.tolist()):
        logits, state = network.step(np.array([[before]]), state)
        odds = [math.exp(value) for value in logits[0, 0].tolist()]
        nats -= math.log(odds[token] / math.fsum(odds))
        nats += LETTERS.unknown_surprisal if token == LETTERS.unknown_id else 0.0
    return nats


@pytest.mark.parametrize("length", [3, 40, 8300])
def test_nats_are_those_of_every_gap_stepped_by_hand(network, length):
    tokens = cached(text_of(length))
    score, texts = score_gaps(network, LETTERS, tokens), held_out_gaps(tokens, LETTERS)
    assert score.nats == pytest.approx(math.fsum(slow_nats(network, text) for text in texts), rel=1e-5)
    assert score.gaps == sum(text.gaps for text in texts) >= 1
    assert score.tokens == score.characters == sum(len(text.written) for text in texts)


def test_a_uniform_model_scores_log_of_the_vocabulary(random_network):
    network = random_network(SIZE, source_vocabulary_size=SIZE, encoder="stacked", scale=0)
    score = score_gaps(network, LETTERS, cached(text_of(3000, "abc ")))
    assert score.nats == pytest.approx(score.tokens * math.log(SIZE))


class WritesOneLetter:
    """A network, and its state, that fills every gap with an a, whatever it asks for."""

    def encode(self, source, lengths):
        return self

    def select(self, rows):
        return self

    def step(self, tokens, state):
        letter = int(LETTERS.encode("a")[0])
        logits = np.zeros((*tokens.shape, SIZE), np.float32)
        logits[..., LETTERS.unknown_id] = 30.0              # which is no text, and must not be written
        logits[tokens == letter, boundary(LETTERS)] = 20.0
        logits[tokens != letter, letter] = 20.0
        return logits, state


@pytest.mark.parametrize("length", [3, 130, 20_000])
def test_exact_are_the_gaps_that_greedy_search_fills_exactly(length):
    tokens = cached(text_of(length, "aab"))
    score, texts = score_gaps(WritesOneLetter(), LETTERS, tokens), held_out_gaps(tokens, LETTERS)
    gaps = "".join("|" if token == boundary(LETTERS) else LETTERS.push([token])
                   for text in texts for token in text.written).split("|")[:-1]
    assert (score.gaps, score.exact) == (len(gaps), gaps.count("a"))
    assert length < 1000 or 0 < score.exact < score.gaps / 2


def test_gaps_are_the_same_each_time(network):
    tokens = cached(text_of(5000))
    assert score_gaps(network, LETTERS, tokens) == score_gaps(network, LETTERS, tokens)
