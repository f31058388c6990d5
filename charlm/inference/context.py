"""What the decoder takes from the memory, in NumPy; `charlm.nn.context` is the same in torch."""

from __future__ import annotations

import numpy as np

from charlm.config import ModelConfig
from charlm.inference.cells import matmul
from charlm.inference.state import Memory


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis, in place."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


class Context:
    """Makes a memory of what the encoder read, and merges it into the decoder's outputs."""

    def __init__(self, config: ModelConfig, weights: dict[str, np.ndarray]):
        self._empty = weights["context.empty"]
        self._attention = config.attention
        if config.attention:
            scale = np.float32(config.hidden_size ** -0.5)
            self._query = np.ascontiguousarray(weights["context.query.weight"].T * scale)   # (H, H)
            self._key = np.ascontiguousarray(weights["context.key.weight"].T)               # (M, H)
        self._merge = np.ascontiguousarray(weights["context.merge.weight"].T)               # (H + M, H)
        self._merge_bias = weights["context.merge.bias"]

    def empty_memory(self, batch: int, positions: int) -> Memory:
        """The memory of an empty past, as wide as that of so many positions."""
        outputs = np.zeros((positions, batch, len(self._empty)), np.float32)
        return self.build_memory(outputs, np.tile(self._empty, (batch, 1)), np.zeros(batch, np.int64))

    def build_memory(self, outputs: np.ndarray, last: np.ndarray, lengths: np.ndarray,
                 rows: np.ndarray | None = None) -> Memory:
        """The memory of an encoder's outputs (S, B, M), or of the last ones (B, M) alone.

        With `rows`, last is (G, M), and each of the G rows remembers that row of the outputs.
        """
        if not self._attention:
            return Memory(last[:, None], None, None, np.arange(len(last)))
        positions, batch, width = outputs.shape
        values = np.empty((batch, 1 + positions, width), np.float32)
        values[:, 0] = self._empty
        values[:, 1:] = outputs.swapaxes(0, 1)
        absent = np.arange(1 + positions) > lengths[:, None]
        hidden = np.where(absent, np.float32(-np.inf), np.float32(0))[:, None]
        memory = Memory(values, matmul(values, self._key), hidden, np.arange(batch))
        return memory if rows is None else memory.rows(rows)

    def forward(self, x: np.ndarray, memory: Memory, multiply) -> np.ndarray:
        """Decoder outputs (T, B, H), each merged with its context: (T, B, H)."""
        time, batch, width = x.shape
        context = self._attend(x, memory, multiply) if self._attention else \
            np.broadcast_to(memory.values.swapaxes(0, 1), (time, batch, memory.values.shape[2]))
        joined = np.concatenate([x, context], axis=2).reshape(time * batch, -1)
        merged = multiply(joined, self._merge)
        merged += self._merge_bias
        return np.tanh(merged, out=merged).reshape(time, batch, width)

    def _attend(self, x: np.ndarray, memory: Memory, multiply) -> np.ndarray:
        query = multiply(x.reshape(-1, x.shape[2]), self._query).reshape(x.shape)
        scores = np.matmul(query.swapaxes(0, 1), memory.keys.swapaxes(1, 2))    # (B, T, S)
        scores += memory.mask
        return np.matmul(_softmax(scores), memory.values).swapaxes(0, 1)        # (T, B, M)
