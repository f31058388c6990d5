"""Short sequences of ids on disk, and batches of sequences of different lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from charlm.contract import IntArray
from charlm.text.token_cache import TokenCache

PADDED_TOKENS = 256                     # per row of a full batch; a batch of longer sequences has fewer rows


class Examples:
    """Sequences in the order of their arrival. Their lengths are held in memory, their ids on disk."""

    def __init__(self, sequences: Iterable[tuple[IntArray, IntArray]], *, vocabulary_size: int,
                 file: BinaryIO | None = None):
        """Store sequences given in batches: the concatenated ids and the length of each sequence."""
        lengths: list[IntArray] = [np.zeros(0, np.int64)]

        def counted() -> Iterator[IntArray]:
            for ids, their_lengths in sequences:
                lengths.append(their_lengths)
                yield ids

        self._tokens = TokenCache(counted(), vocabulary_size=vocabulary_size, file=file)
        self.lengths = np.concatenate(lengths)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> IntArray:
        """Return a copy of the ids of one sequence, int64."""
        return self._tokens.slice(self._starts[index], self._starts[index + 1])


def padded(sequences: Sequence[IntArray], filler: int) -> IntArray:
    """Return sequences as rows (B, max length), int64, padded at their ends.

    >>> padded([np.array([1, 2]), np.array([3])], 0).tolist()
    [[1, 2], [3, 0]]
    """
    rows = np.full((len(sequences), max(map(len, sequences))), filler, np.int64)
    for row, ids in zip(rows, sequences, strict=True):
        row[:len(ids)] = ids
    return rows


def batch_by_length(lengths: IntArray, batch_size: int) -> Iterator[slice]:
    """Yield batches of neighbours: `batch_size` rows, or fewer if rows times the greatest length would be too large.

    >>> list(batch_by_length(np.array([3, 4, 5]), 2))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    start = 0
    while start < len(lengths):
        candidates = lengths[start:start + batch_size]
        padded_tokens = np.maximum.accumulate(candidates) * np.arange(1, len(candidates) + 1)
        fitting = np.searchsorted(padded_tokens, batch_size * PADDED_TOKENS, side="right")
        stop = start + max(int(fitting), 1)
        yield slice(start, stop)
        start = stop
