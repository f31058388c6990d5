"""One recurrent layer of each cell, in torch, how its weights begin, and running one over a window.

Single-layer modules only: dropout stands between them, in network.py and encoder.py, where its
randomness can be restored; cuDNN's own cannot.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from charlm.config import ModelConfig

FORGET_GATE = 1                         # torch orders an LSTM's gates input, forget, cell, output

Parts = tuple[torch.Tensor, ...]        # h, or h and c, each (1, B, H)


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


def run_layer(layer: nn.Module, x: torch.Tensor, past: Parts) -> tuple[torch.Tensor, Parts]:
    """Read x (T, B, I); return outputs (T, B, H) and the parts after the last step."""
    outputs, new = layer(x, past if len(past) > 1 else past[0])
    return outputs, new if isinstance(new, tuple) else (new,)


def run_layer_to_ends(layer: nn.Module, x: torch.Tensor, past: Parts,
                      lengths: torch.Tensor) -> tuple[torch.Tensor, Parts]:
    """The same where row b ends after lengths[b] steps: its parts are those of its own last step.

    Slower than `run_layer`, whose last parts have read the padding.
    """
    packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
    outputs, parts = run_layer(layer, packed, past)
    return pad_packed_sequence(outputs, total_length=len(x))[0], parts
