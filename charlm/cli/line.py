"""A line or record of input, and consecutive ones of one file as bytes."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from charlm.cli.output import ESCAPES
from charlm.text.record_format import Record, single_line
from charlm.text.sources import STDIN

if TYPE_CHECKING:
    from charlm.inference.line_scoring import Scorer, TextScore


@dataclass(frozen=True, slots=True)
class Line:
    """One line of input, or one record, with one of its fields as the text."""

    number: int                         # from 1, in its file
    text: str                           # without line end and byte order mark; empty if not UTF-8
    end: str                            # LF or CRLF; empty at the end of the input
    data: bytes                         # the bytes as read, with the line end
    error: str = ""                     # why the line cannot be answered, e.g. "not UTF-8"
    file: str = ""                      # its file, if records have to name it
    ordinal: int = field(default=0, compare=False)          # its number among the lines of all files, from 1
    unit: str = "line"                  # what the number counts; `record` for CSV
    is_field: bool = False              # the text is a field of a record, and may contain line breaks
    ids: tuple[object, ...] = ()        # the field of --id, if given

    @property
    def valid(self) -> bool:
        """Return True if the line can be answered."""
        return not self.error

    @property
    def flat(self) -> str:
        """The text with spaces for its line breaks, for models that read single lines."""
        return single_line(self.text) if self.is_field else self.text

    def text_for(self, scorer: Scorer) -> str:
        """Return the text that a scorer scores, with the line end if the scorer includes it."""
        return self.text + self.end if scorer.includes_line_end else self.flat

    @property
    def begin(self) -> str:
        """The byte order mark if this is the first line and has one, else an empty string."""
        is_first = self.number == 1 and not self.is_field
        return "\ufeff" if is_first and self.data.startswith(codecs.BOM_UTF8) else ""

    @property
    def place(self) -> str:
        """The position of the line for a message: `line 3` or `a.txt: line 3`."""
        file = "standard input" if self.file == STDIN else self.file
        return f"{file}: {self.unit} {self.number}" if file else f"{self.unit} {self.number}"

    @property
    def keys(self) -> dict[str, object]:
        """The leading fields of a JSON record about the line: file, number and id."""
        file = {"file": self.file} if self.file else {}
        return {**file, self.unit: self.number, **dict(zip(("id",), self.ids, strict=False))}

    @property
    def columns(self) -> str:
        """The columns that precede the text in plain output, each followed by a tab."""
        return "".join(f"{value.translate(ESCAPES)}\t" for value in [self.file, *map(_plain, self.ids)][not self.file:])

    @property
    def shown(self) -> str:
        """The text as a column of plain output."""
        return self.escaped(self.text)

    def escaped(self, text: str) -> str:
        """Return a part of the text for plain output, with escapes if it is a field, which may have line breaks."""
        return text.translate(ESCAPES) if self.is_field else text


def _plain(id: object) -> str:
    return "" if id is None else id if isinstance(id, str) else json.dumps(id, ensure_ascii=False)


@dataclass(frozen=True)
class Part:
    """Consecutive lines of one file as bytes, decoded only where they are answered, possibly in a worker."""

    file: str                           # empty if records need not name it
    first: int                          # number of the first line
    ordinal: int                        # its number among the lines of all files
    count: int                          # of lines
    lines: bytes                        # with their line ends; the last line of the input may lack one
    records: tuple[Line, ...] = ()      # instead of `lines`: records, which the parser has decoded

    @property
    def size(self) -> int:
        """The bytes of the lines or records."""
        return len(self.lines) + sum(len(record.data) for record in self.records)

    def decoded(self, errors: str) -> Iterator[tuple[Line, str]]:
        """Yield each line with the position of its first byte that is not UTF-8, or an empty string."""
        if self.records:
            yield from ((record, "") for record in self.records)
            return
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


def record_line(record: Record, file: str, ordinal: int, end: bytes, *, unit: str, has_id: bool) -> Line:
    """Return a record as a line of a file; a record without a line end gets `end`."""
    data = record.data if record.data.endswith(b"\n") else record.data + end
    return Line(record.number, record.text, "\n", data, record.error, file, ordinal, unit, True,
                (record.id,) if has_id else ())


def scores_of(scorer: Scorer) -> Callable[[Sequence[Line]], Sequence[TextScore]]:
    """Return the function from lines to their scores."""
    return lambda lines: scorer.score([line.text_for(scorer) for line in lines])
