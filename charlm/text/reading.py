"""Reading text: files, standard input (`-`) and compressed files, as chunks of strictly decoded characters."""

from __future__ import annotations

import codecs
import itertools
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, TypeVar

from charlm.errors import CorpusError, UsageError
from charlm.text.compressed import COMPRESSED, DAMAGED, inner_name
from charlm.text.other_formats import other_format, utf16
from charlm.text.record_format import RecordFormat
from charlm.text.records import read_texts
from charlm.text.sources import STDIN, expand
from charlm.text.tokenizers.base import NEWLINE

CHUNK = 1 << 18                         # bytes read at once
MAX_NAMED = 8                           # maximum number of texts named in a message
_BOM = "\ufeff"
_HEAD = 4096                            # bytes that are examined for signs of another format
_MODEL = b'{"__metadata__":{"charlm":'  # follows the first 8 bytes of a model file
_UTF16_SAMPLE, _MIN_UTF16_SAMPLE = 64, 8    # bytes of which every second one is NUL; the minimum for a short file

Warn = Callable[[str], None]
Item = TypeVar("Item")
Watch = Callable[[int], None]


def source_name(source: str) -> str:
    """Return a source's name in messages: its path, or `standard input`."""
    return "standard input" if source == STDIN else source


def shell_argument(source: str) -> str:
    """Return a source as the last argument of a suggested command; nothing if the command must read from a pipe.

    >>> shell_argument("my notes.txt"), shell_argument("-"), shell_argument("notes.txt.gz")
    (" 'my notes.txt'", '', '')
    """
    piped = source == STDIN or inner_name(source) != source
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
    except DAMAGED as error:
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
    if reason := other_format(start) or errors == "strict" and utf16(start[:_UTF16_SAMPLE], utf16_sample):
        raise CorpusError(f"{source_name(source)}: {reason}{shell_argument(source)}")


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


def _watched(stream: BinaryIO, chunks: Iterable[bytes], watch: Watch) -> Iterator[bytes]:
    """Yield chunks of a stream, and call `watch` with the bytes of its file that each one consumed."""
    position = 0
    for chunk in chunks:
        try:
            now = os.lseek(stream.fileno(), 0, os.SEEK_CUR)     # for a compressed file, before decompression
        except OSError:                 # a pipe
            now = position + len(chunk)
        watch(now - position)
        position = now
        yield chunk


class Text:
    """The text of one source in chunks. It can be iterated once; before that, `head` shows its beginning.

    Nothing is normalised; line ends are kept. With a format, it is the text of every record, each followed by a line
    break. `errors` is strict, replace or ignore. `warn` receives warnings, and `watch` the number of bytes of the
    source that each chunk consumed, before decompression. Iterating raises CorpusError with the source's name and the
    offset of a bad byte after decompression.
    """

    def __init__(self, source: str, errors: str = "strict", warn: Warn | None = None,
                 format: RecordFormat | None = None, watch: Watch | None = None):
        self.source, self.format = source, format
        self.name = source_name(source)
        self._by_line = False
        self._chunks = self._read(errors, warn, watch)
        self._head: list[str] = []

    def _read(self, errors: str, warn: Warn | None, watch: Watch | None) -> Iterator[str]:
        with open_bytes(self.source) as stream:
            chunks = byte_chunks(stream, self.source, errors=errors, warn=warn)
            chunks = _watched(stream, chunks, watch) if watch else chunks
            yield from (_decode(chunks, self.source, errors) if self.format is None else
                        read_texts(chunks, self.format, self.name, errors, by_line=self._by_line))

    @property
    def parts(self) -> Sequence[Text]:
        """The texts that make up this one: itself, or those of several files."""
        return (self,)

    def by_line(self) -> Iterator[str]:
        """Iterate over the text for splitting into lines: line breaks within the field of a record become spaces."""
        self._by_line = True
        return iter(self)

    def refuse_format(self, example: str) -> None:
        """Raise UsageError if the text consists of fields of records, because an example needs two fields."""
        if self.format is not None:
            raise UsageError(f"--csv-column and --json-field give one text per record; this model learns {example} "
                             "from lines of two columns")

    def head(self) -> str:
        """Return the first CHUNK characters or all, waiting for them if necessary. They are still iterated later."""
        while sum(map(len, self._head)) < CHUNK and (chunk := next(self._chunks, "")):
            self._head.append(chunk)
        return "".join(self._head)

    def __iter__(self) -> Iterator[str]:
        head, self._head = self._head, []
        return itertools.chain(head, self._chunks)


class _Joined(Text):
    """The text of several files, one after the other, under one name."""

    def __init__(self, name: str, texts: Sequence[Text]):
        super().__init__(name)
        self._texts = texts
        self._chunks = itertools.chain.from_iterable(texts)

    @property
    def parts(self) -> Sequence[Text]:
        """The texts of the files."""
        return self._texts


def open_texts(names: Sequence[str], errors: str = "strict", warn: Warn | None = None,
               format: RecordFormat | None = None, watch: Watch | None = None) -> list[Text]:
    """Return the texts of the files that names stand for. Raises CorpusError if a name stands for none."""
    return [Text(path, errors, warn, format, watch) for path in expand(names).paths]


def open_text(name: str, errors: str = "strict", warn: Warn | None = None, format: RecordFormat | None = None) -> Text:
    """Return everything that a name stands for as one text. Raises CorpusError if it stands for nothing."""
    texts = open_texts([name], errors, warn, format)
    return _Joined(name, texts) if len(texts) > 1 else texts[0]


def names_of(texts: Sequence[Text]) -> str:
    """Return the names of texts for a message; if there are many, the first names and the number of the others."""
    names = [text.name for text in texts[:MAX_NAMED]]
    return ", ".join(names) + (f" and {len(texts) - MAX_NAMED} more" if len(texts) > MAX_NAMED else "")


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


def batched(lines: Iterable[Item], size: int = 256) -> Iterator[list[Item]]:
    """Yield lines in batches, because passing on single lines costs more than reading them.

    >>> list(batched("abc", 2))
    [['a', 'b'], ['c']]
    """
    iterator = iter(lines)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def split_lines(chunks: Iterable[str]) -> Iterator[str]:
    """Yield lines without their newline, which the last may lack.

    >>> list(split_lines(["a", "\\nb\\n", "c"]))
    ['a', 'b', 'c']
    """
    held: list[str] = []
    for chunk in chunks:
        first, *others = chunk.split(NEWLINE)
        held.append(first)
        if others:
            yield "".join(held)
            held = [others.pop()]
            yield from others
    if last := "".join(held):
        yield last
