"""A private copy of the corpus, read once and kept until the tokens are made.

The copy has no name on disk, so nothing is left behind however the process ends, and a corpus that
changes or shrinks meanwhile cannot touch it. Not here: tokens (cache.py).
"""

from __future__ import annotations

import codecs
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from charlm.errors import StorageError

CHUNK = 1 << 18


def anonymous_file() -> BinaryIO:
    """An unnamed temporary file in TMPDIR, else /var/tmp: /tmp is often memory, and small."""
    roomy = None if os.environ.get("TMPDIR") or not os.access("/var/tmp", os.W_OK) else "/var/tmp"
    try:
        return tempfile.TemporaryFile(dir=roomy)
    except OSError as error:
        raise StorageError(f"no room for a temporary file ({error}); set TMPDIR") from None


def write_all(file: BinaryIO, pieces: Iterable[bytes]) -> None:
    """Append all pieces to a private file, down to its last byte; StorageError when the disk is full.

    What the pieces themselves raise passes through: only writing is this function's business.
    """
    for data in pieces:
        _disk(file.write, data)
    _disk(file.flush)


def _disk(operation, *arguments) -> None:
    try:
        operation(*arguments)
    except OSError as error:
        raise StorageError(f"temporary files: {error.strerror}; set TMPDIR to a larger disk") from None


class Spool:
    """Text kept on disk, its length in characters, and the BLAKE2b-128 of its UTF-8 bytes."""

    def __init__(self, chunks: Iterable[str]):
        self._file = anonymous_file()
        self.characters = 0
        self._digest = hashlib.blake2b(digest_size=16)
        write_all(self._file, map(self._count, chunks))
        self.digest = self._digest.hexdigest()

    def _count(self, text: str) -> bytes:
        data = text.encode("utf-8")
        self._digest.update(data)
        self.characters += len(text)
        return data

    def __iter__(self) -> Iterator[str]:
        """All the text, in chunks."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        self._file.seek(0)
        while data := self._file.read(CHUNK):
            if text := decoder.decode(data):
                yield text

    def part(self, start: int, stop: int) -> Iterator[str]:
        """The characters from `start` up to `stop`, in chunks."""
        at = 0
        for text in self:
            low, high = max(start - at, 0), min(stop - at, len(text))
            if low < high:
                yield text[low:high]
            at += len(text)

    def close(self) -> None:
        self._file.close()
