"""Sigmoid and exponential as tables that are the same bits on every machine.

`exp` of libm differs in its last bits from one system to the next. These tables are made by float64 additions,
multiplications and divisions alone, one after the other, which IEEE 754 defines exactly.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

SIGMOID_STEPS = 768                     # entries of the sigmoid's table for 1
SIGMOID_SIZE = 1 << 14                  # entries: arguments from -10.7 to 10.7
SIGMOID_ZERO = SIGMOID_SIZE // 2        # the entry for 0
EXP_STEPS = 512                         # entries of the exponential's table for 1
EXP_SIZE = 1 << 14                      # entries: arguments from 0 down to -32
EXP_ONE = 1 << 32                       # the integer that 1 is
_TERMS = 12                             # of the Taylor series: its next term is below 1e-40


def exp_of_step(steps: int) -> float:
    """Return exp(1 / steps) for at least 100 steps, by its Taylor series in float64.

    >>> abs(exp_of_step(512) - 2.718281828459045 ** (1 / 512)) < 1e-15
    True
    """
    term, total = 1.0, 1.0
    for number in range(1, _TERMS):
        term = term / steps / number
        total += term
    return total


def _powers(base: float, count: int) -> list[float]:
    powers = [1.0]
    for _ in range(1, count):
        powers.append(powers[-1] * base)
    return powers


@functools.cache
def sigmoid_table() -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-x)) for x = (i - SIGMOID_ZERO) / SIGMOID_STEPS."""
    powers = _powers(exp_of_step(SIGMOID_STEPS), SIGMOID_ZERO + 1)
    below = [1.0 / (1.0 + power) for power in powers]                   # for 0, -1, -2 ... steps
    return np.array([*reversed(below), *(1.0 - value for value in below[1:-1])], np.float64).astype(np.float32)


@functools.cache
def tanh_table(factor: int) -> NDArray[np.float32]:
    """Return factor * tanh(x / 2), as 2 sigmoid(x) - 1, for the same x."""
    table: NDArray[np.float32] = sigmoid_table() * np.float32(2 * factor) - np.float32(factor)
    return table


@functools.cache
def exp_table() -> NDArray[np.int64]:
    """Return exp(-i / EXP_STEPS) * EXP_ONE for i = 0, 1, 2 ..., rounded down to integers; the last entry is 0."""
    powers = _powers(exp_of_step(EXP_STEPS), EXP_SIZE)
    table = np.array([int(EXP_ONE / power) for power in powers], np.int64)
    table[-1] = 0
    return table
