"""Copies of a corpus in sampled texts: the longest stretch of each text that occurs in the corpus, found exactly.

The corpus is read once for each group of texts and not kept in memory. Where it contains hashes of `length` characters
of the texts, the stretches themselves are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from charlm.text.rolling_hashes import HashSet, rolling_hashes

SampledText = tuple[str, int]           # the text with its prompt, and the index at which the text itself begins


class CopyFinder(Protocol):
    """Finds copies of a training text."""

    @property
    def length(self) -> int:
        """The number of characters from which a stretch counts as a copy."""

    def longest(self, texts: Sequence[SampledText]) -> list[str]:
        """Return the longest copy in each text, or an empty string; it may begin in the prompt but not end there."""


class CorpusCopies(CopyFinder):
    """Finds copies of a corpus, which `read` yields in chunks."""

    def __init__(self, read: Callable[[], Iterable[str]], length: int):
        self._read, self._length = read, length

    @property
    def length(self) -> int:
        """The number of characters from which a stretch counts as a copy."""
        return self._length

    def longest(self, texts: Sequence[SampledText]) -> list[str]:
        """Return the longest copy in each text, the first if several tie."""
        wanted = HashSet(np.concatenate([np.zeros(0, np.uint64),
                                         *(rolling_hashes(text, self._length) for text, _ in texts)]))
        copies = [""] * len(texts)
        if not len(wanted):
            return copies
        shared = set(self._shared_stretches(wanted, max(len(text) for text, _ in texts)))
        for stretch in sorted(shared, key=lambda stretch: (-len(stretch), stretch)):
            for index, (text, start) in enumerate(texts):
                if len(stretch) > len(copies[index]):
                    found = _longest_common(stretch, text, start, max(self._length, len(copies[index]) + 1))
                    copies[index] = found or copies[index]
            if len(stretch) <= min(map(len, copies)):
                break
        return copies

    def _shared_stretches(self, wanted: HashSet, longest: int) -> Iterator[str]:
        """Yield the stretches of the corpus in which every `length` characters have a wanted hash.

        A stretch longer than `longest` characters may be yielded as overlapping parts of at least that length.
        """
        held = ""
        for chunk in self._read():
            text = held + chunk
            found = wanted.contains(rolling_hashes(text, self._length))
            edges = np.flatnonzero(np.diff(found, prepend=False, append=False)).reshape(-1, 2)
            held = text[max(len(text) - self._length + 1, 0):]
            for first, stop in edges.tolist():
                stretch = text[first:stop + self._length - 1]
                yield stretch
                if stop == len(found):          # the next chunk may continue it
                    held = stretch[-longest:]


def _longest_common(stretch: str, text: str, start: int, at_least: int) -> str:
    """Return the longest part of a stretch that occurs in a text, ends after `start` and has `at_least` characters.

    >>> _longest_common("xabcy", "abc abcy", 0, 2), _longest_common("xabcy", "abcy", 3, 2)
    ('abcy', 'abcy')
    >>> _longest_common("xabcy", "abcy", 4, 2)
    ''
    """
    best, first = "", 0
    for stop in range(1, len(stretch) + 1):
        while stretch[first:stop] not in text:
            first += 1
        for begin in range(first, stop - max(at_least, len(best) + 1) + 1):
            if text.find(stretch[begin:stop], max(start - (stop - begin) + 1, 0)) >= 0:
                best = stretch[begin:stop]
                break
    return best
