"""Text that may be shown on a terminal: control characters become pictures of themselves."""

from __future__ import annotations

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
_PICTURES[0x7F] = "\u2421"
# C1 controls have no pictures; ESC [ in one byte (0x9B) works on many terminals, so none may pass.
_PICTURES |= {code: "\ufffd" for code in range(0x80, 0xA0)}
# Overrides of writing direction can make a line read as another.
_PICTURES |= {code: "\ufffd" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def visible(text: str) -> str:
    """The text with every control character but newline and tab made visible.

    >>> visible("a\\x1b[31mb")
    'a␛[31mb'
    """
    return text.translate(_PICTURES)
