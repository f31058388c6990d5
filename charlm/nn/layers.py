"""One recurrent layer of each cell, in torch, and how its weights begin.

Single-layer modules only: dropout stands between them, in network.py, where its randomness can be
restored; cuDNN's own cannot.
"""

from __future__ import annotations

import torch
from torch import nn

from charlm.config import ModelConfig

FORGET_GATE = 1                         # torch orders an LSTM's gates input, forget, cell, output


def recurrent_layer(config: ModelConfig, input_size: int) -> nn.Module:
    """A time-major layer: (T, B, input_size), state -> (T, B, H), state."""
    if config.cell == "lstm":
        return nn.LSTM(input_size, config.hidden_size)
    if config.cell == "gru":
        return nn.GRU(input_size, config.hidden_size)
    return nn.RNN(input_size, config.hidden_size, nonlinearity=config.nonlinearity)


@torch.no_grad()
def initialise_layer(layer: nn.Module, config: ModelConfig) -> None:
    """Recurrent matrices orthogonal and input matrices Xavier, gate by gate; biases zero.

    An LSTM's forget bias is one (Jozefowicz et al. 2015), in one of the two bias vectors only.
    """
    for block in layer.weight_hh_l0.chunk(config.gates):
        nn.init.orthogonal_(block)
    for block in layer.weight_ih_l0.chunk(config.gates):
        nn.init.xavier_uniform_(block)
    layer.bias_ih_l0.zero_()
    layer.bias_hh_l0.zero_()
    if config.cell == "lstm":
        layer.bias_ih_l0.chunk(config.gates)[FORGET_GATE].fill_(1.0)
