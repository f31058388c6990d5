"""The gradient with respect to earlier states: its values where they are known, and vanishing without gates."""

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig
from charlm.nn.gradient_reach import gradient_reach
from charlm.nn.network import Network


def network_of(cell="rnn", *, seed=0, **options):
    torch.manual_seed(seed)
    return Network(ModelConfig(**{"vocabulary_size": 7, "cell": cell, "num_layers": 1, "embedding_size": 4,
                                  "hidden_size": 6} | options))


def tokens_of(rows, length, size=7):
    return torch.randint(size, (rows, length), generator=torch.Generator().manual_seed(1))


def test_a_linear_layer_has_the_norms_of_its_matrix_powers():
    network = network_of(nonlinearity="relu", hidden_size=3)
    matrix = torch.tensor([[0.5, 0.2, 0.0], [0.1, 0.6, 0.3], [0.0, 0.2, 0.4]])
    with torch.no_grad():
        network.decoder[0].weight_hh_l0.copy_(matrix)
        network.decoder[0].bias_ih_l0.fill_(10)         # every unit is in the linear part of relu
    tokens = tokens_of(1, 6)
    logits, _ = network.step(tokens[:, :-1], network.start(1))
    error = torch.softmax(logits[0, -1], 0)
    error[tokens[0, -1]] -= 1
    gradient = network.head.weight.T @ error            # with respect to the output of the last step
    expected = []
    for _ in range(4):
        gradient = matrix.T @ gradient
        expected.append(float(gradient.norm().detach()))
    assert gradient_reach(network, tokens, 4) == pytest.approx(expected, rel=1e-4)


def test_gradients_vanish_in_a_plain_layer_sooner_than_behind_open_gates():
    tokens = tokens_of(8, 60)
    plain, gated = network_of("rnn"), network_of("lstm")
    with torch.no_grad():
        plain.decoder[0].weight_hh_l0.mul_(0.7)
        gated.decoder[0].bias_ih_l0[6:12] = 5.0         # forget gates near one
    short, long = gradient_reach(plain, tokens, 50), gradient_reach(gated, tokens, 50)
    assert short[-1] / short[0] < 1e-4 < 1e-2 < long[-1] / long[0]


@pytest.mark.parametrize("options", [
    {"cell": "gru", "num_layers": 2},
    {"cell": "lstm", "encoder": "bidirectional", "window": 5, "source_vocabulary_size": 7, "attention": True}])
def test_every_step_has_a_gradient_whatever_the_architecture(options):
    found = gradient_reach(network_of(**options), tokens_of(3, 14), 13)
    assert found.shape == (13,) and np.isfinite(found).all() and (found > 0).all()


def test_more_steps_than_tokens_are_refused():
    with pytest.raises(ValueError, match="5 steps need more than 5 tokens"):
        gradient_reach(network_of(), tokens_of(1, 5), 5)
