"""Reading the texts of records, in CSV or JSON lines.

    chunks of bytes ─► CsvRecords or JsonRecords ─► Record, Record, …

A record without a text has an error instead; reading continues with the next record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from charlm.errors import CorpusError
from charlm.text.csv_records import CsvRecords
from charlm.text.json_records import JsonRecords
from charlm.text.record_format import Record, RecordFormat, single_line

_JQ_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def parser_for(format: RecordFormat, file: str, errors: str = "strict") -> CsvRecords | JsonRecords:
    """Return a parser for the records of a file; its errors name the file."""
    return JsonRecords(format, errors) if format.csv_column is None else CsvRecords(format, file, errors)


def read_records(chunks: Iterable[bytes], parser: CsvRecords | JsonRecords) -> Iterator[list[Record]]:
    """Yield the records that each chunk of a file completes, then the remaining ones."""
    rest: list[bytes] = []
    for chunk in chunks:
        *whole, last = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join([*rest, whole[0]])
            rest = []
        rest.append(last)
        yield parser.feed([line + b"\n" for line in whole])
    if line := b"".join(rest):
        yield parser.feed([line])
    yield parser.close()


def read_texts(chunks: Iterable[bytes], format: RecordFormat, file: str, errors: str, *,
               by_line: bool) -> Iterator[str]:
    """Yield the texts of records, each followed by a line break; with `by_line`, line breaks within become spaces.

    Raises CorpusError for the first record that has no text.
    """
    for records in read_records(chunks, parser_for(format, file, errors)):
        for record in records:
            if record.error:
                advice = _advice(format, record.error)
                raise CorpusError(f"{file}: {format.unit} {record.number}: {record.error}{advice}")
        if records:
            yield "".join(f"{single_line(record.text) if by_line else record.text}\n" for record in records)


def _advice(format: RecordFormat, error: str) -> str:
    """Return the jq command that leaves out lines without a text, or an empty string if jq cannot."""
    name = format.json_field
    if "field " not in error or name is None or not _JQ_PATH.fullmatch(name):
        return ""
    return f"; leave such lines out with: jq -c 'select(.{name} | type == \"string\")'"
