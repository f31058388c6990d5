"""The decoder's context from the memory, in NumPy; `charlm.nn.context` is the same in torch."""

from __future__ import annotations

import numpy as np

from charlm.config import ModelConfig
from charlm.contract import FloatArray, IntArray
from charlm.inference.matmul import Matmul, matmul
from charlm.inference.state import Memory


def _softmax(scores: FloatArray) -> FloatArray:
    """Normalise over the last axis, in place."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


class Context:
    """Builds a memory of the encoder's outputs, and merges the context from it into the decoder's outputs."""

    def __init__(self, config: ModelConfig, weights: dict[str, FloatArray]):
        self._empty = weights["context.empty"]
        self._attention = config.attention
        if config.attention:
            scale = np.float32(config.hidden_size ** -0.5)
            self._query = np.ascontiguousarray(weights["context.query.weight"].T * scale)   # (H, H)
            self._key = np.ascontiguousarray(weights["context.key.weight"].T)               # (M, H)
        self._merge = np.ascontiguousarray(weights["context.merge.weight"].T)               # (H + M, H)
        self._merge_bias = weights["context.merge.bias"]

    def empty_memory(self, batch: int, positions: int) -> Memory:
        """Return the memory of an empty past, padded to this many positions."""
        outputs = np.zeros((positions, batch, len(self._empty)), np.float32)
        return self.build_memory(outputs, np.tile(self._empty, (batch, 1)), np.zeros(batch, np.int64))

    def build_memory(self, outputs: FloatArray, last: FloatArray, lengths: IntArray,
                     rows: IntArray | None = None) -> Memory:
        """Return the memory of an encoder's outputs (S, B, M) or, without attention, of the last ones (B, M) alone.

        With `rows` (G,), last is (G, M), and row g of the memory is that of row rows[g] of the outputs.
        """
        if not self._attention:
            return Memory(last[:, None], None, None, np.arange(len(last)))
        positions, batch, width = outputs.shape
        values = np.empty((batch, 1 + positions, width), np.float32)
        values[:, 0] = self._empty
        values[:, 1:] = outputs.swapaxes(0, 1)
        padding = np.arange(1 + positions) > lengths[:, None]
        mask = np.where(padding, np.float32(-np.inf), np.float32(0))[:, None]
        memory = Memory(values, matmul(values, self._key), mask, np.arange(batch))
        return memory if rows is None else memory.select(rows)

    def forward(self, x: FloatArray, memory: Memory, matmul: Matmul) -> FloatArray:
        """Return the attentional vectors (T, B, H) of the decoder's outputs (T, B, H), Luong et al. 2015, eq. 5."""
        joined = np.concatenate([x, self._context(x, memory, matmul)], axis=2)
        merged = matmul(joined.reshape(-1, joined.shape[2]), self._merge)
        merged += self._merge_bias
        return np.tanh(merged, out=merged).reshape(x.shape)

    def _context(self, x: FloatArray, memory: Memory, matmul: Matmul) -> FloatArray:
        """Return contexts (T, B, M) by attention (Vaswani et al. 2017, eq. 1) or, without it, the one position."""
        if memory.keys is None or memory.mask is None:
            return np.broadcast_to(memory.values.swapaxes(0, 1), (len(x), *memory.values.shape[::2]))
        context: FloatArray = np.matmul(self.weights(x, memory.keys, memory.mask, matmul), memory.values).swapaxes(0, 1)
        return context                                                  # (T, B, M)

    def weights(self, x: FloatArray, keys: FloatArray, mask: FloatArray, matmul: Matmul) -> FloatArray:
        """Return the attention (B, T, S) of the outputs (T, B, H) to the positions of a memory; the sum over S is 1."""
        query = matmul(x.reshape(-1, x.shape[2]), self._query).reshape(x.shape)
        scores: FloatArray = np.matmul(query.swapaxes(0, 1), keys.swapaxes(1, 2))    # (B, T, S)
        scores += mask
        return _softmax(scores)
