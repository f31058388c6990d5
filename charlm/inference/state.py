"""What a network carries from one step to the next, in NumPy. Never changed in place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from charlm.inference.cells import Parts


@dataclass(frozen=True)
class Memory:
    """What the encoder made of a source, position by position; position 0 is the empty one.

    Without attention there is one position, which is the context at every step.
    """

    values: np.ndarray                  # (B, S, M)
    keys: np.ndarray | None             # (B, S, H), with attention
    mask: np.ndarray | None             # (B, 1, S): 0, or -inf where a shorter source is padded
    source: np.ndarray                  # (B,) whose memory a row is

    def rows(self, rows) -> Memory:
        """The memory of these rows; the same one where each row's source stays what it was, as in a
        search whose hypotheses change positions."""
        source = self.source[rows]
        if np.array_equal(source, self.source):
            return self
        return Memory(*(part if part is None else part[rows]
                        for part in (self.values, self.keys, self.mask)), source)


    @staticmethod
    def join(memories: list[Memory]) -> Memory:
        """Equally wide memories as one, rows in order."""
        def joined(part: str) -> np.ndarray | None:
            arrays = [getattr(memory, part) for memory in memories]
            return None if arrays[0] is None else np.concatenate(arrays)

        rows = sum(len(memory.source) for memory in memories)
        return Memory(joined("values"), joined("keys"), joined("mask"), np.arange(rows))


@dataclass(frozen=True)
class State:
    """The recurrent state of every layer: (B, H) arrays, h or h and c.

    A network with a source carries the memory of it, too; in a stream its source is the window of
    tokens before this one, so the tokens of this window, `window_tokens`, are kept for the next.
    """

    layers: tuple[Parts, ...]
    memory: Memory | None = None
    window_tokens: np.ndarray | None = None      # (B, t), t up to the window's length

    def select(self, rows) -> State:
        """The state of these batch rows, in this order; rows may repeat."""
        return State(tuple(tuple(part[rows] for part in layer) for layer in self.layers),
                     self.memory and self.memory.rows(rows),
                     self.window_tokens if self.window_tokens is None else self.window_tokens[rows])
