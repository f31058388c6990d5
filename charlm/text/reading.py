"""Reading text: files, standard input (`-`) and compressed files, as chunks of strictly decoded characters."""

from __future__ import annotations

import bz2
import codecs
import gzip
import itertools
import lzma
import os
import re
import shlex
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from charlm.errors import CorpusError, UsageError
from charlm.text.sources import STDIN
from charlm.text.tokenizers.base import NEWLINE

CHUNK = 1 << 18                         # bytes read at once
COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BOM = "\ufeff"
_HEAD = 4096                            # bytes that are examined for signs of another format
_MODEL = b'{"__metadata__":{"charlm":'  # follows the first 8 bytes of a model file
_UTF16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF16_SAMPLE, _MIN_UTF16_SAMPLE = 64, 8    # bytes of which every second one is NUL; the minimum for a short file

Warn = Callable[[str], None]


def source_name(source: str) -> str:
    """Return a source's name in messages: its path, or `standard input`."""
    return "standard input" if source == STDIN else source


def shell_argument(source: str) -> str:
    """Return a source as the last argument of a suggested command; nothing if the command must read from a pipe.

    >>> shell_argument("my notes.txt"), shell_argument("-"), shell_argument("notes.txt.gz")
    (" 'my notes.txt'", '', '')
    """
    piped = source == STDIN or os.path.splitext(source)[1].lower() in COMPRESSED
    return "" if piped else f" {shlex.quote(source)}"


