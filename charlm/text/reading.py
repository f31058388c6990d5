"""Reading text: files, `-`, compressed files, as chunks of strictly decoded characters.

Not here: what becomes of the characters (spool.py, the tokenizers).
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import itertools
import lzma
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from charlm.errors import CorpusError, UsageError
from charlm.text.tokenizers.base import NEWLINE

CHUNK = 1 << 18                         # bytes read at once
STDIN = "-"
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BOM = "\ufeff"
_MODEL = b'{"__metadata__":{"charlm":'     # how a model file goes on after its first 8 bytes


def source_name(source: str) -> str:
    """How a source is named in messages: its path, or `standard input`."""
    return "standard input" if source == STDIN else source


@contextmanager
def open_bytes(source: str) -> Iterator[BinaryIO]:
    """Open a path or `-` for reading bytes, decompressed by its ending.

    Raises CorpusError when it cannot be opened, UsageError when `-` is a terminal.
    """
    if source == STDIN:
        if sys.stdin is None or sys.stdin.closed:
            raise CorpusError("standard input is closed; name a file instead of -")
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal; pipe text into it or name a file")
        yield sys.stdin.buffer
        return
    opener = _OPENERS.get(os.path.splitext(source)[1].lower(), open)
    try:
        stream = opener(source, "rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"{source}: cannot be read ({reason})") from None
    with stream:
        yield stream


def byte_chunks(stream: BinaryIO, source: str, size: int = CHUNK) -> Iterator[bytes]:
    """Chunks until the end, each as soon as it is there; a damaged archive, a failing disk and a model
    in the place of a text are CorpusErrors."""
    start = b""
    while True:
        try:
            # read1 hands over what a slow pipe has, where read would wait for a full chunk.
            chunk = stream.read1(size) if hasattr(stream, "read1") else stream.read(size)
        except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
            raise CorpusError(f"{source_name(source)}: cannot be read ({error})") from None
        if not chunk:
            return
        if len(start) < len(_MODEL) + 8:
            start = (start + chunk[:len(_MODEL) + 8])[:len(_MODEL) + 8]
            if start[8:] == _MODEL:
                raise CorpusError(f"{source_name(source)}: is a model, not a text; name a model with -m")
        yield chunk


def _decode(chunks: Iterable[bytes], source: str, errors: str) -> Iterator[str]:
    """Characters of one source, without a leading byte order mark."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    fed, at_start = 0, True

    def decode(chunk: bytes, final: bool) -> str:
        held = len(decoder.getstate()[0])
        try:
            return decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise CorpusError(
                f"{source_name(source)}: not UTF-8: byte 0x{byte:02x} at offset {fed - held + error.start}"
                "; convert it, or pass --errors replace or ignore") from None

    for chunk in chunks:
        text = decode(chunk, False)
        fed += len(chunk)
        if at_start and text:
            text, at_start = text.removeprefix(_BOM), False
        if text:
            yield text
    if text := decode(b"", True):
        yield text


class Text:
    """One source's text in chunks, to be read once; its beginning can be looked at before that.

    Nothing is normalised; line ends stay as they are. `errors` is strict, replace or ignore.
    Iterating raises CorpusError naming the source and, for a bad byte, its offset in the decompressed
    bytes.
    """

    def __init__(self, source: str, errors: str = "strict"):
        self.source = source
        self.name = source_name(source)
        self._chunks = self._read(errors)
        self._head: list[str] = []

    def _read(self, errors: str) -> Iterator[str]:
        with open_bytes(self.source) as stream:
            yield from _decode(byte_chunks(stream, self.source), self.source, errors)

    def head(self) -> str:
        """The first CHUNK characters or all, however slowly they come; still part of what is read."""
        while sum(map(len, self._head)) < CHUNK and (chunk := next(self._chunks, "")):
            self._head.append(chunk)
        return "".join(self._head)

    def __iter__(self) -> Iterator[str]:
        head, self._head = self._head, []
        return itertools.chain(head, self._chunks)


def read_text(sources: Iterable[str], errors: str = "strict") -> Iterator[str]:
    """Chunks of the sources' text, one after the other, as `cat` would join them."""
    for source in sources:
        yield from Text(source, errors)


def strip_line_end(line: str) -> str:
    """A line without its end: LF, CR LF, or a CR at the end of a text.

    >>> strip_line_end("one\\r\\n"), strip_line_end("two\\r\\r\\n"), strip_line_end("three")
    ('one', 'two\\r', 'three')
    """
    return line.removesuffix(NEWLINE).removesuffix("\r")


def split_lines(chunks: Iterable[str]) -> Iterator[str]:
    """Lines without their newline; the last may lack one.

    >>> list(split_lines(["a", "\\nb\\n", "c"]))
    ['a', 'b', 'c']
    """
    held: list[str] = []
    for chunk in chunks:
        *whole, rest = chunk.split(NEWLINE)
        for line in whole:
            yield "".join([*held, line])
            held.clear()
        held.append(rest)
    if last := "".join(held):
        yield last
