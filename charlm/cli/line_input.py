"""The lines or records of files and stdin in batches: promptly when input is slow, many at once when it is fast."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import click

from charlm.cli.exit_codes import message
from charlm.cli.line import Part, record_line
from charlm.errors import CorpusError
from charlm.text.record_format import Record, RecordFormat
from charlm.text.sources import STDIN, expand

CHUNK = 1 << 16                         # bytes read at once
MAX_BATCH = 256                         # lines answered at once
FIRST_BATCH = 32                        # smaller, so that the first answers and the workers, if any, start soon


Batch = list[Part]                      # lines that are answered at once


class LineInput:
    """The lines of files, one file after the other; a last line without a line end gets one if a file follows.

    With a format they are records with one field as the text. If there are several files, those that cannot be read
    are passed to `unreadable` and left out; with `one_header`, so is a CSV file whose header differs from the first.
    """

    descriptor: int | None = None       # to wait for input; None if reading never blocks, as for a file on disk

    def __init__(self, files: Sequence[str], errors: str, unreadable: Callable[[CorpusError], None],
                 format: RecordFormat | None = None, *, one_header: bool = False):
        self.sources, self._errors, self._unreadable = expand(files), errors, unreadable
        self._format, self._one_header = format, one_header
        self.header = b""               # of the first CSV file, once it has been read
        self.count = 0                  # lines read so far
        self.size = self.sources.size   # bytes of all files; None if one of them is a pipe
        self.position = 0               # bytes read so far, before decompression
        self._has_part = False          # whether a complete part is waiting to be taken
        self._opens_pipe = False        # whether a pipe is opened next, which waits for its writer

    def batches(self) -> Iterator[Batch | None]:
        """Yield batches of the lines that have arrived, at most MAX_BATCH each; None if no complete line has."""
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
            if self.descriptor is not None:             # the next line may take long to arrive
                yield held
                held, lines = Batch(), 0
        if held:
            yield held

    def is_ready(self) -> bool:
        """Return True if `batches` can yield again without waiting for input."""
        if self._has_part or self.descriptor is None:
            return not self._opens_pipe
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def _parts(self) -> Iterator[Part | None]:
        """Yield parts of each file in order; None before anything that may take long."""
        from charlm.text.reading import open_bytes
        *others, _ = self.sources.paths
        for number, file in enumerate(self.sources.paths):
            if others and file != STDIN and not os.path.isfile(file):
                self.descriptor, self._opens_pipe = None, True
                yield None                              # what has been read is answered before
                self._opens_pipe = False
            try:
                with open_bytes(file) as stream:
                    self.descriptor = _descriptor(stream)
                    if others and self.descriptor is not None:
                        yield None
                    end = b"\n" if number < len(others) else b""
                    yield from (self._lines_of(stream, file, end) if self._format is None else
                                self._records_of(stream, file, end, self._format))
            except CorpusError as error:
                if not others:
                    raise
                self._unreadable(error)

    def _lines_of(self, stream: BinaryIO, file: str, end: bytes) -> Iterator[Part | None]:
        """Yield parts of an open file; a last line without a line end gets `end`."""
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

    def _records_of(self, stream: BinaryIO, file: str, end: bytes, format: RecordFormat) -> Iterator[Part | None]:
        """Yield parts of an open file of records; a last record without a line end gets `end`."""
        from charlm.text.reading import source_name
        from charlm.text.records import parser_for, read_records
        parser = parser_for(format, source_name(file), self._errors)
        for records in read_records(self._chunks(stream, file), parser):
            self._check_header(parser.header, source_name(file))
            at = 0
            while at < len(records):
                some = records[at:at + _limit(self.count)]
                at += len(some)
                self._has_part = at < len(records)
                yield self._record_part(file, some, end, format)
            if not records:
                yield None

    def _check_header(self, header: bytes, name: str) -> None:
        self.header = self.header or header
        if self._one_header and header.rstrip() != self.header.rstrip():
            raise CorpusError(f"{name}: its header differs from the first file's; filter it separately")

    def _record_part(self, file: str, records: Sequence[Record], end: bytes, format: RecordFormat) -> Part:
        named, has_id = self._named(file), format.id is not None
        lines = tuple(record_line(record, named, ordinal, end, unit=format.unit, has_id=has_id)
                      for ordinal, record in enumerate(records, self.count + 1))
        part = Part(named, records[0].number, self.count + 1, len(lines), b"", lines)
        self.count += len(lines)
        return part

    def _named(self, file: str) -> str:
        """Return the name of a file in records about its lines; empty if they need none."""
        return file if self.sources.named else ""

    def _part(self, file: str, number: int, lines: Sequence[bytes], end: bytes) -> Part:
        part = Part(self._named(file), number, self.count + 1, len(lines), b"\n".join(lines) + end)
        self.count += len(lines)
        return part

    def _chunks(self, stream: BinaryIO, file: str) -> Iterator[bytes]:
        """Yield the bytes of an open file as they arrive, and update the position."""
        from charlm.text.reading import byte_chunks
        begin, read = self.position, 0
        for chunk in byte_chunks(stream, file, CHUNK, errors=self._errors, warn=message):
            read += len(chunk)
            # For a compressed file, the descriptor belongs to the compressed file.
            self.position = begin + (os.lseek(stream.fileno(), 0, os.SEEK_CUR) if _is_regular(stream) else read)
            yield chunk


def _limit(before: int) -> int:
    """Return the maximum size of a batch after this many lines have been read."""
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
