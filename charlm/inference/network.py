"""The whole network in NumPy: the contract's `start` and `step`.

`charlm.nn.network` is the same in torch; a test holds the two within 1e-5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from charlm.config import ModelConfig
from charlm.inference.cells import Parts, all_rows, build_layer, row_by_row


@dataclass(frozen=True)
class State:
    """The recurrent state of every layer: (B, H) arrays, h or h and c. Never changed in place."""

    layers: tuple[Parts, ...]

    def select(self, rows) -> State:
        """The state of these batch rows, in this order; rows may repeat."""
        return State(tuple(tuple(part[rows] for part in layer) for layer in self.layers))


class Network:
    """Stacked recurrent layers over a look-up table, and a linear head.

    Layer 0's input is one of V embeddings, so its projection is a table of V rows made once. A step
    of one token works row by row: a row's bits do not depend on the batch.
    """

    def __init__(self, config: ModelConfig, weights: dict[str, np.ndarray]):
        self.config = config
        self._layers = [
            build_layer(config.cell, [weights[f"decoder.{number}.{name}_l0"] for name in
                                      ("weight_ih", "weight_hh", "bias_ih", "bias_hh")],
                        nonlinearity=config.nonlinearity)
            for number in range(config.num_layers)]
        embedding = weights["embedding.weight"]
        self._table = self._layers[0].project(embedding, all_rows)      # (V, G*H)
        head = embedding if config.tied else weights["head.weight"]
        self._head = np.ascontiguousarray(head.T)                       # (H, V)
        self._head_bias = weights["head.bias"]

    def start(self, batch: int) -> State:
        """An empty past for `batch` rows."""
        zeros = np.zeros((batch, self.config.hidden_size), np.float32)
        return State(tuple((zeros,) * layer.parts for layer in self._layers))

    def step(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Read tokens (B, T); return logits (B, T, V) of the token after each, and the new state."""
        multiply = row_by_row if tokens.shape[1] == 1 else all_rows
        x, states = self._table[tokens.T], []                           # (T, B, G*H)
        for number, (layer, parts) in enumerate(zip(self._layers, state.layers)):
            if number:
                rows = layer.project(x.reshape(-1, x.shape[-1]), multiply)
                x = rows.reshape(*x.shape[:2], -1)                      # (T, B, G*H)
            x, parts = layer.run(x, parts)                              # (T, B, H)
            states.append(parts)
        logits = multiply(x.reshape(-1, x.shape[-1]), self._head)
        logits += self._head_bias
        return logits.reshape(*x.shape[:2], -1).swapaxes(0, 1), State(tuple(states))
