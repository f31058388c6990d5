"""The format of records that contain a text as one of their fields, and a single record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from charlm.errors import UsageError

_LINE_BREAK = re.compile(r"\r\n|[\r\n]")


@dataclass(frozen=True)
class RecordFormat:
    """The format of records, CSV or JSON lines, and the name of the field that is the text."""

    csv_column: str | None = None
    json_field: str | None = None
    id: str | None = None               # another field, which identifies a record

    def __post_init__(self) -> None:
        """Raise UsageError for options that contradict each other."""
        if self.csv_column is not None and self.json_field is not None:
            raise UsageError("--csv-column and --json-field name two formats; give one")
        if self.id is not None and self.csv_column is None and self.json_field is None:
            raise UsageError("--id needs --csv-column or --json-field")

    @property
    def unit(self) -> str:
        """The unit that numbers records: lines of the file or, for CSV, records after the header."""
        return "line" if self.csv_column is None else "record"


def record_format(csv_column: str | None, json_field: str | None, id: str | None = None) -> RecordFormat | None:
    """Return the format that options name, or None for plain lines. Raises UsageError if they contradict each other."""
    given = RecordFormat(csv_column, json_field, id)
    return None if given == RecordFormat() else given


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file."""

    number: int                         # from 1, not counting the header of CSV
    text: str                           # the field; empty if there is an error
    data: bytes                         # the whole record as read, with its line end
    id: Any = None                      # the field of --id, with its type in JSON
    error: str = ""                     # the reason if there is no text


def single_line(text: str) -> str:
    """Return a text with each line break replaced by a space.

    >>> single_line("two\\r\\nlines")
    'two lines'
    """
    return _LINE_BREAK.sub(" ", text)
