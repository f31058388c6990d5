"""The encoder against torch's stacked and bidirectional modules, over packed sources."""

import itertools

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from charlm.config import ModelConfig
from charlm.nn.encoder import Encoder
from charlm.nn.network import Network

pytestmark = pytest.mark.usefixtures("one_thread")

CELLS = [("lstm", "tanh"), ("gru", "tanh"), ("rnn", "tanh"), ("rnn", "relu")]
TORCH_CLASSES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
LENGTHS = torch.tensor([5, 7, 1, 3])
SOURCES = torch.randint(9, (4, 7), generator=torch.Generator().manual_seed(1))

every_stack = pytest.mark.parametrize(
    "cell, nonlinearity, layers", [(*cell, layers) for cell, layers in itertools.product(CELLS, (1, 2, 3))])


def make_config(encoder, cell, nonlinearity, layers, **options):
    return ModelConfig(11, cell=cell, nonlinearity=nonlinearity, num_layers=layers, embedding_size=5, hidden_size=6,
                       encoder=encoder, source_vocabulary_size=9, **options)


@torch.no_grad()
def with_random_biases(module):
    """Return the module with noise added to every parameter: zero biases would hide mistakes."""
    for parameter in module.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    return module


@torch.no_grad()
def run_torch(config, embedding, layer_of):
    """Return outputs (S, B, M) and final states of a torch module with the weights of these single layers."""
    options = {"nonlinearity": config.nonlinearity} if config.cell == "rnn" else {}
    two = config.encoder == "bidirectional"
    stack = TORCH_CLASSES[config.cell](config.embedding_size, config.hidden_size, config.num_layers,
                                bidirectional=two, **options)
    for name, values in stack.named_parameters():
        number, direction = int(name.removesuffix("_reverse")[-1]), int(name.endswith("_reverse"))
        array = name.removesuffix("_reverse")[:-1] + "0"
        values.copy_(getattr(layer_of(number, direction), array))
    packed = pack_padded_sequence(embedding(SOURCES.T), LENGTHS, enforce_sorted=False)
    outputs, states = stack(packed)
    return pad_packed_sequence(outputs)[0], states if config.cell == "lstm" else (states,)


def assert_equal_before_padding(outputs, expected):
    for row, length in enumerate(LENGTHS):
        assert torch.allclose(outputs[:length, row], expected[:length, row], atol=1e-6)


@every_stack
@pytest.mark.parametrize("kind", ["stacked", "bidirectional"])
def test_encoder_equals_torch_on_packed_sources(kind, cell, nonlinearity, layers):
    torch.manual_seed(2)
    config = make_config(kind, cell, nonlinearity, layers)
    encoder = with_random_biases(Encoder(config, dropout=0.0))
    stack = encoder.layers
    expected, (hidden, *_) = run_torch(config, encoder.embedding, lambda layer, direction: stack[layer][direction])
    with torch.no_grad():
        outputs, last = encoder(SOURCES, LENGTHS)
    assert outputs.shape == (7, 4, config.memory_size) and last.shape == (4, config.memory_size)
    assert_equal_before_padding(outputs, expected)
    assert torch.allclose(last, torch.cat([*hidden[-config.directions:]], dim=1), atol=1e-6)


@every_stack
def test_shared_encoder_is_the_decoder_and_passes_its_state_on(cell, nonlinearity, layers):
    torch.manual_seed(2)
    config = make_config("shared", cell, nonlinearity, layers, attention=True)
    network = with_random_biases(Network(config))
    expected, ends = run_torch(config, network.encoder.embedding, lambda number, _: network.decoder[number])
    with torch.no_grad():
        state = network.encode(SOURCES, LENGTHS)
    assert_equal_before_padding(state.memory.values[:, 1:].transpose(0, 1), expected)
    for array, end in enumerate(ends):
        for layer in range(layers):
            assert torch.allclose(state.layers[layer][array][0], end[layer], atol=1e-6)


@pytest.mark.parametrize("cell", TORCH_CLASSES)
@torch.no_grad()
def test_bridge_computes_every_hidden_state_from_both_ends_of_the_source(cell):
    torch.manual_seed(2)
    network = with_random_biases(Network(make_config("bidirectional", cell, "tanh", 2)))
    sources = torch.tensor([[1, 2, 3], [4, 2, 3], [1, 2, 5]])
    state = network.encode(sources, torch.tensor([3, 3, 3]))
    arrays = [array for layer in state.layers for array in layer]
    assert len(arrays) == 2 * network.config.state_tensors
    assert len(torch.unique(torch.cat(arrays)[:, 0, 0])) == len(arrays)
    for array in arrays:
        assert array.shape == (1, 3, 6) and array.abs().max() < 1
        assert not torch.equal(array[:, 0], array[:, 1]) and not torch.equal(array[:, 0], array[:, 2])


@pytest.mark.parametrize("layers", [1, 2])              # with one layer, only the memory itself is dropped from
@pytest.mark.parametrize("encoder", ["shared", "stacked", "bidirectional"])
@pytest.mark.parametrize("attention", [False, True])
@torch.no_grad()
def test_memory_is_dropped_from_in_training_mode_only(encoder, attention, layers):
    torch.manual_seed(2)
    network = Network(make_config(encoder, "lstm", "tanh", layers, attention=attention), dropout=0.5)

    def memory():
        return network.encode(SOURCES, LENGTHS).memory.values

    network.train()
    assert not torch.equal(memory(), memory())
    network.eval()
    assert torch.equal(memory(), memory())


@pytest.mark.parametrize("attention", [False, True])
@torch.no_grad()
def test_merged_context_is_dropped_from_in_training_mode_only(attention):
    torch.manual_seed(2)
    network = Network(make_config("shared", "lstm", "tanh", 1, attention=attention), dropout=0.5)
    state = network.eval().encode(SOURCES, LENGTHS)
    assert torch.equal(network.step(SOURCES, state)[0], network.step(SOURCES, state)[0])
    # The merged context is now the same everywhere, whatever was dropped before it.
    network.context.merge.weight.zero_()
    network.context.merge.bias.fill_(1.0)
    assert network.step(SOURCES, state)[0].std(dim=1).max() < 1e-6
    network.train()
    assert network.step(SOURCES, state)[0].std(dim=1).max() > 1e-3
