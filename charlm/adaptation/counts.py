"""Counts of which tokens followed the last one to six tokens of the text read so far, in a table of fixed size.

A context's hash picks its row; a row has room for a few followers and their counts. A row is taken over by the last
context that hashes to it, and in a full row a new follower replaces the rarest. The same code serves any vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlm.contract import IntArray

ORDERS = 6                              # tokens of the longest context
SLOTS = 8                               # followers of a context
ROWS_LOG2 = 19                          # rows of the table: 15 MB if it is full
_HALVE_AT = 255                         # a count that reaches it halves all counts of its row
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.array([0x5851F42D4C957F2D ** (order + 1) % (1 << 64) for order in range(ORDERS)], np.uint64)    # odd
_OFFSETS = _FACTORS.cumsum()            # as if tokens were numbered from 1: id 0 makes a context longer, too
_TRUE = np.ones(1, bool)
_HALF, _ROW_SHIFT = np.uint64(32), np.uint64(64 - ROWS_LOG2)


class Contexts(NamedTuple):
    """The contexts of N positions: their rows of the table, and what tells them from others with the same row."""

    rows: IntArray                      # (N, ORDERS)
    checks: NDArray[np.uint32]          # (N, ORDERS)


def find_contexts(recent: IntArray) -> Contexts:
    """Return the contexts of N positions from the tokens before each, (N, ORDERS), the nearest first."""
    hashes = recent.astype(np.uint64)
    hashes *= _FACTORS
    hashes = hashes.cumsum(axis=1)
    hashes += _OFFSETS
    hashes ^= hashes >> _HALF
    hashes *= _MULTIPLIER
    return Contexts((hashes >> _ROW_SHIFT).astype(np.intp), hashes.astype(np.uint32))


class ContextCounts:
    """The table of followers and their counts."""

    def __init__(self, vocabulary_size: int):
        rows = 1 << ROWS_LOG2
        self._size = vocabulary_size
        self._checks = np.zeros(rows, np.uint32)
        self._tokens = np.zeros((rows, SLOTS), np.uint16 if vocabulary_size < 1 << 16 else np.uint32)
        self._counts = np.zeros((rows, SLOTS), np.uint8)

    def followers(self, contexts: Contexts) -> tuple[IntArray, IntArray]:
        """Return tokens and their counts, both (N, ORDERS, SLOTS); an empty slot has count 0 and any token."""
        counts = self._counts.take(contexts.rows, axis=0)
        counts *= (self._checks.take(contexts.rows) == contexts.checks)[:, :, None]
        return self._tokens.take(contexts.rows, axis=0).astype(np.intp), counts

    def add(self, contexts: Contexts, tokens: IntArray) -> None:
        """Count tokens (N,) as followers of their contexts. The result does not depend on the order of N positions.

        The only exception are contexts that share a row: the last takes it.
        """
        rows, checks = contexts.rows.ravel(), contexts.checks.ravel()
        lost = self._checks[rows] != checks
        self._counts[rows[lost]] = 0
        self._checks[rows[lost]] = checks[lost]
        won = self._checks[rows] == checks
        pairs = (rows * self._size + np.repeat(tokens, contexts.rows.shape[1]))[won]
        pairs.sort()
        first = np.concatenate([_TRUE, pairs[1:] != pairs[:-1]]).nonzero()[0] if len(pairs) else pairs
        times = np.diff(first, append=len(pairs))
        pairs = pairs[first]
        rows, followers = pairs // self._size, pairs % self._size
        hit = (self._tokens[rows] == followers[:, None]) & (self._counts[rows] > 0)
        known = hit.any(axis=1)
        self._increase(rows[known], hit[known].argmax(axis=1), times[known])
        self._insert(rows[~known], followers[~known], times[~known])

    def _increase(self, rows: IntArray, slots: IntArray, times: IntArray) -> None:
        """Add to counts, each of which occurs once."""
        counts = self._counts[rows, slots] + times
        self._counts[rows, slots] = np.minimum(counts, _HALVE_AT)
        full = rows[counts >= _HALVE_AT]
        self._counts[full] >>= 1

    def _insert(self, rows: IntArray, followers: IntArray, times: IntArray) -> None:
        """Give new followers the slots with the smallest counts; `rows` are sorted."""
        if not len(rows):
            return
        index = np.arange(len(rows))
        starts = np.concatenate([_TRUE, rows[1:] != rows[:-1]])
        rank = index - np.maximum.accumulate(np.where(starts, index, 0))
        slots = np.argsort(self._counts[rows], axis=1, kind="stable")
        fits = rank < SLOTS
        rows, slot = rows[fits], slots[index, np.minimum(rank, SLOTS - 1)][fits]
        self._tokens[rows, slot] = followers[fits]
        self._counts[rows, slot] = np.minimum(times[fits], _HALVE_AT - 1)
