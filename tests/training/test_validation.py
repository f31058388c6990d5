"""The held-out loss: several lanes against one, torch against NumPy, and no side effects."""

import itertools
import math

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.inference.network import Network as NumpyNetwork
from charlm.inference.text_scoring import score_carried
from charlm.nn.network import Network
from charlm.text.tokenizers.byte import ByteTokenizer
from charlm.text.tokenizers.char import CharTokenizer
from charlm.training.validation import (
    LOGITS,
    MAX_LANES,
    MAX_WINDOW,
    TOKENS_PER_LANE,
    held_out_loss,
    lane_count,
    window_count,
    window_length,
)

pytestmark = pytest.mark.usefixtures("one_thread")

LETTERS = CharTokenizer.train(["\nabcdefg"], vocabulary_size=None)


def build(cell="lstm", *, dropout=0.0, size=LETTERS.size, **architecture):
    torch.manual_seed(1)
    network = Network(ModelConfig(size, cell=cell, embedding_size=6, hidden_size=10, **architecture), dropout=dropout)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


@pytest.fixture
def held_out(cache_of):
    """A function that returns a random text of some number of tokens, including unknown ones."""
    return lambda tokens: cache_of(np.random.default_rng(2).integers(LETTERS.size, size=tokens))


def by_numpy(network, tokens, tokenizer=LETTERS):
    weights = {name: values.numpy() for name, values in network.weights().items()}
    scores = score_carried(NumpyNetwork(network.config, weights), tokenizer, [tokens.slice(0, len(tokens))])
    return np.concatenate(list(scores)).mean()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("lanes, tokens", [(2, 1400), (4, 2403), (3, 3074)])
def test_lanes_agree_with_one_lane(held_out, cell, lanes, tokens):
    network, text = build(cell), held_out(tokens)
    assert held_out_loss(network, text, LETTERS, lanes=lanes) == pytest.approx(
        held_out_loss(network, text, LETTERS, lanes=1), abs=1e-5)


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("window, lanes, tokens", [
    (64, 2, 1400), (48, 4, 2403), (5, 2, 1100), pytest.param(512, 2, 3000, marks=pytest.mark.slow),
    pytest.param(700, 2, 2900, marks=pytest.mark.slow)])
def test_lanes_of_a_network_with_windows_agree_with_one_lane(held_out, window, lanes, tokens, attention):
    network = build("gru", encoder="bidirectional", source_vocabulary_size=LETTERS.size, attention=attention,
                    window=window)
    text = held_out(tokens)
    one = held_out_loss(network, text, LETTERS, lanes=1)
    assert one == pytest.approx(by_numpy(network, text), abs=1e-5)
    assert held_out_loss(network, text, LETTERS, lanes=lanes) == pytest.approx(one, abs=1e-5)


@pytest.mark.parametrize("tokens", [1, 2, MAX_WINDOW, MAX_WINDOW + 1, 2500])
def test_one_lane_equals_numpys_carried_score(held_out, tokens):
    network, text = build(), held_out(tokens)
    assert held_out_loss(network, text, LETTERS, lanes=1) == pytest.approx(by_numpy(network, text), abs=1e-5)


def test_default_lanes_of_a_long_text_agree_with_numpy(held_out):
    tokens = 2 * TOKENS_PER_LANE + 3
    assert lane_count(tokens) == 2
    network, text = build(), held_out(tokens)
    assert held_out_loss(network, text, LETTERS) == pytest.approx(by_numpy(network, text), abs=1e-5)


def test_a_uniform_model_loses_log_of_the_vocabulary(cache_of):
    network = build(size=256)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.fill_(3.0)
    loss = held_out_loss(network, cache_of(b"some held-out text"), ByteTokenizer())
    assert loss == pytest.approx(math.log(256), rel=1e-6)


def test_p_of_an_unknown_token_is_spread_over_all_unknown_characters(cache_of):
    network = build()
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
    unknown = 17 * 65_536 - 2_048 - 8                       # code points, less surrogates, less known
    assert held_out_loss(network, cache_of([1, 0, 2, 0]), LETTERS) == pytest.approx(
        math.log(9) + math.log(unknown) / 2, rel=1e-6)


@pytest.mark.parametrize("mode", [True, False])
def test_mode_weights_and_rng_state_are_left_alone(held_out, mode):
    network, text = build(dropout=0.5), held_out(700)
    network.train(mode)
    weights, rng_state = network.weights(), torch.get_rng_state()
    first = held_out_loss(network, text, LETTERS)
    assert network.training is mode and network.decoder[0].training is mode
    assert torch.equal(torch.get_rng_state(), rng_state)
    assert all(torch.equal(values, weights[name]) for name, values in network.weights().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert held_out_loss(network, text, LETTERS) == first == held_out_loss(build(), text, LETTERS)


def test_mode_is_restored_after_an_error(held_out):
    network = build().train()

    def broken():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        held_out_loss(network, held_out(10), LETTERS, interrupted=broken)
    assert network.training


def test_an_interrupted_loss_is_not_a_number(held_out):
    calls, text = itertools.count(1), held_out(3 * MAX_WINDOW)
    assert math.isnan(held_out_loss(build(), text, LETTERS, interrupted=lambda: next(calls) > 2))
    assert not math.isnan(held_out_loss(build(), text, LETTERS, interrupted=lambda: False))


def test_lanes_grow_with_the_text_up_to_a_limit():
    assert [lane_count(n) for n in (1, TOKENS_PER_LANE, 2 * TOKENS_PER_LANE, 10 ** 9)] == [1, 1, 2, MAX_LANES]


def test_a_large_vocabulary_shortens_windows_to_bound_the_logits():
    for lanes in (1, 8, 32):
        for size in (2, 66, 5_400, 1_000_000):
            assert 1 <= window_length(lanes, size) <= MAX_WINDOW
            assert window_length(lanes, size) * lanes * size <= max(LOGITS, lanes * size)


@pytest.mark.parametrize("tokens, windows", [
    (1, 1), (MAX_WINDOW, 1), (MAX_WINDOW + 1, 2), (2 * TOKENS_PER_LANE, TOKENS_PER_LANE // MAX_WINDOW)])
def test_windows_are_counted_per_lane(tokens, windows):
    assert window_count(tokens, LETTERS.size) == windows
