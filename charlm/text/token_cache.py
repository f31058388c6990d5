"""Token ids in a private memory-mapped file, so that memory does not grow with the corpus."""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from charlm.contract import IntArray
from charlm.text.temporary import anonymous_file, write_all

ALIGNMENT = 8                           # bytes, so that ids of any dtype can be mapped
CHUNK = 1 << 20                         # bytes read at once
RELEASE_EVERY = 8 << 20                 # bytes of tokens that are read before their pages are released


def smallest_dtype(vocabulary_size: int) -> np.dtype[np.unsignedinteger]:
    """Return the smallest unsigned integer type that holds every id."""
    return np.min_scalar_type(max(vocabulary_size - 1, 0))


def _open_shared(path: str, offset: int, length: int, dtype: str) -> TokenCache:
    """Return another process's cache. Raises OSError if the file cannot be reached."""
    cache = TokenCache.__new__(TokenCache)
    cache.checksum = 0
    cache._map_file(open(path, "rb"), offset, length, np.dtype(dtype))     # noqa: SIM115
    return cache


class TokenCache:
    """A sequence of ids on disk, which is written once and then read as a ring.

    Pages that were read count as this process's memory until they are released. `ring` releases them every few
    megabytes, which costs page faults later and keeps memory constant.
    """

    def __init__(self, ids: Iterable[IntArray], *, vocabulary_size: int, file: BinaryIO | None = None):
        """Write ids to the end of a file, by default a temporary one. Raises StorageError for a full disk."""
        file, dtype = file or anonymous_file(), smallest_dtype(vocabulary_size)
        offset = file.seek(0, os.SEEK_END)
        write_all(file, [bytes(-offset % ALIGNMENT)])
        offset = file.tell()
        self.checksum = 0               # CRC-32 of the ids in `dtype`
        write_all(file, self._checked(piece.astype(dtype, copy=False).tobytes() for piece in ids))
        self._map_file(file, offset, (file.tell() - offset) // dtype.itemsize, dtype)

    @classmethod
    def from_file(cls, file: BinaryIO, offset: int, length: int, dtype: np.dtype[np.unsignedinteger]) -> TokenCache:
        """Return a cache of ids that another cache wrote to a file; reads them once for the checksum."""
        cache = cls.__new__(cls)
        cache.checksum = 0
        file.seek(offset)
        left = length * dtype.itemsize
        while data := file.read(min(left, CHUNK)):
            left -= len(data)
            cache.checksum = zlib.crc32(data, cache.checksum)
        cache._map_file(file, offset, length, dtype)
        return cache

    def _checked(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for data in pieces:
            self.checksum = zlib.crc32(data, self.checksum)
            yield data

    def _map_file(self, file: BinaryIO, offset: int, length: int, dtype: np.dtype[np.unsignedinteger]) -> None:
        self._file, self.offset, self._length, self.dtype = file, offset, length, dtype
        self._since_release = 0
        # An empty range cannot be mapped.
        end = offset + length * dtype.itemsize
        self._map = mmap.mmap(file.fileno(), end, access=mmap.ACCESS_READ) if length else None
        self._ids = np.frombuffer(self._map or b"", dtype, length, offset if length else 0)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle for another process on this machine, which maps the same file while this process is running."""
        path = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
        return _open_shared, (path, self.offset, self._length, self.dtype.str)

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
