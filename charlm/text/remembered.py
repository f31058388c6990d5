"""A Bloom filter of all sequences of 16 characters in a training text (Bloom 1970), kept in the model on request.

It finds every sequence that was in the text, and mistakenly about one in a hundred of those that were not. The text
cannot be read back from the filter, but anyone who has the file can test whether a passage was part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.contract import BoolArray
from charlm.errors import ModelFileError, UsageError
from charlm.text.copies import CopyFinder, SampledText
from charlm.text.rolling_hashes import Hashes, rolling_hashes

TENSOR = "remembered.filter"
LENGTH = 16                             # characters of a sequence
BITS = 10                               # bits of the filter per distinct sequence
HASHES = 5                              # bits set by a sequence; false positives: (1 - exp(-5 / 10))^5 = 0.9 %
MIN_COPY = LENGTH + 2                   # three sequences in a row: by chance in one of 2,500 texts of 500 characters
MAX_BYTES = 1 << 30                     # maximum size of the filter
_SMALLEST = 1 << 16                     # smallest hashes kept to estimate the number of distinct ones, to 0.4 %
_SPREAD = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def _spread(hashes: Hashes) -> Hashes:
    """Return hashes mixed so that every bit depends on all bits: the finalizer of SplitMix64 (Steele et al. 2014)."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * _SPREAD[0]
    hashes = (hashes ^ (hashes >> np.uint64(27))) * _SPREAD[1]
    hashes ^= hashes >> np.uint64(31)
    return hashes


def estimate_distinct(hashes: Iterable[Hashes]) -> int:
    """Return an estimate of the number of distinct hashes from the smallest ones (Bar-Yossef et al. 2002)."""
    kept = np.zeros(0, np.uint64)
    for block in hashes:
        if len(kept) == _SMALLEST:
            block = block[block < kept[-1]]
        kept = np.union1d(kept, block)[:_SMALLEST]
    return len(kept) if len(kept) < _SMALLEST else round((_SMALLEST - 1) / (float(kept[-1]) / 2.0 ** 64))


@dataclass(frozen=True, eq=False)
class Remembered:
    """A Bloom filter of the sequences of LENGTH characters in a text."""

    sequences: int                      # estimated number of distinct ones
    tensor: NDArray[np.uint8]           # bit i of the filter is bit i % 8 of byte i // 8

    @classmethod
    def of(cls, read: Callable[[], Iterable[Hashes]]) -> Remembered:
        """Build a filter from rolling hashes, which are read twice. Raises UsageError if there are too many."""
        sequences = estimate_distinct(map(_spread, read()))
        size = max(-(-sequences * BITS // 8), 1)
        if size > MAX_BYTES:
            raise UsageError(f"--remember would take {size:,} bytes, more than {MAX_BYTES:,}; leave it out, and name "
                             "the text itself with sample --corpus")
        tensor = np.zeros(size, np.uint8)
        for hashes in read():
            for positions in _bit_positions(hashes, size):
                bits = (positions & np.uint64(7)).astype(np.uint8)
                for bit in range(8):    # one bit at a time, because repeated indices are assigned only once
                    tensor[positions[bits == bit] >> np.uint64(3)] |= np.uint8(1 << bit)
        return cls(sequences, tensor)

    @classmethod
    def from_tensor(cls, metadata: Any, tensor: NDArray[np.uint8]) -> Remembered:
        """Rebuild a filter from the parts of a model file."""
        return cls(metadata["sequences"], tensor)

    def describe(self) -> str:
        """Return one readable line with the number of sequences and the size."""
        return f"{self.sequences:,} sequences of {LENGTH} characters, {self.tensor.nbytes:,} bytes"

    def to_json(self) -> dict[str, int]:
        """Return the metadata of the filter in a model file."""
        return {"length": LENGTH, "hashes": HASHES, "sequences": self.sequences}

    def contains(self, hashes: Hashes) -> BoolArray:
        """Return whether all bits are set for the rolling hash of each sequence."""
        found = np.ones(len(hashes), bool)
        for positions in _bit_positions(hashes, len(self.tensor)):
            bits = (positions & np.uint64(7)).astype(np.uint8)
            found &= (self.tensor[positions >> np.uint64(3)] >> bits & 1).astype(bool)
        return found


def remembered_metadata(metadata: Any) -> dict[str, int] | None:
    """Return the metadata of a model file's filter, or None. Raises ModelFileError for a filter of another kind."""
    expected = {"length": LENGTH, "hashes": HASHES}
    if metadata is None:
        return None
    if not isinstance(metadata, dict) or set(metadata) != {*expected, "sequences"} \
            or any(type(value) is not int for value in metadata.values()) \
            or metadata != expected | {"sequences": metadata["sequences"]} or metadata["sequences"] < 0:
        raise ModelFileError("its filter of remembered text is not of a known kind")
    return metadata


def _bit_positions(hashes: Hashes, size: int) -> Iterator[Hashes]:
    """Yield the HASHES bit positions of each sequence in a filter of `size` bytes.

    They are found by double hashing (Kirsch and Mitzenmacher 2006).
    """
    spread = _spread(hashes)
    first, stride = spread, (spread >> np.uint64(32)) | np.uint64(1)
    for number in range(HASHES):
        yield (first + np.uint64(number) * stride) % np.uint64(8 * size)


class RememberedCopies(CopyFinder):
    """Finds copies of the training text with a model's filter.

    Consecutive sequences that are all in the filter count as one copy.
    """

    def __init__(self, remembered: Remembered, length: int):
        self._remembered, self._length = remembered, length

    @property
    def length(self) -> int:
        """The number of characters from which a stretch counts as a copy: at least MIN_COPY."""
        return self._length

    def longest(self, texts: Sequence[SampledText]) -> list[str]:
        """Return the longest copy in each text, the first if several tie."""
        return [self._longest(text, start) for text, start in texts]

    def _longest(self, text: str, start: int) -> str:
        found = self._remembered.contains(rolling_hashes(text, LENGTH))
        edges = np.flatnonzero(np.diff(found, prepend=False, append=False)).reshape(-1, 2)
        runs = [(first, stop + LENGTH - 1) for first, stop in edges.tolist() if stop + LENGTH - 1 > start]
        first, stop = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
        return text[first:stop] if stop - first >= self._length else ""
