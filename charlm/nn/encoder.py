"""A separate encoder in torch: stacked layers that read a source in one direction or in both.

Each direction reads the whole source separately; only then are a layer's outputs joined. The source is complete before
the decoder writes, so reading it backwards leaks nothing. A shared encoder is in network.py: the decoder's own layers.
"""

from __future__ import annotations

import torch
from torch import nn

from charlm.config import ModelConfig
from charlm.nn.dropout import Dropout
from charlm.nn.layers import initialise_layer, recurrent_layer


def reversal(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Return indices (S, B) that reverse each row's first lengths[b] steps and leave its padding in place.

    >>> reversal(torch.tensor([3, 2]), 3).T.tolist()
    [[2, 1, 0], [1, 0, 2]]
    """
    time = torch.arange(size, device=lengths.device)[:, None]
    return torch.where(time < lengths, lengths - 1 - time, time)


def _reorder(x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Return x (S, B, H) with its steps in the order of indices (S, B)."""
    return x.gather(0, indices[:, :, None].expand_as(x))


class Encoder(nn.Module):
    """The source's embedding and, unless the encoder is shared, its layers: one module for each direction in each."""

    def __init__(self, config: ModelConfig, *, dropout: float):
        super().__init__()
        self.dropout = Dropout(dropout)
        self.embedding = nn.Embedding(config.source_vocabulary_size, config.embedding_size)
        nn.init.normal_(self.embedding.weight)
        layers = [[recurrent_layer(config, config.memory_size if number else config.embedding_size)
                   for _ in range(config.directions)]
                  for number in range(config.num_layers if config.directions else 0)]
        self.layers = nn.ModuleList(map(nn.ModuleList, layers))
        for layer in layers:
            for direction in layer:
                initialise_layer(direction, config)

    def forward(self, source: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read sources (B, S) of these lengths; return outputs (S, B, M) and the last outputs (B, M).

        The last output of a direction has read the row's whole source. Outputs beyond a row's length are meaningless.
        """
        x, back = self.embedding(source.T), reversal(lengths, source.shape[1])
        ends = (lengths - 1)[None, :, None]
        for number, layer in enumerate(self.layers):
            if number:
                x = self.dropout(x)
            forward, *backward = layer.children()
            output = forward(x)[0]                                          # (S, B, H)
            outputs, last = [output], [output.gather(0, ends.expand(1, -1, output.shape[2]))[0]]
            for direction in backward:
                # The padding follows the reversed tokens, so it never reaches the output of a real position.
                output = _reorder(direction(_reorder(x, back))[0], back)
                outputs.append(output)
                last.append(output[0])
            x = torch.cat(outputs, dim=2)                                   # (S, B, M)
        return x, torch.cat(last, dim=1)
