"""The lines of files and stdin in batches: promptly when input is slow, many at once when it is fast."""

from __future__ import annotations

import codecs
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import click

from charlm.cli.exit_codes import message
from charlm.cli.output import ESCAPES
from charlm.errors import CorpusError
from charlm.text.sources import STDIN, expand

if TYPE_CHECKING:
    from charlm.inference.line_scoring import Scorer

CHUNK = 1 << 16                         # bytes read at once
MAX_BATCH = 256                         # lines answered at once
FIRST_BATCH = 32                        # fewer at first: an answer comes soon, and workers, if worth it, start soon


@dataclass(frozen=True, slots=True)
class Line:
    """One line of input."""

    number: int                         # from 1, in its file
    text: str                           # without line end and byte order mark; empty if not UTF-8
    end: str                            # LF or CRLF; empty at the end of the input
    data: bytes                         # the bytes as read, with the line end
    error: str = ""                     # why the line cannot be answered, e.g. "not UTF-8"
    file: str = ""                      # its file, if records have to name it
    ordinal: int = field(default=0, compare=False)          # its number among the lines of all files, from 1

    @property
    def valid(self) -> bool:
        """Return True if the line can be answered."""
        return not self.error

    def text_for(self, scorer: Scorer) -> str:
        """Return the text that a scorer scores, with the line end if the scorer includes it."""
        return self.text + self.end if scorer.includes_line_end else self.text

    @property
    def begin(self) -> str:
        """The byte order mark that the first line begins with, else an empty string."""
        return "\ufeff" if self.number == 1 and self.data.startswith(codecs.BOM_UTF8) else ""

    @property
    def place(self) -> str:
        """Where the line is, in words: `line 3`, or `a.txt: line 3`."""
        file = "standard input" if self.file == STDIN else self.file
        return f"{file}: line {self.number}" if file else f"line {self.number}"

    @property
    def keys(self) -> dict[str, object]:
        """The fields with which a JSON record about the line begins."""
        return {"file": self.file, "line": self.number} if self.file else {"line": self.number}

    @property
    def columns(self) -> str:
        """The columns before the text in a plain row about the line, each with its tab."""
        return f"{self.file.translate(ESCAPES)}\t" if self.file else ""


@dataclass(frozen=True)
class Part:
    """Consecutive lines of one file as bytes; they are decoded where they are answered, which may be in a worker."""

    file: str                           # empty if records need not name it
    first: int                          # number of the first line
    ordinal: int                        # its number among the lines of all files
    count: int                          # of lines
    lines: bytes                        # with their line ends; the last line of the input may lack one

    def decoded(self, errors: str) -> Iterator[tuple[Line, str]]:
        """Yield each line, and where it is not UTF-8, if so."""
        *whole, last = self.lines.split(b"\n")
        for index, content in enumerate([*whole, last] if last else whole):
            yield self._line(index, content, "\n" if index < len(whole) else "", errors)

    def _line(self, index: int, content: bytes, end: str, errors: str) -> tuple[Line, str]:
        data, number = content + end.encode(), self.first + index
        if content.endswith(b"\r"):
            content, end = content[:-1], "\r" + end
        if number == 1:
            content = content.removeprefix(codecs.BOM_UTF8)
        try:
            text, error, where = content.decode("utf-8", errors), "", ""
        except UnicodeDecodeError as failure:
            text, error = "", "not UTF-8"
            where = f"byte 0x{content[failure.start]:02x} at offset {failure.start}"
        return Line(number, text, end, data, error, self.file, self.ordinal + index), where


Batch = list[Part]                      # lines that are answered at once


