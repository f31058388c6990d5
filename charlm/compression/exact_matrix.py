"""Products of integers in floating point: no rounding happens, so every BLAS returns the same bits.

A float32 holds every integer up to 2^24, a float64 up to 2^53. If the absolute values of all terms of a sum add up to
less, then so does every partial sum in every order, with or without fused multiply-add: nothing is ever rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.contract import FloatArray, IntArray

LEVELS = 127                            # of a weight, and of a hidden state that is at most 1
FLOAT32_BOUND = 1 << 24
FLOAT64_BOUND = 1 << 53
_TABLE_LEVELS = 1 << 15
_PADDING = 16                           # elements after each row: rows 4096 bytes apart would compete for cache lines


def quantize_rows(values: FloatArray, levels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return integers from -levels to levels (N, K), and the factor (N, 1) of each row that gives the values back."""
    values = values.astype(np.float64)
    scale = np.abs(values).max(axis=1, keepdims=True) / levels
    scale[scale == 0] = 1.0
    return np.rint(values / scale), scale


class ExactMatrix:
    """A weight matrix (N, K) of integers from -127 to 127, with a scale for each of its N outputs.

    Inputs are integers of at most `largest`. Products are float32 where no sum can reach 2^24: always for up to 1,040
    inputs of at most 127, and mostly for many more, because the actual weights are added up. Otherwise float64.
    """

    def __init__(self, weight: FloatArray, largest: int = LEVELS):
        integers, scale = quantize_rows(weight, LEVELS)
        self.bound = int(np.abs(integers).astype(np.int64).sum(axis=1).max()) * largest
        if self.bound >= FLOAT64_BOUND:
            raise OverflowError("too many inputs for exact products")
        dtype: type[np.floating[Any]] = np.float32 if self.bound < FLOAT32_BOUND else np.float64
        self.matrix = np.ascontiguousarray(integers, dtype)             # (N, K)
        self.scale = scale[:, 0]                                        # (N,), float64
        self.fits_float32 = dtype is np.float32

    def multiply(self, x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Write the integers times x (K, L) to `out` (N, L); sums beyond 2^24 are rounded once, to float32.

        With the weights on the left, BLAS takes two thirds of the time that it takes with them on the right.
        """
        if self.fits_float32:
            np.matmul(self.matrix, x, out=out)
        else:
            out[:] = np.matmul(self.matrix, x.astype(np.float64))


def exact_projection(inputs: FloatArray, weight: FloatArray) -> NDArray[np.float64]:
    """Return inputs (V, K) times weight (N, K) transposed, of 16-bit integers, as float64 (V, N)."""
    left, left_scale = quantize_rows(inputs, _TABLE_LEVELS)
    right, right_scale = quantize_rows(weight, _TABLE_LEVELS)
    product = left @ right.T            # below 2^30 * K
    product *= left_scale
    product *= right_scale[:, 0]
    return product


class GateRows:
    """The gate inputs (V, N) of every token, or one row shared by all lanes."""

    def __init__(self, rows: NDArray[np.float32]):
        self.bound = float(np.abs(rows).max())
        self._width = rows.shape[1]
        self._rows = np.pad(rows, ((0, 0), (0, _PADDING)))

    def start(self, lanes: int) -> None:
        """Make room for this many lanes."""
        self._taken = np.empty((lanes, self._rows.shape[1]), np.float32)
        self._columns = self._taken[:, :self._width].T
        self._same = np.repeat(self._rows[:1, :self._width].T, lanes, axis=1)

    def take(self, tokens: IntArray | None) -> NDArray[np.float32]:
        """Return the gate inputs (N, L) of one token per lane, valid until the next call."""
        if tokens is None:
            return self._same
        self._rows.take(tokens, axis=0, out=self._taken, mode="clip")
        return self._columns


def spread(column: NDArray[np.float32], lanes: int) -> NDArray[np.float32]:
    """Return a column (N,) repeated for every lane, (N, L): equal shapes are multiplied three times as fast."""
    return np.repeat(column[:, None], lanes, axis=1)
