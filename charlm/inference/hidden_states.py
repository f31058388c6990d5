"""The state of a network after a text, as plain arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from charlm.contract import FloatArray, IntArray
from charlm.inference.network import Network
from charlm.inference.text_scoring import regroup

PIECE = 1024                            # tokens read at once


class HiddenStates(NamedTuple):
    """The state of every layer after the last token: N layers, the one nearest the input first, with H units each."""

    hidden: FloatArray                  # (N, H) float32: h, which is the output of the layer
    cell: FloatArray | None             # (N, H) float32: c for an lstm, otherwise None


def hidden_states(network: Network, ids: IntArray) -> HiddenStates:
    """Return the state of the network after reading ids (T,) from the beginning."""
    state = network.start(1)
    for piece in regroup([ids], PIECE):
        _, state = network.hidden(piece[None], state)
    hidden, *cell = (np.concatenate(parts) for parts in zip(*state.layers, strict=True))
    return HiddenStates(hidden, cell[0] if cell else None)
