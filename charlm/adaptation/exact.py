"""Arithmetic with the same bits on every machine: only IEEE + - * /, square root, rounding and integers.

The results of libm, BLAS and NumPy's reductions depend on the processor and the build. Here exp and log are fixed
polynomials, evaluated element by element, and every sum is over integers below 2^53, so it is exact in any order.
Functions that are needed for every token are interpolated from tables of these, with a third of the operations.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SCALE = 2.0 ** 40                       # weights of a distribution are whole numbers up to this
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238          # its last 21 bits are zero, so that k * _LN2_HIGH is exact for |k| < 2^21
_LN2_LOW = 1.9082149292705877e-10
_LOWEST = -700.0                        # exp of less is not a normal number
_EXP = [1 / 39916800, 1 / 3628800, 1 / 362880, 1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0]
_ATANH = [1 / 17, 1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1.0]
_MANTISSA = (1 << 52) - 1
_HALF_SQRT2 = 0x3FE6A09E667F3BCD        # bits of sqrt(1/2)
_BITS_OF_ONE = 0x3FF << 52
STEPS = 512                             # table entries for each unit of x
LARGEST = 44                            # the table of e^x covers -LARGEST to LARGEST
_LEAST = 28                             # SCALE * e^-28 rounds to 1
_OCTAVES, _MANTISSA_STEPS = 46, 9       # the table of ln x covers 1 to 2^46, with 2^9 entries for each factor of 2


def _horner(x: Floats, coefficients: list[float]) -> Floats:
    """Return a polynomial in x, its highest coefficient first."""
    y = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        y *= x
        y += coefficient
    return y


def exp(x: Floats) -> Floats:
    """Return e^x of -700 (which lower x count as) to 700, within a relative error of 1e-12.

    x = k ln 2 + r, and e^r is a Taylor polynomial for |r| <= ln 2 / 2.
    """
    x = np.maximum(x, _LOWEST)
    k = np.rint(x * _LOG2_E)
    r = x - k * _LN2_HIGH
    r -= k * _LN2_LOW
    power: Floats = ((k.astype(np.int64) + 1023) << 52).view(np.float64)
    return _horner(r, _EXP) * power


def log(x: Floats) -> Floats:
    """Return ln x of positive normal numbers, within 1e-12: ln x = k ln 2 + 2 atanh((m - 1) / (m + 1)), x = 2^k m."""
    bits = np.ascontiguousarray(x).view(np.int64)
    k = (bits - _HALF_SQRT2) >> 52
    m: Floats = (bits - (k << 52)).view(np.float64)         # in [sqrt(1/2), sqrt(2))
    s = (m - 1.0) / (m + 1.0)
    series = _horner(s * s, _ATANH) * (2.0 * s)
    return k * _LN2_HIGH + (k * _LN2_LOW + series)


class Interpolated:
    """A function given by its values at 0, 1, 2, ...: linear between them and constant after the last."""

    def __init__(self, values: Floats):
        self._values, self._slopes = values, np.append(values[1:] - values[:-1], 0.0)

    def __call__(self, x: Floats) -> Floats:
        """Return the values at x >= 0."""
        index = x.astype(np.intp)
        y: Floats = self._slopes.take(index, mode="clip")
        y *= x - index
        y += self._values.take(index, mode="clip")
        return y


@functools.cache
def _falling() -> Interpolated:
    """Return SCALE * e^-x for x in steps of 1 / STEPS; 0 after the last."""
    return Interpolated(np.append(exp(np.arange(_LEAST * STEPS) / -STEPS) * SCALE, 0.0))


@functools.cache
def _rising() -> Interpolated:
    return Interpolated(exp(np.arange(2 * LARGEST * STEPS + 1) / STEPS - LARGEST))


@functools.cache
def _logarithm() -> Interpolated:
    """Return ln x for x from 1 to 2^_OCTAVES, indexed by the leading bits of x."""
    bits = np.arange((_OCTAVES << _MANTISSA_STEPS) + 1) << 52 - _MANTISSA_STEPS
    return Interpolated(log((bits + _BITS_OF_ONE).view(np.float64)))


def softmax_weights(logits: Floats, scale: float) -> Integers:
    """Return integer weights (N, V) >= 1 in proportion to e^(scale * logits), at most SCALE + 1; overwrites logits."""
    np.subtract(logits.max(axis=1, keepdims=True), logits, out=logits)
    logits *= scale * STEPS
    weights = _falling()(logits)
    np.rint(weights, out=weights)
    weights += 1.0
    return weights.astype(np.int64)


def power(x: Floats) -> Floats:
    """Return e^x with a relative error of at most 5e-7; x is clipped to -LARGEST and LARGEST."""
    x = x * STEPS
    x += LARGEST * STEPS
    np.maximum(x, 0.0, out=x)
    return _rising()(x)


def log_from_one(x: Floats) -> Floats:
    """Return ln x for x >= 1, to within 2e-7; x is clipped to 2^46."""
    return _logarithm()(np.multiply(x.view(np.int64) - _BITS_OF_ONE, 2.0 ** (_MANTISSA_STEPS - 52)))


def integer_weights(x: Floats) -> Integers:
    """Return whole numbers of at least 1 that are proportional to each row of x (N, V), the largest near 2^40."""
    x = x * (SCALE / x.max(axis=1, keepdims=True))
    np.rint(x, out=x)
    x += 1.0
    return x.astype(np.int64)


def shares(weights: Integers) -> Floats:
    """Return each row of whole weights (N, V) as probabilities."""
    share: Floats = weights / weights.sum(axis=1, keepdims=True)
    return share
