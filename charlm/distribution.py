"""The distribution of the bits per character of lines: counted in constant memory, or kept as quantiles.

    counted = Distribution()
    counted.add(rates)                  # as often as needed
    counted.quantile(0.99), counted.share(2.0, 2.5)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from charlm.contract import FloatArray, IntArray
from charlm.errors import ModelFileError

BIN = 1 / 256                           # bits per character
MAX_RATE = 128                          # bits per character; the last bin counts all lines above
QUANTILES = 101                         # kept for a distribution: 0, 1, …, 100 %
_DIGITS = 4                             # decimal places of a stored quantile


class Distribution:
    """A distribution of rates in bits per character, as counts in narrow bins.

    The error of a quantile below MAX_RATE is at most half a bin, 0.002 bits per character; minimum, maximum and mean
    are exact.
    """

    def __init__(self) -> None:
        self.count, self.lowest, self.highest = 0, math.inf, -math.inf
        self._sum = 0.0
        self._bins: IntArray = np.zeros(round(MAX_RATE / BIN) + 1, np.int64)

    def add(self, rates: FloatArray) -> None:
        """Count rates (N,) >= 0."""
        if len(rates):
            self.count += len(rates)
            self.lowest, self.highest = min(self.lowest, float(rates.min())), max(self.highest, float(rates.max()))
            self._sum += float(rates.sum())
            indices = np.minimum(rates / BIN, len(self._bins) - 1).astype(np.int64)
            self._bins += np.bincount(indices, minlength=len(self._bins))

    @property
    def mean(self) -> float:
        """The mean rate; NaN if nothing has been counted."""
        return self._sum / self.count if self.count else math.nan

    def quantile(self, share: float) -> float:
        """Return the quantile at this share of the lines, interpolated linearly between two lines.

        NaN if nothing has been counted.
        """
        if not self.count:
            return math.nan
        rank = share * (self.count - 1)
        below, above = self._ranked(math.floor(rank)), self._ranked(math.ceil(rank))
        return below + (rank - math.floor(rank)) * (above - below)

    def share(self, low: float, high: float) -> float:
        """Return the share of lines in [low, high), both rounded to whole bins."""
        first, stop = (min(round(min(rate, MAX_RATE * 2) / BIN), len(self._bins)) for rate in (low, high))
        return float(self._bins[first:stop].sum() / max(self.count, 1))

    def _ranked(self, rank: int) -> float:
        """Return the rate of the line of this rank, counted from 0: the middle of its bin."""
        if rank == 0:
            return self.lowest
        if rank == self.count - 1:
            return self.highest
        middle = (int(np.searchsorted(self._bins.cumsum(), rank, side="right")) + 0.5) * BIN
        return min(max(middle, self.lowest), self.highest)


class Quantiles:
    """A distribution known only by its quantiles at 0, 1, …, 100 %."""

    def __init__(self, values: Sequence[float]):
        self._values = values

    def quantile(self, share: float) -> float:
        """Return the quantile at this share of the lines."""
        return float(np.interp(share * (QUANTILES - 1), np.arange(QUANTILES), self._values))

    def share(self, low: float, high: float) -> float:
        """Return the share of lines in [low, high), interpolated linearly between the known quantiles."""
        return self._below(high) - self._below(low)

    def _below(self, rate: float) -> float:
        """Return the share of lines below a rate.

        >>> Quantiles([1.0] * 51 + [2.0] * 50)._below(1.5)
        0.505
        """
        if rate <= self._values[0] or rate > self._values[-1]:
            return float(rate > self._values[-1])
        after = int(np.searchsorted(self._values, rate))
        low, high = self._values[after - 1], self._values[after]
        return (after - 1 + (rate - low) / (high - low)) / (QUANTILES - 1)


def quantiles_of(rates: FloatArray) -> tuple[float, ...]:
    """Return the quantiles of rates (N,) that a model file stores; empty if there are no rates."""
    if not len(rates):
        return ()
    return tuple(np.round(np.quantile(rates, np.linspace(0, 1, QUANTILES)), _DIGITS).tolist())


def parse_quantiles(values: Any) -> tuple[float, ...]:
    """Return quantiles from plain values. Raises ModelFileError unless `quantiles_of` could have returned them."""
    if not isinstance(values, (list, tuple)) or len(values) not in (0, QUANTILES) \
            or not all(isinstance(value, float) and 0 <= value < math.inf for value in values) \
            or list(values) != sorted(values):
        raise ModelFileError("its quantiles of lines are not a rising series of numbers")
    return tuple(values)
