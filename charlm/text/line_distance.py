"""Lines that are too close to a training line in edit distance over characters (Levenshtein 1966)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from charlm.contract import IntArray
from charlm.text.line_hashes import LineHashes

MAX_HASHED_DISTANCE = 2                 # maximum distance that can be checked without the training lines


def edits(line: str, characters: str) -> Iterator[str]:
    """Yield a line and every line that is one insertion, deletion or substitution of a character away.

    >>> sorted(set(edits("ab", "b")))
    ['a', 'ab', 'abb', 'b', 'bab', 'bb']
    """
    yield line
    for at in range(len(line) + 1):
        yield from (line[:at] + character + line[at:] for character in characters)
        if at < len(line):
            yield line[:at] + line[at + 1:]
            yield from (line[:at] + character + line[at + 1:] for character in characters)


def nearer_than(distance: int, known: LineHashes, characters: str) -> Callable[[Sequence[str]], list[bool]]:
    """Return a test for lines that are less than `distance`, 1 or 2, away from a known line.

    The known lines consist of these characters. Because of hash collisions the test is also true for a few lines that
    are far enough away: with m known lines, n neighbours of a line hit one with a probability of n * m / 2^32.
    """
    def are_near(lines: Sequence[str]) -> list[bool]:
        if distance < MAX_HASHED_DISTANCE:
            return [bool(found) for found in known.contains(lines)]
        return [bool(known.contains(set(edits(line, characters))).any()) for line in lines]
    return are_near


class LineTable:
    """Lines as code points, grouped by length, for an exact search for close ones."""

    def __init__(self, lines: Iterable[str]):
        by_length: dict[int, list[str]] = {}
        for line in dict.fromkeys(lines):
            by_length.setdefault(len(line), []).append(line)
        self._columns = {length: _columns(group, length) for length, group in by_length.items()}

    def are_near(self, lines: Sequence[str], distance: int) -> list[bool]:
        """Return whether each line is less than `distance` edits away from a line of the table."""
        return [any(_is_near(line, columns, distance - 1) for length, columns in self._columns.items()
                    if abs(length - len(line)) < distance) for line in lines]


def _columns(lines: Sequence[str], length: int) -> NDArray[np.uint32]:
    """Return the code points of n lines of equal length as (length, n)."""
    codes = np.frombuffer("".join(lines).encode("utf-32-le", "surrogatepass"), np.uint32)
    return np.ascontiguousarray(codes.reshape(len(lines), length).T)


def _is_near(line: str, columns: NDArray[np.uint32], max_edits: int) -> bool:
    """Return whether a line is at most `max_edits` edits away from one of n lines, given as (length, n).

    Only the band of the distance matrix within `max_edits` of its diagonal is computed (Ukkonen 1985): in row i,
    band[o] has the distances from the first i characters of the line to the first i + o - max_edits characters of
    every line. A line is dropped as soon as all its distances in the band exceed `max_edits`.
    """
    length, count = columns.shape
    if max_edits >= max(length, len(line)):     # enough to replace every character
        return True
    rows: IntArray = np.arange(count)
    # Distances of a line that is not left out are below five times the limit.
    band = np.full((2 * max_edits + 1, count), max_edits + 1, np.min_scalar_type(-8 * (max_edits + 1)))
    for offset in range(max_edits, 2 * max_edits + 1):
        band[offset] = offset - max_edits
    for i, code in enumerate(map(ord, line), 1):
        new = np.full_like(band, max_edits + 1)
        for offset in range(2 * max_edits + 1):
            j = i + offset - max_edits
            if j == 0:
                new[offset] = i
            elif 0 < j <= length:
                new[offset] = band[offset] + (columns[j - 1][rows] != code)
                if offset < 2 * max_edits:
                    np.minimum(new[offset], band[offset + 1] + 1, out=new[offset])
                if offset:
                    np.minimum(new[offset], new[offset - 1] + 1, out=new[offset])
        alive = new.min(axis=0) <= max_edits
        if not alive.any():
            return False
        rows, band = (rows, new) if alive.all() else (rows[alive], new[:, alive])
    return bool((band[length - len(line) + max_edits] <= max_edits).any())
