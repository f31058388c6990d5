"""The decoder's context from the memory: attention, or one fixed vector, merged into the decoder's outputs.

It follows the recurrent layers, for a whole window without a loop over time: scaled dot product (Vaswani et al. 2017,
eq. 1), then the attentional vector of Luong et al. 2015 (eq. 5).
"""

from __future__ import annotations

import torch
from torch import nn

from charlm.config import ModelConfig
from charlm.nn.dropout import Dropout
from charlm.nn.state import Memory


class Context(nn.Module):
    """Builds a memory of the encoder's outputs, and merges the context from it into the decoder's outputs.

    Position 0 of every memory is a learned vector, which attention can choose if no other position fits.
    """

    def __init__(self, config: ModelConfig, *, dropout: float):
        super().__init__()
        self.dropout = Dropout(dropout)
        self.attention = config.attention
        if config.attention:
            self.query = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
            self.key = nn.Linear(config.memory_size, config.hidden_size, bias=False)
        self.empty = nn.Parameter(torch.zeros(config.memory_size))
        self.merge = nn.Linear(config.hidden_size + config.memory_size, config.hidden_size)
        for module in self.children():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(self.merge.bias)

    def empty_memory(self, batch: int, positions: int) -> Memory:
        """Return the memory of an empty past, padded to this many positions."""
        outputs = self.empty.new_zeros(positions, batch, len(self.empty))
        return self.build_memory(outputs, self.empty.expand(batch, -1),
                                 torch.zeros(batch, dtype=torch.long, device=outputs.device))

    def build_memory(self, outputs: torch.Tensor, last: torch.Tensor, lengths: torch.Tensor,
                     rows: torch.Tensor | None = None) -> Memory:
        """Return the memory of an encoder's outputs (S, B, M) or, without attention, of the last ones (B, M) alone.

        With `rows` (G,), last is (G, M), and row g of the memory is that of row rows[g] of the outputs.
        """
        if not self.attention:
            return Memory(self.dropout(last)[:, None], None, None)
        empty = self.empty.expand(1, outputs.shape[1], -1)
        values = self.dropout(torch.cat([empty, outputs]).transpose(0, 1))  # (B, 1 + S, M)
        positions = torch.arange(values.shape[1], device=lengths.device)
        memory = Memory(values, self.key(values), positions <= lengths[:, None])
        return memory if rows is None else memory.select(rows)

    def forward(self, x: torch.Tensor, memory: Memory) -> torch.Tensor:
        """Return the decoder's outputs (T, B, H), each merged with its context, (T, B, H)."""
        return torch.tanh(self.merge(torch.cat([x, self._context(x, memory)], dim=2)))

    def _context(self, x: torch.Tensor, memory: Memory) -> torch.Tensor:
        """Return the contexts (T, B, M); without attention, the memory's one position at every step."""
        if memory.keys is None or memory.mask is None:
            return memory.values.transpose(0, 1).expand(len(x), -1, -1)
        query = self.query(x).transpose(0, 1)                               # (B, T, H)
        scores = query @ memory.keys.mT * query.shape[2] ** -0.5            # (B, T, S)
        weights = scores.masked_fill(~memory.mask[:, None], float("-inf")).softmax(dim=2)
        return (weights @ memory.values).transpose(0, 1)
