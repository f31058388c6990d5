"""Networks with random weights: small ones made without torch, and every architecture in torch and in NumPy.

The full Cartesian product of architectures is slow; the fast suite runs a pairwise cover of it.
"""

import functools
import math

import numpy as np
import pytest

from charlm.config import ENCODERS, ModelConfig
from charlm.inference.matmul import matmul_by_row
from charlm.inference.network import Network
from tests.helpers.pairwise import grid

CELLS = {"lstm": ("lstm", "tanh"), "gru": ("gru", "tanh"), "tanh": ("rnn", "tanh"), "relu": ("rnn", "relu")}
BACKENDS = ["torch", "numpy"]
SOURCE = {"source_vocabulary_size": 9}
WINDOW = {"source_vocabulary_size": 13, "window": 3}


def architectures(encoders, options, backends=("both",)):
    """Return a parameter (config, backend) for every architecture; those outside the pairwise cover are slow."""
    cases = grid(encoder=encoders, cell=CELLS, layers=[1, 2, 3], context={"fixed": False, "attention": True},
                 backend=backends)
    for case in cases:
        encoder, (cell, nonlinearity), layers, attention, backend = case.values
        config = ModelConfig(13, cell=cell, nonlinearity=nonlinearity, num_layers=layers, encoder=encoder,
                             attention=attention, embedding_size=5, hidden_size=8, **options)
        yield pytest.param((config, backend), id=case.id, marks=case.marks)


class TorchBackend:
    """The contract of a network in torch, with arrays instead of tensors."""

    def __init__(self, network):
        self.network, self.config = network, network.config

    def start(self, batch):
        return self.network.start(batch).detach()

    def encode(self, source, lengths, positions=None):
        import torch
        positions = positions and tuple(map(torch.as_tensor, positions))
        return self.network.encode(torch.from_numpy(source), torch.from_numpy(lengths), positions).detach()

    def step(self, tokens, state):
        import torch
        with torch.no_grad():
            logits, state = self.network.step(torch.from_numpy(tokens), state)
        return logits.numpy(), state


@functools.cache
def networks_of(config):
    """Return the same weights in torch and in NumPy, by backend; no bias is zero."""
    import torch

    from charlm.nn.network import Network as TorchNetwork
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = TorchNetwork(config)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_((0.3 if parameter.dim() == 1 else 0.05) * torch.randn_like(parameter))
    weights = {name: values.numpy() for name, values in network.weights().items()}
    return {"torch": TorchBackend(network), "numpy": Network(config, weights)}


@pytest.fixture(scope="session", params=architectures(ENCODERS, SOURCE))
def source_networks(request):
    """A network with a source, of every architecture, in both backends."""
    return networks_of(request.param[0])


@pytest.fixture(scope="session", params=architectures(ENCODERS[1:], WINDOW))
def windowed_networks(request):
    """A network that reads the previous window, of every architecture, in both backends."""
    return networks_of(request.param[0])


@pytest.fixture(scope="session", params=architectures(ENCODERS, SOURCE, BACKENDS))
def source_network(request):
    """A network with a source, of every architecture, in either backend."""
    config, backend = request.param
    return networks_of(config)[backend]


@pytest.fixture(scope="session", params=architectures(ENCODERS[1:], WINDOW, BACKENDS))
def windowed_network(request):
    """A network that reads the previous window, of every architecture, in either backend."""
    config, backend = request.param
    return networks_of(config)[backend]


@pytest.fixture
def random_network():
    """A function from a vocabulary size to a small NumPy network, the same each time."""
    def build(vocabulary_size, *, scale=1.0, seed=0, matmul=matmul_by_row, **options):
        config = ModelConfig(vocabulary_size, **{"hidden_size": 12, "embedding_size": 6} | options)
        rng = np.random.default_rng(seed)
        return Network(config, {
            name: (scale * rng.standard_normal(shape) / shape[-1] ** 0.5).astype(np.float32)
            for name, shape in config.parameter_shapes().items()}, matmul=matmul)
    return build


@pytest.fixture
def stepwise_nats():
    """A function from a network and ids to -log p of every id but the first, in a slow loop of one token at a time."""
    def score(network, ids, state=None):
        state, nats = network.start(1) if state is None else state, []
        for before, token in zip(ids[:-1], ids[1:], strict=True):
            logits, state = network.step(np.array([[before]]), state)
            odds = [math.exp(value) for value in logits[0, 0].tolist()]
            nats.append(-math.log(odds[token] / math.fsum(odds)))
        return np.array(nats)
    return score


@pytest.fixture
def record_steps():
    """A function from a network to a list that will hold the shape (rows, tokens) of every following step."""
    def record(network):
        shapes, step = [], network.step
        network.step = lambda tokens, state: shapes.append(tokens.shape) or step(tokens, state)
        return shapes
    return record
