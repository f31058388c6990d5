"""CSV records: a header names the columns, one of which is the text. Quoted fields may contain line breaks."""

from __future__ import annotations

import codecs
import csv
import difflib
import re
from collections.abc import Iterator, Sequence

from charlm.errors import CorpusError
from charlm.text.record_format import Record, RecordFormat

MAX_RECORD = 1 << 24                    # bytes within quotes: beyond that, a quote was left open
DELIMITERS = ",;\t"
_QUOTED = re.compile(r'"[^"]*"?')
_OPEN = "a quote is not closed"


class CsvRecords:
    """A parser for CSV with a header, based on the `csv` module in strict mode.

    Raises CorpusError if the header cannot be read or lacks the column.
    """

    def __init__(self, format: RecordFormat, file: str, errors: str = "strict"):
        self.header = b""               # as read, once it is known
        self._format, self._file, self._errors = format, file, errors
        self._delimiter, self._width, self._columns = "", 0, list[int]()
        self._number = 0
        self._pending: list[bytes] = []                     # lines that do not belong to a finished record
        self._size = 0                                      # their bytes
        self._is_open = False                               # whether they end within quotes
        csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD))

    def feed(self, lines: Sequence[bytes]) -> list[Record]:
        """Take further lines, with their line ends; return the records that end in them."""
        self._pending += lines
        self._size += sum(map(len, lines))
        # A line with an even number of quotes cannot close the field, so most long fields are parsed only once.
        waits = self._is_open and not any(line.count(b'"') % 2 for line in lines)
        records = [] if waits else self._drain(final=False)
        if self._is_open and self._size > MAX_RECORD:
            records += self._drain(final=True)
        return records

    def close(self) -> list[Record]:
        """Return the remaining records at the end of the input."""
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> list[Record]:
        """Return the records in the pending lines; an unfinished record stays pending unless this is the end."""
        pending, consumed, records = self._pending, 0, []

        def lines() -> Iterator[str]:
            nonlocal consumed
            for line in pending:
                # Before a quote a byte order mark would make the quote a part of the field.
                line = line if self._columns or consumed else line.removeprefix(codecs.BOM_UTF8)
                consumed += 1
                yield line.decode("utf-8", "surrogateescape")

        if not self._delimiter:
            written = next((line for line in pending if line.strip()), None)
            if written is None:
                return []
            self._delimiter = delimiter_of(written.decode("utf-8", "replace"))
        reader, self._is_open = csv.reader(lines(), delimiter=self._delimiter, strict=True), False
        while True:
            begin = consumed
            try:
                row, error = next(reader), ""
            except StopIteration:
                break
            except csv.Error as failure:
                row, error = [], _reason(failure)
                self._is_open = error == _OPEN and not final
                if self._is_open:
                    consumed = begin
                    break
            if row or error:
                records += self._record(row, b"".join(pending[begin:consumed]), error)
        self._pending = pending[consumed:]
        self._size = sum(map(len, self._pending))
        return records

    def _record(self, row: list[str], data: bytes, error: str) -> list[Record]:
        """Return a row as a record, or keep it as the header."""
        if not self._columns:
            self._set_header(row, data, error)
            return []
        self._number += 1
        if not error and len(row) != self._width:
            error = f"{len(row)} field{'s' * (len(row) > 1)}, where the header has {self._width}"
        if error:
            return [Record(self._number, "", data, None, error)]
        text, *id = (_decoded(row[column], self._errors) for column in self._columns)
        return [Record(self._number, text or "", data, (id[0] or "") if id else None, "not UTF-8" * (text is None))]

    def _set_header(self, row: list[str], data: bytes, error: str) -> None:
        if error:
            raise CorpusError(f"{self._file}: the header cannot be read: {error}")
        self.header, self._width = data, len(row)
        names = [str(self._format.csv_column), *([] if self._format.id is None else [self._format.id])]
        self._columns = [_column(row, name, self._file) for name in names]


def _reason(error: csv.Error) -> str:
    """Return the reason in plainer words than the error of the `csv` module."""
    text = str(error)
    if "unexpected end" in text:
        return _OPEN
    return "a carriage return outside quotes" if text.startswith("new-line") else f"not CSV: {text}"


def _decoded(field: str, errors: str) -> str | None:
    """Return a field with invalid bytes handled by `errors`, or None if they are not allowed."""
    if field.isascii():
        return field
    try:
        return field.encode("utf-8", "surrogateescape").decode("utf-8", errors)
    except UnicodeDecodeError:
        return None


def delimiter_of(line: str) -> str:
    """Return the delimiter that is most frequent outside quotes in a line, the first one of a file.

    >>> delimiter_of('"a,b,c";d'), delimiter_of("text")
    (';', ',')
    """
    plain = _QUOTED.sub("", line)
    return max(DELIMITERS, key=plain.count)


def _column(header: Sequence[str], name: str, file: str) -> int:
    """Return the index of a column by its name, else by its number from 1. Raises CorpusError."""
    found = [index for index, column in enumerate(header) if column.strip() == name.strip()]
    if len(found) > 1:
        raise CorpusError(f"{file}: {len(found)} columns are named {name!r}; give the number of the column")
    if not found and name.isascii() and name.isdecimal() and 0 < int(name) <= len(header):
        found = [int(name) - 1]
    if not found:
        raise CorpusError(f"{file}: no column {name!r}; {_hint(header, name.strip())}")
    return found[0]


def _hint(header: Sequence[str], name: str) -> str:
    """Return what may help where the header has no column of this name."""
    listed = f"the header has {', '.join(header[:20])}{' and more' if len(header) > 20 else ''}"
    if header[0].startswith("{"):
        return "--json-field reads JSON lines"
    if len(header) == 1 and name in header[0]:
        return f"{listed}; comma, semicolon and tab delimit columns"
    near = difflib.get_close_matches(name, header, 1)
    return f"did you mean {near[0]!r}?" if near else listed
