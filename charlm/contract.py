"""The protocols that rooms share, and the array types in their signatures. Shapes: B batch, T time, V vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charlm.config import ModelConfig

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]
RowIndex = IntArray | BoolArray | slice | Sequence[int]

# Networks


class State(Protocol):
    """The recurrent state of a batch, with the memory of a source where the network has one. It is immutable."""

    def select(self, rows: RowIndex) -> State:
        """Return the state of these batch rows in this order; rows may repeat."""


class Network(Protocol):
    """A network of any architecture. A `state` is one that `start`, `encode` or `step` of the same network returned."""

    @property
    def config(self) -> ModelConfig:
        """The architecture."""

    def start(self, batch: int) -> State:
        """Return the state of `batch` rows that have read nothing."""

    def encode(self, source: IntArray, lengths: IntArray, positions: tuple[IntArray, IntArray] | None = None) -> State:
        """Return the decoder's first state after sources (B, S), with a memory of them.

        Row b is lengths[b] >= 1 tokens long; the padding after them has no effect. With `positions`, source rows (G,)
        and token positions (G,), the state has G rows, each starting from the encoder's output at its position;
        without, it has B rows, each starting from the last outputs.
        """

    def step(self, tokens: IntArray, state: Any) -> tuple[FloatArray, State]:
        """Read tokens (B, T); return logits (B, T, V) for the token after each, and the new state."""
