"""File formats other than text, recognized by their first bytes, each with the command that converts it to text."""

from __future__ import annotations

import codecs
import re

_UTF16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MAGIC = {b"\x1f\x8b\x08": "gzip -dc", b"BZh": "bzip2 -dc", b"\xfd7zXZ\0": "xz -dc", b"(\xb5/\xfd": "zstd -dc"}


def other_format(start: bytes) -> str:
    """Return a message ending with a command if these first bytes belong to another format, else an empty string."""
    if start.startswith(b"%PDF-"):
        return "is a PDF, not a text; convert it with: pdftotext"
    # A text could begin with bzip2's magic alone, so the header of its first block is checked, too.
    packed = next((command for magic, command in _MAGIC.items() if start.startswith(magic)), "")
    if packed and (packed != "bzip2 -dc" or start[4:10] in (b"1AY&SY", b"\x17rE8P\x90")):
        return f"is compressed; unpack it with: {packed}"
    if not start.startswith(b"PK\3\4"):
        return ""
    if b"word/" in start or b"[Content_Types].xml" in start and not re.search(rb"(xl|ppt)/", start):
        return "is a Word document (docx), not a text; convert it with: pandoc -t plain"
    return "is a zip archive, not a text; unpack it with: unzip"


def utf16(sample: bytes, min_length: int) -> str:
    """Return such a message for UTF-16 with a byte order mark, or for at least this many bytes of ASCII in UTF-16.

    >>> utf16(b"a\\0b\\0", 4)
    'looks like UTF-16 without a byte order mark; convert it with: iconv -f UTF-16LE -t UTF-8'
    """
    if sample.startswith(_UTF16_BOMS):
        return "is UTF-16, not UTF-8; convert it with: iconv -f UTF-16 -t UTF-8"
    for order, letters, nuls in (("LE", sample[::2], sample[1::2]), ("BE", sample[1::2], sample[::2])):
        if len(sample) >= min_length and all(letters) and not any(nuls):
            return f"looks like UTF-16 without a byte order mark; convert it with: iconv -f UTF-16{order} -t UTF-8"
    return ""
