"""Many short sequences of ids, kept on disk like a long one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from charlm.text.token_cache import TokenCache

PADDED_TOKENS = 256                     # of a row of a full batch at most; longer ones, fewer rows


class Examples:
    """Sequences in the order they came; their lengths are held in memory, their ids are not."""

    def __init__(self, sequences: Iterable[np.ndarray], *, vocabulary_size: int):
        lengths: list[int] = []

        def counted() -> Iterator[np.ndarray]:
            for ids in sequences:
                lengths.append(len(ids))
                yield ids

        self._tokens = TokenCache(counted(), vocabulary_size=vocabulary_size)
        self.lengths = np.array(lengths, np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> np.ndarray:
        """The ids of one sequence, int64, a copy."""
        return self._tokens.slice(self._starts[number], self._starts[number + 1])


def padded(sequences: Sequence[np.ndarray], filler: int) -> np.ndarray:
    """Sequences as rows (B, longest) of int64, filled up at their ends.

    >>> padded([np.array([1, 2]), np.array([3])], 0).tolist()
    [[1, 2], [3, 0]]
    """
    rows = np.full((len(sequences), max(map(len, sequences))), filler, np.int64)
    for row, ids in zip(rows, sequences):
        row[:len(ids)] = ids
    return rows


def batch_by_length(lengths: np.ndarray, batch_size: int) -> Iterator[slice]:
    """Batches of neighbours: `batch_size` rows, or fewer where rows times the longest grow too large.

    >>> list(batch_by_length(np.array([3, 4, 5]), 2))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    start = 0
    while start < len(lengths):
        some = lengths[start:start + batch_size]
        padded_tokens = np.maximum.accumulate(some) * np.arange(1, len(some) + 1)
        fitting = np.searchsorted(padded_tokens, batch_size * PADDED_TOKENS, side="right")
        stop = start + max(int(fitting), 1)
        yield slice(start, stop)
        start = stop
