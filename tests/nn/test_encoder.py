"""The encoder against torch's own stacked and bidirectional layers, over packed sources."""

import itertools

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from charlm.config import ModelConfig
from charlm.nn.encoder import Encoder
from charlm.nn.network import Network

pytestmark = pytest.mark.usefixtures("one_thread")

CELLS = [("lstm", "tanh"), ("gru", "tanh"), ("rnn", "tanh"), ("rnn", "relu")]
TORCHS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
LENGTHS = torch.tensor([5, 7, 1, 3])
SOURCES = torch.randint(9, (4, 7), generator=torch.Generator().manual_seed(1))

every_stack = pytest.mark.parametrize(
    "cell, nonlinearity, layers", [(*cell, layers) for cell, layers in itertools.product(CELLS, (1, 2, 3))])


def configured(encoder, cell, nonlinearity, layers, **options):
    return ModelConfig(11, cell=cell, nonlinearity=nonlinearity, num_layers=layers, embedding_size=5, hidden_size=6,
                       encoder=encoder, source_vocabulary_size=9, **options)


@torch.no_grad()
def roughened(module):
    """Biases that are all zero would hide mistakes."""
    for parameter in module.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    return module


@torch.no_grad()
def torchs(config, embedding, layer_of):
    """Outputs (S, B, M) and final states of torch's own stack with these single layers' weights."""
    options = {"nonlinearity": config.nonlinearity} if config.cell == "rnn" else {}
    two = config.encoder == "bidirectional"
    stack = TORCHS[config.cell](config.embedding_size, config.hidden_size, config.num_layers,
                                bidirectional=two, **options)
    for name, values in stack.named_parameters():
        number, direction = int(name.removesuffix("_reverse")[-1]), int(name.endswith("_reverse"))
        part = name.removesuffix("_reverse")[:-1] + "0"
        values.copy_(getattr(layer_of(number, direction), part))
    packed = pack_padded_sequence(embedding(SOURCES.T), LENGTHS, enforce_sorted=False)
    outputs, states = stack(packed)
    return pad_packed_sequence(outputs)[0], states if config.cell == "lstm" else (states,)


def assert_equal_where_read(outputs, expected):
    for row, length in enumerate(LENGTHS):
        assert torch.allclose(outputs[:length, row], expected[:length, row], atol=1e-6)


@every_stack
@pytest.mark.parametrize("encoder", ["stacked", "bidirectional"])
def test_encoder_equals_torchs_own(encoder, cell, nonlinearity, layers):
    torch.manual_seed(2)
    config = configured(encoder, cell, nonlinearity, layers)
    ours = roughened(Encoder(config, dropout=0.0))
    expected, (hidden, *_) = torchs(config, ours.embedding, lambda number, direction: ours.layers[number][direction])
    with torch.no_grad():
        outputs, last = ours(SOURCES, LENGTHS)
    assert outputs.shape == (7, 4, config.memory_size) and last.shape == (4, config.memory_size)
    assert_equal_where_read(outputs, expected)
    assert torch.allclose(last, torch.cat([*hidden[-config.directions:]], dim=1), atol=1e-6)


@every_stack
def test_shared_encoder_is_the_decoders_own_layers_and_hands_their_state_on(cell, nonlinearity, layers):
    torch.manual_seed(2)
    config = configured("shared", cell, nonlinearity, layers, attention=True)
    network = roughened(Network(config))
    expected, ends = torchs(config, network.encoder.embedding, lambda number, _: network.decoder[number])
    with torch.no_grad():
        state = network.encode(SOURCES, LENGTHS)
    assert_equal_where_read(state.memory.values[:, 1:].transpose(0, 1), expected)
    for part, end in enumerate(ends):
        for layer in range(layers):
            assert torch.allclose(state.layers[layer][part][0], end[layer], atol=1e-6)


@pytest.mark.parametrize("cell", TORCHS)
@torch.no_grad()
def test_bridge_starts_every_part_of_every_layer_from_both_ends_of_the_source(cell):
    torch.manual_seed(2)
    network = roughened(Network(configured("bidirectional", cell, "tanh", 2)))
    sources = torch.tensor([[1, 2, 3], [4, 2, 3], [1, 2, 5]])
    state = network.encode(sources, torch.tensor([3, 3, 3]))
    parts = [part for layer in state.layers for part in layer]
    assert len(parts) == 2 * network.config.parts
    assert len(torch.unique(torch.cat(parts)[:, 0, 0])) == len(parts)
    for part in parts:
        assert part.shape == (1, 3, 6) and part.abs().max() < 1
        assert not torch.equal(part[:, 0], part[:, 1]) and not torch.equal(part[:, 0], part[:, 2])


@pytest.mark.parametrize("layers", [1, 2])              # of one layer, only the memory itself is dropped from
@pytest.mark.parametrize("encoder", ["shared", "stacked", "bidirectional"])
@pytest.mark.parametrize("attention", [False, True])
@torch.no_grad()
def test_dropout_of_a_memory_acts_in_training_mode_only(encoder, attention, layers):
    torch.manual_seed(2)
    network = Network(configured(encoder, "lstm", "tanh", layers, attention=attention), dropout=0.5)

    def memory():
        return network.encode(SOURCES, LENGTHS).memory.values

    network.train()
    assert not torch.equal(memory(), memory())
    network.eval()
    assert torch.equal(memory(), memory())


@pytest.mark.parametrize("attention", [False, True])
@torch.no_grad()
def test_what_is_merged_with_the_memory_is_dropped_from_in_training_mode_only(attention):
    torch.manual_seed(2)
    network = Network(configured("shared", "lstm", "tanh", 1, attention=attention), dropout=0.5)
    state = network.eval().encode(SOURCES, LENGTHS)
    assert torch.equal(network.step(SOURCES, state)[0], network.step(SOURCES, state)[0])
    # What is merged is now the same everywhere, whatever was dropped before it.
    network.context.merge.weight.zero_()
    network.context.merge.bias.fill_(1.0)
    assert network.step(SOURCES, state)[0].std(dim=1).max() < 1e-6
    network.train()
    assert network.step(SOURCES, state)[0].std(dim=1).max() > 1e-3
