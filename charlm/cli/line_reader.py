"""Input of the filters: lines in order, promptly when input is slow and in batches when it is fast."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import click

from charlm.cli.exit_codes import message
from charlm.cli.output import Output, json_record
from charlm.errors import CorpusError

if TYPE_CHECKING:
    from charlm.inference.line_scoring import Scorer

Answer = TypeVar("Answer")

CHUNK = 1 << 16                         # bytes read at once
MAX_BATCH = 256                         # lines answered at once
MAX_REPORTED = 10                       # invalid lines reported one by one


@dataclass(frozen=True, slots=True)
class Line:
    """One line of input."""

    number: int                         # from 1
    text: str                           # without line end and byte order mark; empty if not UTF-8
    end: str                            # LF or CRLF; empty at the end of the input
    data: bytes                         # the bytes as read, with the line end
    error: str = ""                     # why the line cannot be answered, e.g. "not UTF-8"

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


def error_record(line: Line) -> str:
    """Return the JSON record that answers an invalid line, the same from every filter."""
    return json_record(line=line.number, error=line.error)


def empty_line(line: Line) -> str:
    """Return the empty line that answers an invalid line in plain output."""
    return "\n"


class LineReader:
    """The lines of a file or of stdin.

    Invalid lines (not UTF-8, or refused by the model) are reported on stderr, the first few by number, and answered by
    an empty line or an error record, or left out; when all lines are answered, `close` raises CorpusError.
    """

    def __init__(self, file: str | None, errors: str):
        self._source, self._errors = _source(file), errors
        self.count = self._undecodable = self._refused = 0      # lines: read so far, not UTF-8, refused by the model
        self._warned: dict[str, int] = {}

    def batches(self) -> Iterator[list[Line]]:
        """Yield batches of the lines that have arrived, at most MAX_BATCH each; block only until the first arrives."""
        from charlm.text.reading import byte_chunks, open_bytes
        with open_bytes(self._source) as stream:
            rest: list[bytes] = []
            for chunk in byte_chunks(stream, self._source, CHUNK, errors=self._errors, warn=message):
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
        """Return each line with its answer, None for invalid ones; `problem` returns why the model refuses a text."""
        checked = [self._check(line, problem(line.text)) if line.valid else line for line in batch]
        valid = [line for line in checked if line.valid]
        answers = dict(zip((line.number for line in valid), answer(valid), strict=True))
        return [(line, answers.get(line.number)) for line in checked]

    def answer(self, output: Output, answer: Callable[[list[Line]], Iterable[Answer]],
               show: Callable[[Line, Answer], str], show_invalid: Callable[[Line], str],
               problem: Callable[[str], str] = lambda text: "", **closing: str) -> None:
        """Write the answer to each line as soon as it is read, as `show` formats it; then close."""
        for batch in self.batches():
            output.write("".join(show_invalid(line) if found is None else show(line, found)
                                 for line, found in self.map_valid(batch, answer, problem)))
        if show_invalid is error_record:
            closing["outcome"] = "each answered by an error record"
        self.close(**closing)

    def _check(self, line: Line, problem: str) -> Line:
        """Return the line; if there is a problem, report it and return the line as invalid."""
        if not problem:
            return line
        self._refused += 1
        if self._refused <= MAX_REPORTED:
            message(f"line {line.number}: {problem}")
        return replace(line, error=problem)

    def warn(self, line: Line, what: str) -> None:
        """Warn that a line has something doubtful: about the first such line now, about their number in `close`."""
        if what not in self._warned:
            message(f"line {line.number} has {what}")
        self._warned[what] = self._warned.get(what, 0) + 1

    def close(self, outcome: str = "each answered by an empty line", advice: str = "") -> None:
        """Raise CorpusError if there were invalid lines, with their number, what became of them and what to do."""
        for what, count in self._warned.items():
            if count > 1:
                message(f"{count} lines have {what}")
        if self._undecodable:
            raise CorpusError(f"lines that are not UTF-8: {self._undecodable}, {outcome}; "
                              f"{advice or 'convert them, or pass --errors replace or ignore'}")
        if self._refused:
            raise CorpusError(f"lines that the model does not accept: {self._refused}, {outcome}"
                              + (advice and f"; {advice}"))

    def _line(self, content: bytes, end: str) -> Line:
        self.count += 1
        data = content + end.encode()
        if content.endswith(b"\r"):
            content, end = content[:-1], "\r" + end
        if self.count == 1:
            content = content.removeprefix(codecs.BOM_UTF8)
        try:
            return Line(self.count, content.decode("utf-8", self._errors), end, data)
        except UnicodeDecodeError as error:
            self._undecodable += 1
            if self._undecodable <= MAX_REPORTED:
                message(f"line {self.count}: not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}")
            return Line(self.count, "", end, data, "not UTF-8")


def _source(file: str | None) -> str:
    """Return the file, or `-` for stdin. Raises UsageError if stdin is a terminal."""
    if file is not None:
        return file
    if sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty():
        raise click.UsageError("nothing to read: name a file, or pipe lines into it")
    return "-"
