"""Text as a terminal shows it: clusters of code points that must stay together, and their widths in cells."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_JOINER = "\u200d"
_EXTENDING = ("Mn", "Me", "Mc")         # categories of combining marks; variation selectors are among them
_MODIFIERS = range(0x1F3FB, 0x1F400)    # skin tones
_REGIONAL = range(0x1F1E6, 0x1F200)     # letters that make flags, two by two
_LEADING, _LATER_JAMO = range(0x1100, 0x1160), range(0x1160, 0x1200)    # conjoining Hangul
_SYLLABLES = range(0xAC00, 0xD7A4)
_TAGS = range(0xE0020, 0xE0080)


def clusters(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of every grapheme cluster, by the rules of UAX 29 that scripts in use need.

    >>> [(start, stop) for start, stop in clusters("e\\u0301a🇩🇪")]
    [(0, 2), (2, 3), (3, 5)]
    """
    start = 0
    for at in range(1, len(text)):
        if text[at] < "\u0300" or not _continues(text, start, at):
            yield start, at
            start = at
    if text:
        yield start, len(text)


def _continues(text: str, start: int, at: int) -> bool:
    """Return True if the character at `at` belongs to the cluster that began at `start`."""
    character, before = text[at], text[at - 1]
    code = ord(character)
    if before < " ":
        return False
    if character == _JOINER or code in _MODIFIERS or code in _TAGS or unicodedata.category(character) in _EXTENDING:
        return True
    if before == _JOINER:
        return ord(text[start]) > 0x2000            # joined emoji; letters of scripts that use the joiner stay apart
    if code in _REGIONAL:
        return at - start == 1 and ord(before) in _REGIONAL
    if code in _LATER_JAMO:
        return ord(before) in _LATER_JAMO or ord(before) in _LEADING or ord(before) in _SYLLABLES
    return code in _LEADING and ord(before) in _LEADING


def width(cluster: str) -> int:
    """Return the number of cells that a terminal gives a cluster without control characters: 1 or 2.

    >>> width("e\\u0301"), width("日")
    (1, 2)
    """
    if unicodedata.east_asian_width(cluster[0]) in "WF" or "\ufe0f" in cluster or ord(cluster[0]) in _REGIONAL:
        return 2
    return 1
