"""Networks with random weights: a small one made without torch, and every architecture in both halves."""

import functools
import itertools
import math

import numpy as np
import pytest

from charlm.config import ENCODERS, ModelConfig
from charlm.inference.matmul import matmul_by_row
from charlm.inference.network import Network

CELLS = [("lstm", "tanh"), ("gru", "tanh"), ("rnn", "tanh"), ("rnn", "relu")]
HALVES = ["torch", "numpy"]


def _architectures(encoders, **options):
    return [ModelConfig(13, cell=cell, nonlinearity=nonlinearity, num_layers=layers, encoder=encoder,
                        attention=attention, embedding_size=5, hidden_size=8, **options)
            for encoder, (cell, nonlinearity), layers, attention
            in itertools.product(encoders, CELLS, (1, 2, 3), (False, True))]


READERS = _architectures(ENCODERS, source_vocabulary_size=9)
STREAMS = _architectures(ENCODERS[1:], source_vocabulary_size=13, window=3)


def _name(config):
    cell = config.nonlinearity if config.cell == "rnn" else config.cell
    return f"{config.encoder}-{cell}-{config.num_layers}-{'attention' if config.attention else 'fixed'}"


class InTorch:
    """The contract of a network in torch, with arrays in the place of tensors."""

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
def _halves(config):
    """The same weights in torch and in NumPy; every bias differs from zero."""
    import torch

    from charlm.nn.network import Network as TorchNetwork
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = TorchNetwork(config)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_((0.3 if parameter.dim() == 1 else 0.05) * torch.randn_like(parameter))
    weights = {name: values.numpy() for name, values in network.weights().items()}
    return {"torch": InTorch(network), "numpy": Network(config, weights)}


@pytest.fixture(scope="session", params=READERS, ids=_name)
def both_readers(request):
    """A network with a source in torch and in NumPy, of every architecture."""
    return _halves(request.param)


@pytest.fixture(scope="session", params=STREAMS, ids=_name)
def both_streams(request):
    """A network that reads the window before this one, in torch and in NumPy, of every architecture."""
    return _halves(request.param)


@pytest.fixture(scope="session", params=HALVES)
def reader(request, both_readers):
    """A network with a source, of every architecture, in either half."""
    return both_readers[request.param]


@pytest.fixture(scope="session", params=HALVES)
def stream(request, both_streams):
    """A network that reads the window before this one, of every architecture, in either half."""
    return both_streams[request.param]


@pytest.fixture
def random_network():
    """A function from a vocabulary size to a small network, the same each time."""
    def build(vocabulary_size, *, scale=1.0, seed=0, matmul=matmul_by_row, **options):
        config = ModelConfig(vocabulary_size, **{"hidden_size": 12, "embedding_size": 6} | options)
        generator = np.random.default_rng(seed)
        return Network(config, {
            name: (scale * generator.standard_normal(shape) / shape[-1] ** 0.5).astype(np.float32)
            for name, shape in config.parameter_shapes().items()}, matmul=matmul)
    return build


@pytest.fixture
def stepped():
    """A function from a network and ids to -log p of every id but the first, one step a token."""
    def nats(network, ids, state=None):
        state, costs = network.start(1) if state is None else state, []
        for before, token in zip(ids[:-1], ids[1:]):
            logits, state = network.step(np.array([[before]]), state)
            odds = [math.exp(value) for value in logits[0, 0].tolist()]
            costs.append(-math.log(odds[token] / math.fsum(odds)))
        return np.array(costs)
    return nats


@pytest.fixture
def steps_watched():
    """A function from a network to a list that fills with (rows, tokens) of its steps to come."""
    def watch(network):
        seen, step = [], network.step
        network.step = lambda tokens, state: seen.append(tokens.shape) or step(tokens, state)
        return seen
    return watch
