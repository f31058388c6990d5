"""Filters: lines in, answers out, in order; promptly when input is slow, in batches when it is fast."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import click

from charlm.cli.boundary import say
from charlm.errors import CorpusError

CHUNK = 1 << 16                         # bytes read at once
MOST_LINES = 256                        # answered at once


@dataclass(frozen=True)
class Line:
    """One line of input without its end."""

    number: int                         # from 1
    text: str
    end: str                            # LF, CRLF, or nothing at the end of the input


class Lines:
    """The lines of a file or of stdin.

    A line that is not UTF-8 is told of and answered as an empty one; `close` then raises CorpusError,
    when all others are answered.
    """

    def __init__(self, file: str | None, errors: str):
        self._source, self._errors = _source(file), errors
        self._number = self._bad = 0

    def batches(self) -> Iterator[list[Line]]:
        """What has arrived, up to MOST_LINES lines at once; waits only when nothing has."""
        from charlm.text.corpus import byte_chunks, open_bytes
        with open_bytes(self._source) as stream:
            rest: list[bytes] = []
            for chunk in byte_chunks(stream, self._source, CHUNK):
                *whole, last = chunk.split(b"\n")
                if whole:
                    whole[0] = b"".join([*rest, whole[0]])
                    rest = []
                rest.append(last)
                for start in range(0, len(whole), MOST_LINES):
                    yield [self._line(line, "\n") for line in whole[start:start + MOST_LINES]]
            if last := b"".join(rest):
                yield [self._line(last, "")]

    def close(self) -> None:
        if self._bad:
            raise CorpusError(f"lines that are not UTF-8: {self._bad}, each answered by an empty one; "
                              "convert them, or pass --errors replace or ignore")

    def _line(self, data: bytes, end: str) -> Line:
        self._number += 1
        if data.endswith(b"\r"):
            data, end = data[:-1], "\r" + end
        if self._number == 1:
            data = data.removeprefix(codecs.BOM_UTF8)
        try:
            return Line(self._number, data.decode("utf-8", self._errors), end)
        except UnicodeDecodeError as error:
            self._bad += 1
            say(f"line {self._number}: not UTF-8: byte 0x{data[error.start]:02x} at its offset {error.start}")
            return Line(self._number, "", end)


def _source(file: str | None) -> str:
    """The file, or `-` when none is given and something is piped in."""
    if file is not None:
        return file
    if sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty():
        raise click.UsageError("nothing to read: name a file, or pipe lines into it")
    return "-"
