"""Bytes that are not UTF-8 in the text that a byte model writes: lone surrogates (PEP 383) until they are written."""

from __future__ import annotations


def replace_invalid(text: str) -> str:
    """Return a text with U+FFFD for bytes that are not UTF-8, as decoding it with `replace` gives.

    >>> replace_invalid("caf\\udcc3, th\u00e9") == "caf\ufffd, th\u00e9"
    True
    """
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:          # a surrogate that stands for no byte
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def exact_bytes(text: str) -> bytes:
    """Return UTF-8 with the bytes that are not as they were, and `?` for surrogates that stand for no byte.

    >>> exact_bytes("a\\udcc3b"), exact_bytes("a\\ud800b")
    (b'a\\xc3b', b'a?b')
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
