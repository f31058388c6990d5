"""A private copy of the corpus, read once and kept until its tokens are made.

It has no name on disk, so nothing is left behind however the process ends, and it does not change when the corpus does.
"""

from __future__ import annotations

import bisect
import codecs
import hashlib
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from charlm.contract import BoolArray, IntArray
from charlm.text.line_hashes import line_hashes
from charlm.text.reading import CHUNK, batched, split_lines
from charlm.text.temporary import IN_TMPDIR, TemporaryFiles, write_all
from charlm.text.tokenizers.base import NEWLINE
from charlm.text.tsv import TAB


class Spool:
    """A text on disk, with its length in characters and the BLAKE2b-128 digest of its UTF-8 bytes."""

    def __init__(self, chunks: Iterable[str], files: TemporaryFiles = IN_TMPDIR):
        self._file = files.open()
        self.characters = 0
        self._marks = [(0, 0)]          # (characters, bytes) before positions at least CHUNK characters apart
        self._bytes = 0
        self._digest = hashlib.blake2b(digest_size=16)
        write_all(self._file, map(self._count, chunks))
        self.digest = self._digest.hexdigest()

    def _count(self, text: str) -> bytes:
        data = text.encode("utf-8")
        self._digest.update(data)
        self.characters += len(text)
        self._bytes += len(data)
        if self.characters - self._marks[-1][0] >= CHUNK:
            self._marks.append((self.characters, self._bytes))
        return data

    def __iter__(self) -> Iterator[str]:
        """Yield the whole text in chunks."""
        return self._read(0)

    def _read(self, offset: int) -> Iterator[str]:
        """Yield the text from a byte offset on, in chunks."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        self._file.seek(offset)
        while data := self._file.read(CHUNK):
            if text := decoder.decode(data):
                yield text

    def part(self, start: int, stop: int) -> Iterator[str]:
        """Yield the characters from `start` to before `stop` in chunks."""
        at, offset = self._marks[bisect.bisect_right(self._marks, start, key=lambda mark: mark[0]) - 1]
        for text in self._read(offset):
            if at >= stop:
                return
            low, high = max(start - at, 0), min(stop - at, len(text))
            if low < high:
                yield text[low:high]
            at += len(text)


def _measure(lines: list[tuple[str, str]], key: int) -> tuple[NDArray[np.uint64], IntArray, BoolArray]:
    """Return the hashes of the `key` fields, the lengths of the second fields, and whether the latter are blank."""
    seconds = [line[1] for line in lines]
    keys = seconds if key else [line[0] for line in lines]
    return (line_hashes(keys), np.array([*map(len, seconds)], np.int64),
            np.array([not second.strip() for second in seconds], bool))


class LineSpool:
    """Lines of two fields on disk, or of the second field only if they are unlabelled, with their digest.

    The hash of each line's `key` field decides whether it is held out, so that equal ones are on the same side.
    """

    def __init__(self, lines: Iterable[tuple[str, str]], *, key: int, labelled: bool = True,
                 files: TemporaryFiles = IN_TMPDIR):
        self.labelled, self._key, self._files = labelled, key, files
        self._spool = Spool((self._join(batch) for batch in batched(lines)), files)
        measured = [_measure(batch, key) for batch in batched(self)] or [_measure([], key)]
        hashes, lengths, blank = map(np.concatenate, zip(*measured, strict=True))
        self.hashes, self.lengths = hashes, lengths             # of the key field and of the second field, one a line
        self.blank: BoolArray = blank                           # whether the second field is white space only
        self.digest = self._spool.digest

    def _join(self, lines: list[tuple[str, str]]) -> str:
        return "".join([f"{first}{TAB}{second}{NEWLINE}" if self.labelled else second + NEWLINE
                        for first, second in lines])

    def __len__(self) -> int:
        return len(self.hashes)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield both fields of every line; the first is empty if unlabelled."""
        lines = split_lines(self._spool)
        if not self.labelled:
            return zip(itertools.repeat(""), lines)
        return ((first, second) for first, _, second in (line.partition(TAB) for line in lines))

    def without_blank(self) -> LineSpool:
        """Return the other lines."""
        return LineSpool(self.select(~self.blank), key=self._key, labelled=self.labelled, files=self._files)

    def held_out(self, fraction: float | None, default: float, limit: int) -> BoolArray:
        """Return a mask holding out a fraction of hashes, else `default` up to `limit`; at least one on each side."""
        different = np.unique(self.hashes)
        count = min(len(different) * default, limit) if fraction is None else len(different) * fraction
        mask: BoolArray = self.hashes < different[min(max(round(count), 1), len(different) - 1)]
        return mask

    def select(self, mask: BoolArray) -> Iterator[tuple[str, str]]:
        """Yield the lines for which the mask is true."""
        return itertools.compress(self, mask.tolist())