@contextmanager
def open_bytes(source: str, *, raw: bool = False) -> Iterator[BinaryIO]:
    """Open a path or `-` for bytes, decompressed by ending unless `raw`.

    Raises CorpusError, or UsageError if `-` is a terminal.
    """
    if source == STDIN:
        if sys.stdin is None or sys.stdin.closed:
            raise CorpusError("standard input is closed; name a file instead of -")
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal; pipe text into it or name a file")
        yield sys.stdin.buffer
        return
    opener = open if raw else COMPRESSED.get(os.path.splitext(source)[1].lower(), open)
    try:
        stream = opener(source, "rb")
    except (OSError, ValueError) as error:
        raise CorpusError(f"{source}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    with stream:
        yield stream


def require_readable(sources: Iterable[str]) -> None:
    """Raise CorpusError for the first file that cannot be opened. Pipes are left alone: opening one takes from it."""
    for source in sources:
        if source != STDIN and (not os.path.exists(source) or os.path.isfile(source) or os.path.isdir(source)):
            with open_bytes(source):
                pass


def byte_chunks(stream: BinaryIO, source: str, size: int = CHUNK, *, errors: str = "strict",
                warn: Warn | None = None) -> Iterator[bytes]:
    """Yield chunks until the end, each as soon as it is there.

    Raises CorpusError for a damaged archive, a failing disk and any file that is not text. UTF-16 counts as text
    unless `errors` is strict. `warn` is called if bytes after the data of a .gz file are ignored.
    """
    start = b""
    while chunk := _read(stream, source, size, warn):
        if len(start) < _HEAD:
            start += chunk[:_HEAD - len(start)]
            _require_text(start, source, errors, _UTF16_SAMPLE)
        yield chunk
    _require_text(start, source, errors, _MIN_UTF16_SAMPLE)


def _read(stream: BinaryIO, source: str, size: int, warn: Warn | None) -> bytes:
    """Return the next bytes, or none at the end."""
    try:
        # read1 returns what a slow pipe has, where read would wait for a full chunk.
        data: bytes = stream.read1(size) if hasattr(stream, "read1") else stream.read(size)
        return data
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        # As gzip(1) does. The time stamp is known once the header of a first member has been read.
        if getattr(stream, "mtime", None) is not None and str(error).startswith("Not a gzipped file"):
            if warn:
                warn(f"warning: {source_name(source)}: the bytes after its compressed data are ignored")
            return b""
        raise CorpusError(f"{source_name(source)}: cannot be read ({error})") from None


def _require_text(start: bytes, source: str, errors: str, utf16_sample: int) -> None:
    """Raise CorpusError if a source begins like another format, with the command that makes it a text."""
    if start.startswith(_MODEL, 8):
        raise CorpusError(f"{source_name(source)}: is a model, not a text; name a model with -m")
    if reason := _other_format(start) or errors == "strict" and _utf16(start[:_UTF16_SAMPLE], utf16_sample):
        raise CorpusError(f"{source_name(source)}: {reason}{shell_argument(source)}")


def _other_format(start: bytes) -> str:
    """Return a message that ends with a command if these first bytes are another format's, else an empty string."""
    if start.startswith(b"%PDF-"):
        return "is a PDF, not a text; convert it with: pdftotext"
    if not start.startswith(b"PK\3\4"):
        return ""
    if b"word/" in start or b"[Content_Types].xml" in start and not re.search(rb"(xl|ppt)/", start):
        return "is a Word document (docx), not a text; convert it with: pandoc -t plain"
    return "is a zip archive, not a text; unpack it with: unzip"


def _utf16(sample: bytes, min_length: int) -> str:
    """Return the same for UTF-16, with a byte order mark or of at least this many bytes of ASCII.

    >>> _utf16(b"a\\0b\\0", 4)
    'looks like UTF-16 without a byte order mark; convert it with: iconv -f UTF-16LE -t UTF-8'
    """
    if sample.startswith(_UTF16_BOMS):
        return "is UTF-16, not UTF-8; convert it with: iconv -f UTF-16 -t UTF-8"
    for order, letters, nuls in (("LE", sample[::2], sample[1::2]), ("BE", sample[1::2], sample[::2])):
        if len(sample) >= min_length and all(letters) and not any(nuls):
            return f"looks like UTF-16 without a byte order mark; convert it with: iconv -f UTF-16{order} -t UTF-8"
    return ""


def _decode(chunks: Iterable[bytes], source: str, errors: str) -> Iterator[str]:
    """Yield the characters of one source without a leading byte order mark."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    fed, at_start = 0, True
    for chunk in itertools.chain(chunks, [b""]):            # the empty one ends the text
        held = len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            byte, offset = error.object[error.start], fed - held + error.start
            raise CorpusError(f"{source_name(source)}: not UTF-8: byte 0x{byte:02x} at offset {offset}; "
                              "convert it, or pass --errors replace or ignore") from None
        fed += len(chunk)
        if at_start and text:
            text, at_start = text.removeprefix(_BOM), False
        if text:
            yield text


class Text:
    """The text of one source in chunks. It can be iterated once; before that, `head` shows its beginning.

    Nothing is normalised; line ends are kept. `errors` is strict, replace or ignore. `warn` receives warnings.
    Iterating raises CorpusError with the source's name and the offset of a bad byte in the decompressed bytes.
    """

    def __init__(self, source: str, errors: str = "strict", warn: Warn | None = None):
        self.source = source
        self.name = source_name(source)
        self._chunks = self._read(errors, warn)
        self._head: list[str] = []

    def _read(self, errors: str, warn: Warn | None) -> Iterator[str]:
        with open_bytes(self.source) as stream:
            yield from _decode(byte_chunks(stream, self.source, errors=errors, warn=warn), self.source, errors)

    def head(self) -> str:
        """Return the first CHUNK characters or all, waiting for them if necessary. They are still iterated later."""
        while sum(map(len, self._head)) < CHUNK and (chunk := next(self._chunks, "")):
            self._head.append(chunk)
        return "".join(self._head)

    def __iter__(self) -> Iterator[str]:
        head, self._head = self._head, []
        return itertools.chain(head, self._chunks)


def read_text(sources: Iterable[str], errors: str = "strict", warn: Warn | None = None) -> Iterator[str]:
    """Yield the text of the sources, one after the other, in chunks, as `cat` would join them."""
    for source in sources:
        yield from Text(source, errors, warn)


def strip_line_end(line: str) -> str:
    """Return a line without its end: LF, CR LF, or a CR at the end of a text.

    >>> strip_line_end("one\\r\\n"), strip_line_end("two\\r\\r\\n"), strip_line_end("three")
    ('one', 'two\\r', 'three')
    """
    return line.removesuffix(NEWLINE).removesuffix("\r")


def split_lines(chunks: Iterable[str]) -> Iterator[str]:
    """Yield lines without their newline, which the last may lack.

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
