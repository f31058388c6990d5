"""Filters: lines in, answers out, in order; promptly when input is slow, in batches when it is fast."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import click

from charlm.cli.exit_codes import message
from charlm.errors import CorpusError

Answer = TypeVar("Answer")

CHUNK = 1 << 16                         # bytes read at once
MAX_BATCH = 256                        # answered at once
MAX_REPORTED = 10                          # lines that are not UTF-8


@dataclass(frozen=True, slots=True)
class Line:
    """One line of input."""

    number: int                         # from 1
    text: str                           # without its end and a byte order mark
    end: str                            # LF, CRLF, or nothing at the end of the input
    data: bytes                         # all of it as it came
    valid: bool = True                  # False: not UTF-8, and `text` is empty

    def scored(self, scorer) -> str:
        """What of it a scorer scores."""
        return self.text + self.end if scorer.includes_line_end else self.text

    @property
    def begin(self) -> str:
        """The byte order mark, where the first line has one that is not part of its text."""
        return "\ufeff" if self.number == 1 and self.data.startswith(codecs.BOM_UTF8) else ""


class LineReader:
    """The lines of a file or of stdin.

    A line that is not UTF-8 is told of, the first few by their numbers, and is to be answered by an
    empty line or left out; `close` then raises CorpusError, when all others are answered.
    """

    def __init__(self, file: str | None, errors: str):
        self._source, self._errors = _source(file), errors
        self._number = self._bad = self._refused = 0

    def batches(self) -> Iterator[list[Line]]:
        """What has arrived, up to MAX_BATCH lines at once; waits only when nothing has."""
        from charlm.text.reading import byte_chunks, open_bytes
        with open_bytes(self._source) as stream:
            rest: list[bytes] = []
            for chunk in byte_chunks(stream, self._source, CHUNK):
                *whole, last = chunk.split(b"\n")
                if whole:
                    whole[0] = b"".join([*rest, whole[0]])
                    rest = []
                rest.append(last)
                for start in range(0, len(whole), MAX_BATCH):
                    yield [self._line(line, "\n") for line in whole[start:start + MAX_BATCH]]
            if last := b"".join(rest):
                yield [self._line(last, "")]

    def map_valid(self, batch: list[Line], answer: Callable[[list[Line]], Iterable[Answer]],
                 problem: Callable[[str], str] = lambda text: "") -> list[tuple[Line, Answer | None]]:
        """Each line with its answer, None for those that are not UTF-8 or that `problem` refuses."""
        good = [line for line in batch if line.valid and not self._refuse(line, problem(line.text))]
        answers = dict(zip((line.number for line in good), answer(good)))
        return [(line, answers.get(line.number)) for line in batch]

    def _refuse(self, line: Line, reason: str) -> bool:
        """Report why a line is refused, if it is."""
        self._refused += bool(reason)
        if reason and self._refused <= MAX_REPORTED:
            message(f"line {line.number}: {reason}")
        return bool(reason)

    @property
    def count(self) -> int:
        """Lines that have come so far."""
        return self._number

    def close(self, fate: str = "each answered by an empty one",
              advice: str = "convert them, or pass --errors replace or ignore") -> None:
        if self._bad:
            raise CorpusError(f"lines that are not UTF-8: {self._bad}, {fate}; {advice}")
        if self._refused:
            raise CorpusError(f"lines that this model cannot take: {self._refused}, {fate}")

    def _line(self, data: bytes, end: str) -> Line:
        self._number += 1
        whole = data + end.encode()
        if data.endswith(b"\r"):
            data, end = data[:-1], "\r" + end
        if self._number == 1:
            data = data.removeprefix(codecs.BOM_UTF8)
        try:
            return Line(self._number, data.decode("utf-8", self._errors), end, whole)
        except UnicodeDecodeError as error:
            self._bad += 1
            if self._bad <= MAX_REPORTED:
                message(f"line {self._number}: not UTF-8: byte 0x{data[error.start]:02x} at its offset {error.start}")
            return Line(self._number, "", end, whole, False)


def _source(file: str | None) -> str:
    """The file, or `-` when none is given and something is piped in."""
    if file is not None:
        return file
    if sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty():
        raise click.UsageError("nothing to read: name a file, or pipe lines into it")
    return "-"
