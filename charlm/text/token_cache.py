"""Token ids in a private memory-mapped file, so that memory does not grow with the corpus.

Not here: how text becomes ids (the tokenizers), how windows are cut (training/lanes.py).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable

import numpy as np

from charlm.text.spool import anonymous_file, write_all

RELEASE_EVERY = 8 << 20                 # bytes of tokens read before their pages are given back


def smallest_dtype(vocabulary_size: int) -> np.dtype:
    """The smallest unsigned integer type that holds every id."""
    return np.min_scalar_type(max(vocabulary_size - 1, 0))


class TokenCache:
    """A sequence of ids on disk, written once, then read as a ring.

    Pages that were read count as this process's memory until they are released; `ring` releases
    them every few megabytes, which costs a page fault later and keeps memory constant.
    """

    def __init__(self, ids: Iterable[np.ndarray], *, vocabulary_size: int):
        self._file = anonymous_file()
        self.dtype = smallest_dtype(vocabulary_size)
        write_all(self._file, (piece.astype(self.dtype, copy=False).tobytes() for piece in ids))
        self._length = self._file.tell() // self.dtype.itemsize
        self._since_release = 0
        self._map = self._ids = None        # an empty file cannot be mapped, and is never read
        if self._length:
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            self._ids = np.frombuffer(self._map, self.dtype)

    def __len__(self) -> int:
        return self._length

    def slice(self, start: int, stop: int) -> np.ndarray:
        """Ids from `start` up to `stop`, int64, a copy."""
        self._count(stop - start)
        return self._ids[start:stop].astype(np.int64)

    def ring(self, starts: np.ndarray, length: int) -> np.ndarray:
        """`length` ids from each start, int64 (len(starts), length), going round past the end."""
        self._count(length * len(starts))
        out = np.empty((len(starts), length), np.int64)
        for row, start in zip(out, starts % self._length):
            head = self._ids[start:start + length]
            row[:len(head)] = head
            if len(head) < length:
                row[len(head):] = self._ids[np.arange(length - len(head)) % self._length]
        return out

    def _count(self, tokens: int) -> None:
        # A touched page brings its neighbours along, so short reads are charged a whole fault-around.
        self._since_release += max(tokens * self.dtype.itemsize, 1 << 16)
        if self._since_release > RELEASE_EVERY and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._since_release = 0
