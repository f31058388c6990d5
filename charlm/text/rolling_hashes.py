"""64-bit polynomial hashes of all stretches of one length in a text (Karp and Rabin 1987).

Two different stretches have the same hash with a probability of about 2^-64, but collisions can be constructed on
purpose.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from charlm.contract import BoolArray
from charlm.text.tokenizers.base import NEWLINE

BASE = 0x9E3779B97F4A7C15               # odd, so that it has an inverse modulo 2^64
_TABLE_BITS = 20                        # of a hash, by which most others are told apart without a search

Hashes = NDArray[np.uint64]


def rolling_hashes(text: str, size: int) -> Hashes:
    """Return the hashes of all stretches of `size` characters, by position; empty for a shorter text.

    The hash of characters c_0, c_1, … is the sum of (c_k + 1) * BASE^k modulo 2^64: a difference of prefix sums of the
    whole text over BASE^i.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    if len(codes) < size:
        return np.zeros(0, np.uint64)
    powers, inverses = (_powers(base, len(codes)) for base in (BASE, pow(BASE, -1, 1 << 64)))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((codes + np.uint64(1)) * powers, dtype=np.uint64)])
    hashes: Hashes = (sums[size:] - sums[:-size]) * inverses[:len(sums) - size]
    return hashes


def chunk_hashes(chunks: Iterable[str], size: int) -> Iterator[Hashes]:
    """Yield the hashes of all stretches of `size` characters of a text in chunks, in order."""
    held = ""
    for chunk in chunks:
        text = held + chunk
        held = text[max(len(text) - size + 1, 0):]
        if len(text) >= size:
            yield rolling_hashes(text, size)


def hashes_within_lines(blocks: Iterable[str], size: int) -> Iterator[Hashes]:
    """Yield the hashes of all stretches of `size` characters without a line break in blocks of whole lines."""
    for block in blocks:
        ends = np.cumsum(np.frombuffer(block.encode("utf-32-le", "surrogatepass"), np.uint32) == ord(NEWLINE))
        hashes = rolling_hashes(block, size)
        yield hashes[ends[size - 1:] == np.concatenate([[0], ends])[:len(hashes)]] if len(hashes) else hashes


@functools.lru_cache(maxsize=4)         # nearly all chunks have the same length
def _powers(base: int, count: int) -> Hashes:
    factors = np.full(count, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)


class HashSet:
    """A set of hashes in which many others are looked up."""

    def __init__(self, hashes: Hashes):
        self._sorted = np.unique(hashes)
        self._table = np.zeros(1 << _TABLE_BITS, bool)
        self._table[self._sorted >> np.uint64(64 - _TABLE_BITS)] = True

    def __len__(self) -> int:
        return len(self._sorted)

    def contains(self, hashes: Hashes) -> BoolArray:
        """Return for each hash whether it is in the set."""
        found: BoolArray = self._table[hashes >> np.uint64(64 - _TABLE_BITS)]
        candidates = np.flatnonzero(found)
        nearest = np.minimum(np.searchsorted(self._sorted, hashes[candidates]), len(self._sorted) - 1)
        found[candidates] = self._sorted[nearest] == hashes[candidates]
        return found
