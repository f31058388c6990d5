"""One recurrent layer of each cell in torch: building, initialising and running it over a window.

Dropout is applied between them, not by cuDNN, whose random state cannot be restored.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from charlm.config import ModelConfig

HiddenState = tuple[torch.Tensor, ...]  # h, or h and c, each (1, B, H)


def recurrent_layer(config: ModelConfig, input_size: int) -> nn.Module:
    """Return a time-major layer: (T, B, input_size), state -> (T, B, H), state."""
    if config.cell == "lstm":
        return nn.LSTM(input_size, config.hidden_size)
    if config.cell == "gru":
        return nn.GRU(input_size, config.hidden_size)
    return nn.RNN(input_size, config.hidden_size, nonlinearity=config.nonlinearity)


@torch.no_grad()
def initialise_layer(layer: nn.Module, config: ModelConfig) -> None:
    """Make recurrent matrices orthogonal and input matrices Xavier-uniform, gate by gate, and biases zero.

    An LSTM's forget bias is one (Jozefowicz et al. 2015), in one of the two bias vectors only.
    """
    for block in layer.get_parameter("weight_hh_l0").chunk(config.gates):
        nn.init.orthogonal_(block)
    for block in layer.get_parameter("weight_ih_l0").chunk(config.gates):
        nn.init.xavier_uniform_(block)
    bias = layer.get_parameter("bias_ih_l0").zero_()
    layer.get_parameter("bias_hh_l0").zero_()
    if config.cell == "lstm":
        bias.chunk(config.gates)[1].fill_(1.0)      # torch orders the gates input, forget, cell, output


def run_layer(layer: nn.Module, x: torch.Tensor, state: HiddenState,
              lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, HiddenState]:
    """Read x (T, B, I); return outputs (T, B, H) and the state after the last step.

    With `lengths`, which is slower, row b ends after lengths[b] steps, so that its state has not read the padding.
    """
    packed = x if lengths is None else pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
    outputs, new = layer(packed, state if len(state) > 1 else state[0])
    if lengths is not None:
        outputs, _ = pad_packed_sequence(outputs, total_length=len(x))
    return outputs, new if isinstance(new, tuple) else (new,)


def layer_name(parameter: str) -> str:
    """Return a readable name for a parameter's layer; both directions of a layer have the same name.

    >>> layer_name("decoder.0.weight_hh_l0"), layer_name("encoder.layers.1.0.bias_ih_l0"), layer_name("head.bias")
    ('decoder 1', 'encoder 2', 'head')
    """
    first, second, *_ = parameter.removeprefix("encoder.layers.").split(".")
    if parameter.startswith("encoder.layers."):
        return f"encoder {int(first) + 1}"
    if first == "encoder":
        return "source embedding"
    return f"decoder {int(second) + 1}" if first == "decoder" else first
