"""A hint for a corpus of JSON lines or CSV that would be learned as raw text."""

from __future__ import annotations

import csv
import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping

from charlm.text.compressed import inner_name
from charlm.text.csv_records import delimiter_of
from charlm.text.reading import Text

MAX_LINES = 50                          # lines that are examined
MIN_LINES = 2                           # a single line could be anything


def record_hint(text: Text) -> str:
    """Return a hint that names the option for learning the text of records alone, or an empty string."""
    lines = text.head().removeprefix("\ufeff").split("\n")[:MAX_LINES]
    if field := _json_field([line for line in lines[:-1] or lines if line.strip()]):
        return f"{text.name} looks like JSON lines; --json-field {field} would learn that field alone"
    if inner_name(text.source).lower().endswith(".csv") and (column := _csv_column(lines)):
        return f"{text.name} looks like CSV; --csv-column {column} would learn that column alone"
    return ""


def _json_field(lines: list[str]) -> str:
    """Return the text field of JSON lines, or an empty string if a line is not an object."""
    try:
        documents = [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        return ""
    if len(lines) < MIN_LINES or not all(isinstance(document, dict) for document in documents):
        return ""
    return _longest(item for document in documents for item in _strings(document))


def _strings(document: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    """Yield the names and texts of all string fields, including those one level down."""
    for name, value in document.items():
        inner = value if isinstance(value, dict) else {}
        for path, text in [(name, value), *((f"{name}.{key}", below) for key, below in inner.items())]:
            if isinstance(text, str):
                yield path, text


def _csv_column(lines: list[str]) -> str:
    """Return the text column of CSV, or an empty string if there is only one column."""
    try:
        rows = [row for row in csv.reader((f"{line}\n" for line in lines),
                                          delimiter=delimiter_of(lines[0])) if row]
    except csv.Error:
        return ""
    if len(rows) < MIN_LINES or len(rows[0]) < 2:
        return ""
    return _longest(item for row in rows[1:] for item in zip(rows[0], row, strict=False))


def _longest(found: Iterable[tuple[str, str]]) -> str:
    """Return the name whose texts have the greatest total length, quoted for a shell if necessary."""
    lengths: Counter[str] = Counter()
    for name, text in found:
        lengths[name] += len(text)
    return shlex.quote(max(lengths, key=lambda name: lengths[name])) if lengths else ""
