"""Which lines a model was trained on: a set of their hashes, four bytes a line.

A line of the training text is always in the set, so "novel" is never said falsely. Another line is
taken for one of n lines of the training text once in 2^32 / n times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from charlm.errors import ModelFileError

TENSOR = "lines.hashes"
_HASH_BITS = 64


def line_hash(line: str) -> int:
    """64 bits of a line: BLAKE2b of its UTF-8."""
    return int.from_bytes(hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class LineHashes:
    """The upper halves of the hashes of some lines."""

    def __init__(self, hashes: np.ndarray):
        """Of `line_hash` values, uint64, in any order."""
        self._halves = np.unique((hashes >> np.uint64(_HASH_BITS // 2)).astype(np.uint32))

    @classmethod
    def from_tensor(cls, halves: np.ndarray) -> LineHashes:
        """From the tensor of a model file; raises ModelFileError when it is not one."""
        if (halves[1:] <= halves[:-1]).any():
            raise ModelFileError("its hashes of lines are not in order")
        return cls(halves.astype(np.uint64) << np.uint64(_HASH_BITS // 2))

    @property
    def tensor(self) -> np.ndarray:
        """Hashes in order, uint32, a line or more each."""
        return self._halves

    def __contains__(self, line: str) -> bool:
        return bool(self.contains([line])[0])

    def contains(self, lines: Iterable[str]) -> np.ndarray:
        """Whether each line is one of the training text, or has the hash of one; bool."""
        halves = np.fromiter((line_hash(line) >> _HASH_BITS // 2 for line in lines), np.uint32)
        places = np.searchsorted(self._halves, halves)
        return self._halves[np.minimum(places, len(self._halves) - 1)] == halves \
            if len(self._halves) else np.zeros(len(halves), bool)
