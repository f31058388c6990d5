"""Text made safe for a terminal: control characters are replaced by visible symbols."""

from __future__ import annotations

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
_PICTURES[0x7F] = "\u2421"
# C1 controls have no pictures, and many terminals obey 0x9B, which is ESC [ in one character. Overrides of the writing
# direction can make one line look like another.
_PICTURES |= dict.fromkeys((*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd")

_PICTURES |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")       # bytes that are not UTF-8


def visible(text: str) -> str:
    """Return the text with every control character except newline and tab made visible.

    >>> visible("a\\x1b[31mb")
    'a␛[31mb'
    """
    return text.translate(_PICTURES)
