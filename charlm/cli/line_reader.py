"""The common part of the filters: they answer each line of the input in order and report invalid ones."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from charlm.cli.exit_codes import message
from charlm.cli.line import Line
from charlm.cli.line_input import CHUNK, Batch, LineInput, input_sources
from charlm.cli.metering import start_meter
from charlm.cli.output import Output, json_record
from charlm.errors import CorpusError
from charlm.text.record_format import RecordFormat

Answer = TypeVar("Answer")
Result = TypeVar("Result")

MAX_REPORTED = 10                       # invalid lines reported one by one


def error_record(line: Line) -> str:
    """Return the JSON record that answers an invalid line, the same from every filter."""
    return json_record(**line.keys, error=line.error)


def empty_line(line: Line) -> str:
    """Return the empty line that answers an invalid line in plain output."""
    return "\n"


class _Report(NamedTuple):
    """Something about a line to print on stderr, in the order of the lines."""

    line: int                           # ordinal
    kind: str                           # one of _INVALID, or the text of a warning
    text: str                           # the message


_UNREAD = "files not read to their end"
_UNDECODABLE, _REFUSED = "lines that are not UTF-8", "lines that the model does not accept"
_WITHOUT_TEXT = "records without a text"
_INVALID = (_UNDECODABLE, _WITHOUT_TEXT, _REFUSED)


def _advice(kind: str, advice: str) -> str:
    """Return the end of a message about invalid lines: the advice, if there is any."""
    advice = advice or ("convert them, or pass --errors replace or ignore" if kind == _UNDECODABLE else "")
    return advice and f"; {advice}"


class LineReader:
    """The lines of files or of stdin.

    Names may be folders or globs. If one of several files cannot be read, it is reported on stderr and left out.
    Invalid lines (not UTF-8, or refused by the model) are reported on stderr, the first few by number, and answered
    by an empty line or an error record, or left out. At the end, `close` raises CorpusError in either case.
    """

    def __init__(self, files: Sequence[str] | str | None, errors: str, format: RecordFormat | None = None, *,
                 one_header: bool = False):
        names = input_sources((files,) if isinstance(files, str) else files or ())
        self._input = LineInput(names, errors, self._unreadable, format, one_header=one_header)
        self._errors = errors
        self.answered = 0               # lines that are answered
        self._unread = 0                # files that cannot be read
        self._counts: dict[str, int] = {}                   # lines reported so far, by kind
        self._reports: list[_Report] = []                   # of the batch that is being answered

    @property
    def count(self) -> int:
        """The number of lines read so far."""
        return self._input.count

    @property
    def size(self) -> int | None:
        """The bytes of all files on disk, or None if one of them is a pipe."""
        return self._input.size

    @property
    def position(self) -> int:
        """The bytes read so far, before decompression."""
        return self._input.position

    @property
    def header(self) -> bytes:
        """The CSV header, once it has been read."""
        return self._input.header

    @property
    def names_files(self) -> bool:
        """Return True if records about lines name their file."""
        return self._input.sources.named

    def batches(self) -> Iterator[Batch | None]:
        """Yield batches of the lines that have arrived; None if no complete line has."""
        return self._input.batches()

    def _unreadable(self, error: CorpusError) -> None:
        """Count and report a file that cannot be read."""
        self._unread += 1
        message(f"warning: {error}")

    def map_batches(self, work: Callable[[list[Line]], Result], *, workers: int = 1, streams: bool = True,
                    quiet: bool = False) -> Iterator[Result]:
        """Yield the result of `work` for each batch of lines, in order; several workers run in parallel.

        `work` may call `map_valid` and `warn`; any other state that it changes is lost if it runs in a worker. A
        progress line is shown unless `quiet` is set or the results `stream` to the same terminal.
        """
        from charlm.inference.parallel import map_in_order

        def reported(batch: Batch) -> tuple[Result, list[_Report]]:
            self._reports = []
            return work(self._decoded(batch)), sorted(self._reports, key=lambda report: report.line)

        read = deque[int]()             # the positions after the batches that are being answered
        done = 0                        # bytes of the lines that are answered
        with start_meter(self.size, unit="lines", streams=streams, quiet=quiet) as meter:
            for batch, (result, reports) in map_in_order(reported, _noting(self._input, read), workers=workers,
                                                         source=self._input):
                for report in reports:
                    self._print(report)
                self.answered += sum(part.count for part in batch)
                done += sum(part.size for part in batch)
                position = read.popleft()
                # Input is read in chunks; without compression, the bytes of the lines are the more exact position.
                meter.update(min(max(done, position - CHUNK), position), self.answered, done)
                yield result

    def map_valid(self, batch: list[Line], answer: Callable[[list[Line]], Iterable[Answer]],
                  problem: Callable[[str], str] = lambda text: "") -> list[tuple[Line, Answer | None]]:
        """Return each line with its answer, None for invalid ones; `problem` returns why the model refuses a text."""
        checked = [self._check(line, problem(line.flat)) if line.valid else line for line in batch]
        valid = [line for line in checked if line.valid]
        answers = dict(zip((line.ordinal for line in valid), answer(valid), strict=True))
        return [(line, answers.get(line.ordinal)) for line in checked]

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
        self._reports.append(_Report(line.ordinal, _REFUSED, f"{line.place}: {problem}"))
        return replace(line, error=problem)

    def warn(self, line: Line, what: str) -> None:
        """Warn that a line has something doubtful: about the first such line now, about their number in `close`."""
        self._reports.append(_Report(line.ordinal, what, f"{line.place} has {what}"))

    def _print(self, report: _Report) -> None:
        """Count a report, and print the first ones of its kind."""
        count = self._counts[report.kind] = self._counts.get(report.kind, 0) + 1
        if count <= (MAX_REPORTED if report.kind in _INVALID else 1):
            message(report.text)

    def close(self, outcome: str = "each answered by an empty line", advice: str = "") -> None:
        """Raise CorpusError if there were invalid lines, with their number, what became of them and what to do."""
        for what, count in self._counts.items():
            if what not in _INVALID and count > 1:
                message(f"{count} lines have {what}")
        found = [f"{kind}: {self._counts[kind]}, {outcome}{_advice(kind, advice)}" for kind in _INVALID
                 if kind in self._counts]
        if self._unread:
            found.append(f"{_UNREAD}: {self._unread}")
        if found:
            *others, last = reversed(found)
            for other in others:
                message(other)
            raise CorpusError(last)

    def _decoded(self, batch: Batch) -> list[Line]:
        """Return the lines of a batch, and report those that have no text."""
        lines = []
        for line, where in itertools.chain.from_iterable(part.decoded(self._errors) for part in batch):
            lines.append(line)
            if line.error:
                kind, details = (_UNDECODABLE, f": {where}") if where else (_WITHOUT_TEXT, "")
                self._reports.append(_Report(line.ordinal, kind, f"{line.place}: {line.error}{details}"))
        return lines


def _noting(source: LineInput, positions: deque[int]) -> Iterator[Batch | None]:
    """Yield the batches of an input and note the position after each."""
    for batch in source.batches():
        if batch is not None:
            positions.append(source.position)
        yield batch
