"""A separate encoder in torch: stacked layers that read a source in one direction or in both.

Each direction reads the whole source by itself; only then are the outputs of a layer joined. What
the encoder reads is complete before the decoder writes, so reading it from its end gives nothing
away. A shared encoder is the decoder's own layers over an embedding of the source (network.py).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from charlm.config import ModelConfig
from charlm.nn.layers import initialise_layer, recurrent_layer


def reversal(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """Indices (S, B) that turn each row's first lengths[b] steps round and leave its padding.

    >>> reversal(torch.tensor([3, 2]), 3).T.tolist()
    [[2, 1, 0], [1, 0, 2]]
    """
    time = torch.arange(size, device=lengths.device)[:, None]
    return torch.where(time < lengths, lengths - 1 - time, time)


def _reorder(x: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    return x.gather(0, indices[:, :, None].expand_as(x))


class Encoder(nn.Module):
    """The source's embedding and, unless shared, its layers: one module a direction in each."""

    def __init__(self, config: ModelConfig, *, dropout: float):
        super().__init__()
        self.dropout = dropout
        self.embedding = nn.Embedding(config.source_vocabulary_size, config.embedding_size)
        nn.init.normal_(self.embedding.weight)
        self.layers = nn.ModuleList(
            nn.ModuleList(recurrent_layer(config, config.memory_size if number else config.embedding_size)
                          for _ in range(config.directions))
            for number in range(config.num_layers if config.directions else 0))
        for layer in self.layers:
            for direction in layer:
                initialise_layer(direction, config)

    def forward(self, source: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read sources (B, S) of these lengths; return outputs (S, B, M) and last ones (B, M).

        The last output of a direction is the one that has read the row's whole source. Outputs
        beyond a row's length mean nothing.
        """
        x, back = self.embedding(source.T), reversal(lengths, source.shape[1])
        ends = (lengths - 1)[None, :, None]
        for number, layer in enumerate(self.layers):
            if number:
                x = F.dropout(x, self.dropout, self.training)
            outputs = [layer[0](x)[0]]                                      # (S, B, H)
            last = [outputs[0].gather(0, ends.expand(1, -1, outputs[0].shape[2]))[0]]
            if len(layer) > 1:
                # Padding comes after what is turned round, so it never reaches a true position.
                outputs.append(_reorder(layer[1](_reorder(x, back))[0], back))
                last.append(outputs[1][0])
            x = torch.cat(outputs, dim=2)                                   # (S, B, M)
        return x, torch.cat(last, dim=1)
