"""The initialisation of a recurrent layer, gate by gate."""

import math

import pytest
import torch

from charlm.config import ModelConfig
from charlm.nn.layers import initialise_layer, layer_name, recurrent_layer

GATES = {"lstm": 4, "gru": 3, "rnn": 1}             # Hochreiter 1997 with Gers 2000; Cho 2014; Elman 1990
INPUTS, HIDDEN = 24, 16


def build_layer(cell):
    torch.manual_seed(1)
    config = ModelConfig(5, cell=cell, hidden_size=HIDDEN)
    layer = recurrent_layer(config, INPUTS)
    initialise_layer(layer, config)
    return layer


def blocks_of(matrix, cell):
    return matrix.detach().reshape(GATES[cell], HIDDEN, -1)


@pytest.mark.parametrize("cell", GATES)
def test_recurrent_matrix_is_orthogonal_in_every_gate(cell):
    for block in blocks_of(build_layer(cell).weight_hh_l0, cell):
        assert torch.allclose(block @ block.T, torch.eye(HIDDEN), atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gates_are_initialised_differently(cell):
    layer = build_layer(cell)
    for matrix in (layer.weight_hh_l0, layer.weight_ih_l0):
        first, *others = blocks_of(matrix, cell)
        assert all(not torch.allclose(first, other, atol=0.01) for other in others)


@pytest.mark.parametrize("cell", GATES)
def test_input_matrix_fills_the_xavier_range_of_a_single_gate(cell):
    # Glorot and Bengio 2010, equation 16. The range of the stacked matrix would be narrower.
    bound = math.sqrt(6 / (INPUTS + HIDDEN))
    for block in blocks_of(build_layer(cell).weight_ih_l0, cell):
        assert 0.95 * bound < block.abs().max() <= bound


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_biases_are_initialised_to_zero(cell):
    layer = build_layer(cell)
    assert not layer.bias_ih_l0.any() and not layer.bias_hh_l0.any()


def test_forget_bias_is_one_in_one_vector_only():
    layer = build_layer("lstm")
    total = (layer.bias_ih_l0 + layer.bias_hh_l0).reshape(4, HIDDEN)
    assert torch.equal(total[1], torch.ones(HIDDEN))        # torch's order: input, forget, cell, output
    assert not total[[0, 2, 3]].any()
    assert sorted(int(bias.count_nonzero()) for bias in (layer.bias_ih_l0, layer.bias_hh_l0)) == [0, HIDDEN]


@pytest.mark.parametrize("cell, nonlinearity, layer_class, mode", [
    ("lstm", "tanh", torch.nn.LSTM, "LSTM"), ("gru", "tanh", torch.nn.GRU, "GRU"),
    ("rnn", "tanh", torch.nn.RNN, "RNN_TANH"), ("rnn", "relu", torch.nn.RNN, "RNN_RELU")])
def test_layer_has_the_configured_cell(cell, nonlinearity, layer_class, mode):
    layer = recurrent_layer(ModelConfig(5, cell=cell, nonlinearity=nonlinearity, hidden_size=7), 3)
    assert type(layer) is layer_class and layer.mode == mode
    assert (layer.input_size, layer.hidden_size, layer.num_layers) == (3, 7, 1)
    assert layer.dropout == 0 and not layer.bidirectional


def test_every_parameter_of_any_architecture_has_a_layer_with_a_name():
    config = ModelConfig(5, source_vocabulary_size=7, encoder="bidirectional", attention=True, num_layers=2)
    assert list(dict.fromkeys(map(layer_name, config.parameter_shapes()))) == [
        "embedding", "decoder 1", "decoder 2", "head", "source embedding", "encoder 1", "encoder 2", "bridge",
        "context"]
