"""The state that the NumPy network carries from one step to the next. Never changed in place."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from charlm.contract import FloatArray, IntArray, RowIndex
from charlm.inference.cells import HiddenState


@dataclass(frozen=True)
class Memory:
    """The encoder's outputs by position, after a learned empty slot; without attention only one, the context."""

    values: FloatArray                  # (B, S, M)
    keys: FloatArray | None             # (B, S, H), with attention
    mask: FloatArray | None             # (B, 1, S): 0, or -inf in the padding of a shorter source
    source: IntArray                    # (B,) the source that each row's memory is of

    def select(self, rows: RowIndex) -> Memory:
        """Return the memory of these rows; nothing is copied if the sources are the same, as within a beam."""
        source = self.source[rows]
        if np.array_equal(source, self.source):
            return self
        keys, mask = (part if part is None else part[rows] for part in (self.keys, self.mask))
        return Memory(self.values[rows], keys, mask, source)

    @staticmethod
    def join(memories: list[Memory]) -> Memory:
        """Concatenate the rows of memories of equal width."""
        columns = zip(*((memory.keys, memory.mask) for memory in memories), strict=True)
        keys, mask = (np.concatenate(present) if (present := [part for part in column if part is not None]) else None
                      for column in columns)
        values = np.concatenate([memory.values for memory in memories])
        return Memory(values, keys, mask, np.arange(len(values)))


@dataclass(frozen=True)
class State:
    """The hidden states (B, H) of every layer, h or h and c; with a source, also its memory."""

    layers: tuple[HiddenState, ...]
    memory: Memory | None = None
    window_tokens: IntArray | None = None       # (B, t), kept until the window is full and becomes the source

    @property
    def tokens_in_window(self) -> int:
        """The number of tokens read in the current window."""
        return 0 if self.window_tokens is None else self.window_tokens.shape[1]

    def select(self, rows: RowIndex) -> State:
        """Return the state of these batch rows in this order; rows may repeat."""
        return State(tuple(tuple(part[rows] for part in layer) for layer in self.layers),
                     self.memory and self.memory.select(rows),
                     None if self.window_tokens is None else self.window_tokens[rows])


@dataclass(frozen=True)
class Recording:
    """The inside of a network while it reads, in pieces of time: one list entry a piece."""

    units: list[FloatArray] = field(default_factory=list)           # (B, T, L, H) activations after each token
    attention: list[FloatArray] = field(default_factory=list)       # (B, T, S) weights of the memory's positions
