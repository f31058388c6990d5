"""Records of JSON lines: every line is an object, one field of which is the text."""

from __future__ import annotations

import codecs
import difflib
import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

from charlm.text.record_format import Record, RecordFormat

_TYPES = {dict: "an object", list: "an array", bool: "a boolean", int: "a number", float: "a number",
          type(None): "null"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_MISSING = object()
_MAX_COMPARED = 50                      # names of fields, for a suggestion


class JsonRecords:
    """A parser of JSON lines: every line that is not blank is an object."""

    header = b""

    def __init__(self, format: RecordFormat, errors: str = "strict"):
        self._format, self._errors, self._number = format, errors, 0

    def feed(self, lines: Sequence[bytes]) -> list[Record]:
        """Return the records in further lines, which include their line ends."""
        records = []
        for line in lines:
            self._number += 1
            if self._number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if line.strip():
                records.append(self._record(line))
        return records

    def close(self) -> list[Record]:
        """Return the remaining records: none, because every line is a record."""
        return []

    def _record(self, line: bytes) -> Record:
        document, error = _parsed(line, self._errors)
        id = None if error or self._format.id is None else _value(document, self._format.id)
        text, error = ("", error) if error else _text(document, str(self._format.json_field))
        return Record(self._number, text, line, None if id is _MISSING else id, error)


def _parsed(line: bytes, errors: str) -> tuple[Any, str]:
    """Return the object in a line, and an error message if it has none."""
    try:
        document = json.loads(line.decode("utf-8", errors))
    except UnicodeDecodeError:
        return None, "not UTF-8"
    except json.JSONDecodeError as failure:
        return None, f"not JSON: {failure.msg} at column {failure.colno}"
    except RecursionError:
        return None, "nested too deeply"
    except ValueError:
        return None, "a number with too many digits"        # Python's limit
    return document, "" if isinstance(document, dict) else "not a JSON object"


def _text(document: dict[str, Any], name: str) -> tuple[str, str]:
    """Return the text of an object, and an error message if it has none."""
    text = _value(document, name)
    if text is _MISSING:
        near = difflib.get_close_matches(name, itertools.islice(document, _MAX_COMPARED), 1)
        return "", f"no field {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    if not isinstance(text, str):
        return "", f"field {name!r} is {_TYPES[type(text)]}, not a string"
    if not text.isascii() and _SURROGATE.search(text):
        return "", f"field {name!r} has half a surrogate pair"
    return text, ""


def _value(document: dict[str, Any], name: str) -> Any:
    """Return the field with this name, or the nested field of a dotted name, or _MISSING.

    >>> _value({"a.b": 1}, "a.b"), _value({"a": {"b": 2}}, "a.b")
    (1, 2)
    """
    if name in document:
        return document[name]
    found: Any = document
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return _MISSING
        found = found[part]
    return found
