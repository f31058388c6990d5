"""Integer frequencies with a fixed total, from integer weights: what the range coder codes with.

Rule: of TOTAL, every token gets 1 and the rounded-down share of the rest that its weight has of all weights; what then
remains goes to the token of the largest weight, the first of equals. So none is zero, and the sum is TOTAL exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from charlm.compression.exact_matrix import LEVELS, ExactMatrix
from charlm.compression.exact_tables import EXP_STEPS, exp_table
from charlm.contract import FloatArray, IntArray

TOTAL = 1 << 28                         # of the frequencies: a million tokens would cost 0.006 bits each


def to_frequencies(weights: IntArray) -> NDArray[np.int64]:
    """Return frequencies (L, V) of weights (L, V) >= 0, not all zero, whose sum is below 2^53.

    >>> to_frequencies(np.array([[0, 1, 3]])).tolist()
    [[1, 67108864, 201326591]]
    """
    share = (TOTAL - weights.shape[1]) / weights.sum(axis=1, keepdims=True, dtype=np.int64).astype(np.float64)
    found = (weights * share).astype(np.int64)      # one product and one rounding each: the same everywhere
    found += 1
    rows = np.arange(len(found))
    found[rows, weights.argmax(axis=1)] += TOTAL - found.sum(axis=1)
    return found


class StaticHead:
    """The head of a model as it was trained: it learns nothing from what it reads."""

    def __init__(self, weight: FloatArray, bias: FloatArray, largest: int = LEVELS):
        self._matrix = ExactMatrix(weight, largest)
        self._scale = self._matrix.scale * (EXP_STEPS / LEVELS)
        self._bias = bias.astype(np.float64) * EXP_STEPS
        self._table = exp_table()

    def distributions(self, states: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return weights (L, V) in proportion to the probabilities, from hidden states (L, H) of integers."""
        product = np.empty((len(self._scale), len(states)), np.float32)
        self._matrix.multiply(states.T, product)
        logits = product.T * self._scale
        logits += self._bias
        np.subtract(logits.max(axis=1, keepdims=True), logits, out=logits)
        np.clip(logits, 0, len(self._table), out=logits)
        logits += 0.5
        return np.take(self._table, logits.astype(np.intp), mode="clip")

    def learn(self, tokens: IntArray) -> None:
        """Learn nothing."""
