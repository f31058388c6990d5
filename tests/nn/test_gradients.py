"""The reach of a loss: gradients with respect to earlier states."""

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.nn.gradients import gradient_norms
from charlm.nn.network import Network

WINDOWS = torch.arange(40).reshape(2, 20) % 7


@pytest.fixture
def linear():
    """A network of one relu layer whose units stay positive, and whose recurrent matrix is half the identity."""
    network = Network(ModelConfig(7, cell="rnn", nonlinearity="relu", num_layers=1, embedding_size=3, hidden_size=4))
    with torch.no_grad():
        for name, values in network.decoder[0].named_parameters():
            values.copy_(torch.eye(4) / 2 if "weight_hh" in name else torch.full_like(values, 0.01))
        for values in network.embedding.parameters():
            values.abs_()
    return network


def test_halving_recurrence_halves_the_gradient_at_every_step(linear):
    norms = gradient_norms(linear, WINDOWS, 12)
    assert len(norms) == 12
    np.testing.assert_allclose(norms[1:] / norms[:-1], 0.5, rtol=1e-4)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_norm_is_the_change_of_the_loss_with_the_state(cell):
    torch.manual_seed(1)
    network = Network(ModelConfig(7, cell=cell, num_layers=2, embedding_size=3, hidden_size=4)).double()
    row = WINDOWS[:1]
    _, state = network.step(row[:, :16], network.start(1))
    parts = [part.detach() for layer in state.layers for part in layer]

    def loss(values):
        values = iter(values)
        moved = type(state)(tuple(tuple(next(values) for _ in layer) for layer in state.layers))
        logits, _ = network.step(row[:, 16:19], moved)
        return torch.nn.functional.cross_entropy(logits[:, -1], row[:, 19]).item()

    slopes = []
    for number, part in enumerate(parts):
        for unit in range(4):
            up, down = ([*parts[:number], part + sign * torch.eye(4, dtype=torch.double)[unit] * 1e-4,
                         *parts[number + 1:]] for sign in (1, -1))
            slopes.append((loss(up) - loss(down)) / 2e-4)
    assert gradient_norms(network, row, 5)[2] == pytest.approx(np.linalg.norm(slopes), rel=1e-4)
