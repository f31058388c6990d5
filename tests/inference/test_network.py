"""The network in NumPy against the same in torch, and the independence of a batch's rows."""

import itertools

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.inference.network import Network
from charlm.nn.network import Network as TorchNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

CELLS = [("lstm", "tanh"), ("gru", "tanh"), ("rnn", "tanh"), ("rnn", "relu")]
VOCABULARY, BATCH, TIME = 13, 4, 20

every_cell = pytest.mark.parametrize("cell, nonlinearity", CELLS)
every_network = pytest.mark.parametrize(
    "cell, nonlinearity, layers, tied",
    [(*cell, layers, tied) for cell, layers, tied in itertools.product(CELLS, (1, 2, 3), (False, True))])


def build_pair(cell, nonlinearity, *, layers, tied, hidden=10):
    """The same weights in torch and in NumPy; every bias differs from zero."""
    torch.manual_seed(3)
    config = ModelConfig(VOCABULARY, cell=cell, nonlinearity=nonlinearity, num_layers=layers,
                         embedding_size=hidden if tied else 6, hidden_size=hidden, tied=tied)
    network = TorchNetwork(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_((0.3 if parameter.dim() == 1 else 0.05) * torch.randn_like(parameter))
    return network, Network(config, {name: values.numpy() for name, values in network.weights().items()})


def some_tokens():
    return np.random.default_rng(4).integers(VOCABULARY, size=(BATCH, TIME))


@torch.no_grad()
def torchs(network, tokens):
    logits, state = network.step(torch.from_numpy(tokens), network.start(len(tokens)))
    return logits.numpy(), [part[0].numpy() for layer in state.layers for part in layer]


def parts_of(state):
    return [part for layer in state.layers for part in layer]


def close(one, other):
    return np.abs(one - other).max() < 1e-5


@every_network
def test_numpy_equals_torch_over_a_window(cell, nonlinearity, layers, tied):
    theirs, ours = build_pair(cell, nonlinearity, layers=layers, tied=tied)
    expected, expected_state = torchs(theirs, some_tokens())
    logits, state = ours.step(some_tokens(), ours.start(BATCH))
    assert logits.shape == (BATCH, TIME, VOCABULARY) and logits.dtype == np.float32
    assert close(logits, expected)
    assert all(map(close, parts_of(state), expected_state))


@every_network
def test_numpy_equals_torch_token_by_token(cell, nonlinearity, layers, tied):
    theirs, ours = build_pair(cell, nonlinearity, layers=layers, tied=tied)
    expected, expected_state = torchs(theirs, some_tokens())
    state = ours.start(BATCH)
    for at in range(TIME):
        logits, state = ours.step(some_tokens()[:, at:at + 1], state)
        assert close(logits[:, 0], expected[:, at])
    assert all(map(close, parts_of(state), expected_state))


@every_cell
@pytest.mark.parametrize("hidden", [7, 64, 200])
@pytest.mark.parametrize("batch", [2, 7, 64])
def test_a_rows_bits_do_not_depend_on_the_batch(cell, nonlinearity, hidden, batch):
    _, network = build_pair(cell, nonlinearity, layers=2, tied=False, hidden=hidden)
    tokens = np.random.default_rng(6).integers(VOCABULARY, size=(batch, 4))
    together, alone = network.start(batch), [network.start(1) for _ in range(batch)]
    for at in range(tokens.shape[1]):
        logits, together = network.step(tokens[:, at:at + 1], together)
        for row in range(batch):
            own, alone[row] = network.step(tokens[row:row + 1, at:at + 1], alone[row])
            assert np.array_equal(own[0], logits[row])
    assert len(np.unique(logits[:, 0], axis=0)) > 1         # the rows are not all the same row


@every_cell
def test_step_leaves_the_state_it_was_given(cell, nonlinearity):
    _, network = build_pair(cell, nonlinearity, layers=2, tied=False)
    _, state = network.step(some_tokens(), network.start(BATCH))
    before = [part.copy() for part in parts_of(state)]
    for width in (1, 5):
        first, _ = network.step(some_tokens()[:, :width], state)
        second, _ = network.step(some_tokens()[:, :width], state)
        assert np.array_equal(first, second)
    assert all(map(np.array_equal, parts_of(state), before))


@every_cell
def test_later_tokens_leave_earlier_logits_bit_identical(cell, nonlinearity):
    _, network = build_pair(cell, nonlinearity, layers=2, tied=False)
    tokens = some_tokens()
    before, _ = network.step(tokens, network.start(BATCH))
    for at in range(TIME):
        changed = tokens.copy()
        changed[:, at:] = (changed[:, at:] + 1) % VOCABULARY
        after, _ = network.step(changed, network.start(BATCH))
        assert np.array_equal(after[:, :at], before[:, :at])
        assert (after[:, at] != before[:, at]).any()


def test_select_takes_these_rows_in_this_order():
    _, network = build_pair("lstm", "tanh", layers=2, tied=False)
    _, state = network.step(some_tokens(), network.start(BATCH))
    for part, chosen in zip(parts_of(state), parts_of(state.select([2, 0, 2]))):
        assert np.array_equal(chosen, np.stack([part[2], part[0], part[2]]))