class LineInput:
    """The lines of files, one file after the other; a last line without a line end gets one if a file follows.

    If there are several files, those that cannot be read are reported with `unreadable` and left out.
    """

    descriptor: int | None = None       # to wait for input; None if reading never has to wait, e.g. for a file on disk

    def __init__(self, files: Sequence[str], errors: str, unreadable: Callable[[CorpusError], None]):
        self.sources, self._errors, self._unreadable = expand(files), errors, unreadable
        self.count = 0                  # lines read so far
        self.size = self.sources.size   # bytes of all files; None if one of them is a pipe
        self.position = 0               # bytes read of them; of compressed files these are compressed bytes
        self._has_part = False          # a whole part has been read and not yet been taken

    def batches(self) -> Iterator[Batch | None]:
        """Yield batches of the lines that have arrived, at most MAX_BATCH lines each; None if no whole line has."""
        held, lines = Batch(), 0
        for part in self._parts():
            if held and (part is None or lines + part.count > _limit(held[0].ordinal - 1)):
                yield held
                held, lines = Batch(), 0
            if part is None:
                yield None
                continue
            held.append(part)
            lines += part.count
            if self.descriptor is not None:             # more may be long in coming
                yield held
                held, lines = Batch(), 0
        if held:
            yield held

    def is_ready(self) -> bool:
        """Return True if the next batch, or None, can be had without waiting for input."""
        if self._has_part or self.descriptor is None:
            return True
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def _parts(self) -> Iterator[Part | None]:
        """Yield parts of each file in order; None before anything that may take long."""
        from charlm.text.reading import open_bytes
        *others, _ = self.sources.paths
        for number, file in enumerate(self.sources.paths):
            if others and file != STDIN and not os.path.isfile(file):
                yield None                              # opening a pipe may have to wait for its writer
            try:
                with open_bytes(file) as stream:
                    self.descriptor = _descriptor(stream)
                    if others and self.descriptor is not None:
                        yield None
                    yield from self._parts_of(stream, file, b"\n" if number < len(others) else b"")
            except CorpusError as error:
                if not others:
                    raise
                self._unreadable(error)

    def _parts_of(self, stream: BinaryIO, file: str, end: bytes) -> Iterator[Part | None]:
        """Yield parts of an open file; its last line, if it has no line end, gets `end`."""
        number, rest = 1, list[bytes]()
        for chunk in self._chunks(stream, file):
            *whole, last = chunk.split(b"\n")
            if whole:
                whole[0] = b"".join([*rest, whole[0]])
                rest = []
            rest.append(last)
            at = 0
            while at < len(whole):
                lines = whole[at:at + _limit(self.count)]
                at += len(lines)
                self._has_part = at < len(whole)
                yield self._part(file, number, lines, b"\n")
                number += len(lines)
            if not whole:
                yield None
        if line := b"".join(rest):
            yield self._part(file, number, [line], end)

    def _part(self, file: str, number: int, lines: Sequence[bytes], end: bytes) -> Part:
        part = Part(file if self.sources.named else "", number, self.count + 1, len(lines), b"\n".join(lines) + end)
        self.count += len(lines)
        return part

    def _chunks(self, stream: BinaryIO, file: str) -> Iterator[bytes]:
        """Yield the bytes of an open file as they come, and keep the position."""
        from charlm.text.reading import byte_chunks
        begin, read = self.position, 0
        for chunk in byte_chunks(stream, file, CHUNK, errors=self._errors, warn=message):
            read += len(chunk)
            # Of a compressed file the descriptor is that of the compressed one.
            self.position = begin + (os.lseek(stream.fileno(), 0, os.SEEK_CUR) if _is_regular(stream) else read)
            yield chunk


def _limit(before: int) -> int:
    """Return the most lines of a batch before which this many lines have been read."""
    return MAX_BATCH if before else min(FIRST_BATCH, MAX_BATCH)


def _is_regular(stream: BinaryIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:
        return False


def _descriptor(stream: BinaryIO) -> int | None:
    """Return the descriptor to wait for, or None for a file on disk or in memory."""
    try:
        return None if _is_regular(stream) else stream.fileno()
    except OSError:
        return None


def input_source(file: str | None) -> str:
    """Return the file, or `-` for stdin. Raises UsageError if stdin is a terminal."""
    return input_sources(() if file is None else (file,))[0]


def input_sources(files: Sequence[str]) -> Sequence[str]:
    """Return the files, or `-` for stdin if there are none. Raises UsageError if stdin is then a terminal."""
    if files:
        return files
    if sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty():
        raise click.UsageError("nothing to read: name a file, or pipe lines into it")
    return [STDIN]
