"""The lines that a model was trained on, as a set of hashes of four bytes each.

A line of the training text is always in the set, so it is never called novel. Of other lines, n in 2^32 are taken for
one of the n lines of the training text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from charlm.contract import BoolArray, IntArray
from charlm.errors import ModelFileError

TENSOR = "lines.hashes"
_HASH_BITS = 64


def line_hash(line: str) -> int:
    """Return 64 bits of a line: BLAKE2b of its UTF-8."""
    return int.from_bytes(hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def line_hashes(lines: Iterable[str]) -> NDArray[np.uint64]:
    """Return the `line_hash` of every line."""
    hashes = [hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest() for line in lines]
    return np.frombuffer(b"".join(hashes), ">u8").astype(np.uint64)


class LineHashes:
    """The upper halves of the hashes of a set of lines."""

    def __init__(self, hashes: NDArray[np.uint64]):
        """Keep `line_hash` values, given in any order, as the `tensor` of a model file: sorted, uint32, each once."""
        self.tensor: NDArray[np.uint32] = np.unique((hashes >> np.uint64(_HASH_BITS // 2)).astype(np.uint32))

    @classmethod
    def from_tensor(cls, halves: IntArray) -> LineHashes:
        """Rebuild a set from the tensor of a model file. Raises ModelFileError if it is damaged."""
        if (halves[1:] <= halves[:-1]).any():
            raise ModelFileError("its hashes of lines are not in order")
        return cls(halves.astype(np.uint64) << np.uint64(_HASH_BITS // 2))

    def __contains__(self, line: str) -> bool:
        return bool(self.contains([line])[0])

    def contains(self, lines: Iterable[str]) -> BoolArray:
        """Return for each line whether its hash is in the set."""
        halves = np.fromiter((line_hash(line) >> _HASH_BITS // 2 for line in lines), np.uint32)
        if not len(self.tensor):
            return np.zeros(len(halves), bool)
        nearest = np.minimum(np.searchsorted(self.tensor, halves), len(self.tensor) - 1)
        found: BoolArray = self.tensor[nearest] == halves
        return found
