"""Token ids in a private memory-mapped file, so that memory does not grow with the corpus."""

from __future__ import annotations

import mmap
from collections.abc import Iterable

import numpy as np

from charlm.contract import IntArray
from charlm.text.spool import anonymous_file, write_all

RELEASE_EVERY = 8 << 20                 # bytes of tokens that are read before their pages are released


def smallest_dtype(vocabulary_size: int) -> np.dtype[np.unsignedinteger]:
    """Return the smallest unsigned integer type that holds every id."""
    return np.min_scalar_type(max(vocabulary_size - 1, 0))


class TokenCache:
    """A sequence of ids on disk, which is written once and then read as a ring.

    Pages that were read count as this process's memory until they are released. `ring` releases them every few
    megabytes, which costs page faults later and keeps memory constant.
    """

    def __init__(self, ids: Iterable[IntArray], *, vocabulary_size: int):
        self._file = anonymous_file()
        self.dtype = smallest_dtype(vocabulary_size)
        write_all(self._file, (piece.astype(self.dtype, copy=False).tobytes() for piece in ids))
        self._length = self._file.tell() // self.dtype.itemsize
        self._since_release = 0
        # An empty file cannot be mapped.
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if self._length else None
        self._ids = np.frombuffer(self._map or b"", self.dtype)

    def __len__(self) -> int:
        return self._length

    def slice(self, start: int, stop: int) -> IntArray:
        """Return a copy of the ids from `start` to before `stop`, int64."""
        self._count(stop - start)
        return self._ids[start:stop].astype(np.int64)

    def ring(self, starts: IntArray, length: int) -> IntArray:
        """Return `length` ids from each start, int64 (len(starts), length), continuing at 0 after the last one."""
        self._count(length * len(starts))
        out = np.empty((len(starts), length), np.int64)
        for row, start in zip(out, starts % self._length, strict=True):
            head = self._ids[start:start + length]
            row[:len(head)] = head
            if len(head) < length:
                row[len(head):] = self._ids[np.arange(length - len(head)) % self._length]
        return out

    def _count(self, tokens: int) -> None:
        # A touched page brings its neighbours along, so a short read counts as a whole fault-around.
        self._since_release += max(tokens * self.dtype.itemsize, 1 << 16)
        if self._map and self._since_release > RELEASE_EVERY and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._since_release = 0
