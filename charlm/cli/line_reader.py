"""Input of the filters: lines in order, promptly when input is slow and in batches when it is fast."""

from __future__ import annotations

import codecs
import os
import select
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar

import click

from charlm.cli.exit_codes import message
from charlm.cli.output import Output, json_record
from charlm.errors import CorpusError

if TYPE_CHECKING:
    from charlm.inference.line_scoring import Scorer

Answer = TypeVar("Answer")
Result = TypeVar("Result")

CHUNK = 1 << 16                         # bytes read at once
MAX_BATCH = 256                         # lines answered at once
FIRST_BATCH = 32                        # fewer at first: an answer comes soon, and workers, if worth it, start soon
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


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive lines of input as bytes; they are decoded where they are answered, which may be in a worker."""

    first: int                          # number of the first line
    lines: bytes                        # with their line ends; the last line of the input may lack one

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + self.lines.count(b"\n") - self.lines.endswith(b"\n")


class _Report(NamedTuple):
    """Something about a line to print on stderr, in the order of the lines."""

    line: int
    kind: str                           # UNDECODABLE, REFUSED or what is doubtful
    text: str                           # the message


_UNDECODABLE, _REFUSED = "lines that are not UTF-8", "lines that the model does not accept"


class LineReader:
    """The lines of a file or of stdin.

    Invalid lines (not UTF-8, or refused by the model) are reported on stderr, the first few by number, and answered by
    an empty line or an error record, or left out; when all lines are answered, `close` raises CorpusError.
    """

    descriptor: int | None = None       # to wait for input; None if reading never has to wait, e.g. for a file on disk

    def __init__(self, file: str | None, errors: str):
        self._source, self._errors = input_source(file), errors
        self.count = 0                  # lines read so far
        self.answered = 0               # of those, the lines that are answered
        self._counts: dict[str, int] = {}                   # lines reported so far, by kind
        self._reports: list[_Report] = []                   # of the batch that is being answered
        self._has_batch = False                             # a whole batch has been read and not yet been taken

    def batches(self) -> Iterator[Batch | None]:
        """Yield batches of the lines that have arrived, at most MAX_BATCH lines each; None if no whole line has."""
        from charlm.text.reading import byte_chunks, open_bytes
        with open_bytes(self._source) as stream:
            self.descriptor = _descriptor(stream)
            rest: list[bytes] = []
            for chunk in byte_chunks(stream, self._source, CHUNK, errors=self._errors, warn=message):
                *whole, last = chunk.split(b"\n")
                if whole:
                    whole[0] = b"".join([*rest, whole[0]])
                    rest = []
                rest.append(last)
                at = 0
                while at < len(whole):
                    batch = whole[at:at + (MAX_BATCH if self.count else min(FIRST_BATCH, MAX_BATCH))]
                    at += len(batch)
                    self._has_batch = at < len(whole)
                    yield self._batch(batch, b"\n")
                if not whole:
                    yield None
            if last := b"".join(rest):
                yield self._batch([last], b"")

    def is_ready(self) -> bool:
        """Return True if the next batch, or None, can be had without waiting for input."""
        if self._has_batch or self.descriptor is None:
            return True
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def map_batches(self, work: Callable[[list[Line]], Result], *, workers: int = 1) -> Iterator[Result]:
        """Yield what `work` returns for each batch of lines, in order; several workers do it side by side.

        `work` may call `map_valid` and `warn`. What else it changes is lost if a worker does it.
        """
        from charlm.inference.parallel import map_in_order

        def reported(batch: Batch) -> tuple[Result, list[_Report]]:
            self._reports = []
            return work(self._decoded(batch)), sorted(self._reports, key=lambda report: report.line)

        for batch, (result, reports) in map_in_order(reported, self.batches(), workers=workers, source=self):
            for report in reports:
                self._print(report)
            self.answered = batch.last
            yield result

    def map_valid(self, batch: list[Line], answer: Callable[[list[Line]], Iterable[Answer]],
                  problem: Callable[[str], str] = lambda text: "") -> list[tuple[Line, Answer | None]]:
        """Return each line with its answer, None for invalid ones; `problem` returns why the model refuses a text."""
        checked = [self._check(line, problem(line.text)) if line.valid else line for line in batch]
        valid = [line for line in checked if line.valid]
        answers = dict(zip((line.number for line in valid), answer(valid), strict=True))
        return [(line, answers.get(line.number)) for line in checked]

    def answer(self, output: Output, answer: Callable[[list[Line]], Iterable[Answer]],
               show: Callable[[Line, Answer], str], show_invalid: Callable[[Line], str],
               problem: Callable[[str], str] = lambda text: "", *, workers: int = 1, **closing: str) -> None:
        """Write the answer to each line as soon as it is read, as `show` formats it; then close."""
        def answered(batch: list[Line]) -> str:
            return "".join(show_invalid(line) if found is None else show(line, found)
                           for line, found in self.map_valid(batch, answer, problem))

        for text in self.map_batches(answered, workers=workers):
            output.write(text)
        if show_invalid is error_record:
            closing["outcome"] = "each answered by an error record"
        self.close(**closing)

    def _check(self, line: Line, problem: str) -> Line:
        """Return the line; if there is a problem, report it and return the line as invalid."""
        if not problem:
            return line
        self._reports.append(_Report(line.number, _REFUSED, f"line {line.number}: {problem}"))
        return replace(line, error=problem)

    def warn(self, line: Line, what: str) -> None:
        """Warn that a line has something doubtful: about the first such line now, about their number in `close`."""
        self._reports.append(_Report(line.number, what, f"line {line.number} has {what}"))

    def _print(self, report: _Report) -> None:
        """Count a report, and print the first ones of its kind."""
        count = self._counts[report.kind] = self._counts.get(report.kind, 0) + 1
        if count <= (MAX_REPORTED if report.kind in (_UNDECODABLE, _REFUSED) else 1):
            message(report.text)

    def close(self, outcome: str = "each answered by an empty line", advice: str = "") -> None:
        """Raise CorpusError if there were invalid lines, with their number, what became of them and what to do."""
        undecodable, refused = (self._counts.get(kind, 0) for kind in (_UNDECODABLE, _REFUSED))
        for what, count in self._counts.items():
            if what not in (_UNDECODABLE, _REFUSED) and count > 1:
                message(f"{count} lines have {what}")
        if undecodable:
            raise CorpusError(f"{_UNDECODABLE}: {undecodable}, {outcome}; "
                              f"{advice or 'convert them, or pass --errors replace or ignore'}")
        if refused:
            raise CorpusError(f"{_REFUSED}: {refused}, {outcome}" + (advice and f"; {advice}"))

    def _batch(self, lines: list[bytes], end: bytes) -> Batch:
        batch = Batch(self.count + 1, end.join(lines) + end)
        self.count += len(lines)
        return batch

    def _decoded(self, batch: Batch) -> list[Line]:
        *whole, last = batch.lines.split(b"\n")
        lines = [self._line(number, content, "\n") for number, content in enumerate(whole, batch.first)]
        return lines + ([self._line(batch.first + len(whole), last, "")] if last else [])

    def _line(self, number: int, content: bytes, end: str) -> Line:
        data = content + end.encode()
        if content.endswith(b"\r"):
            content, end = content[:-1], "\r" + end
        if number == 1:
            content = content.removeprefix(codecs.BOM_UTF8)
        try:
            return Line(number, content.decode("utf-8", self._errors), end, data)
        except UnicodeDecodeError as error:
            where = f"byte 0x{content[error.start]:02x} at offset {error.start}"
            self._reports.append(_Report(number, _UNDECODABLE, f"line {number}: not UTF-8: {where}"))
            return Line(number, "", end, data, "not UTF-8")


def _descriptor(stream: BinaryIO) -> int | None:
    """Return the descriptor to wait for, or None for a file on disk or in memory."""
    try:
        descriptor = stream.fileno()
    except OSError:
        return None
    return None if stat.S_ISREG(os.fstat(descriptor).st_mode) else descriptor


def input_source(file: str | None) -> str:
    """Return the file, or `-` for stdin. Raises UsageError if stdin is a terminal."""
    if file is not None:
        return file
    if sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty():
        raise click.UsageError("nothing to read: name a file, or pipe lines into it")
    return "-"
