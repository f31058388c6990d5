"""stdout: exact UTF-8 bytes in a pipe or file, visible control characters on a terminal; records and tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from charlm.cli.exit_codes import stdout_errors
from charlm.errors import StorageError
from charlm.text.invalid_bytes import exact_bytes, replace_invalid

if TYPE_CHECKING:
    from charlm.breakdowns import Table

# What would end a field or a line of a table, and the sign of an escape.
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


class Output:
    """An unbuffered writer to stdout.

    On a terminal control characters are shown as pictures; elsewhere bytes are exact, those that a byte model writes
    and that are not UTF-8 among them. Raises
    ClosedPipe if the reader of the pipe is gone, StorageError if stdout is full or closed.
    """

    def __init__(self) -> None:
        if sys.stdout is None:
            raise StorageError("stdout is closed; redirect it to a file")
        self.on_terminal = sys.stdout.isatty()
        self._last = "\n"

    def write(self, text: str) -> None:
        """Write text."""
        if not text:
            return
        if self.on_terminal:
            from charlm.reports.visible import visible
            text = visible(text)
        self._put(exact_bytes(text))
        self._last = text[-1]

    def write_styled(self, text: str) -> None:
        """Write text with colours as it is; whoever made it has made its control characters visible."""
        self._put(text.encode("utf-8", "replace"))
        self._last = text[-1:] or self._last

    def write_bytes(self, data: bytes) -> None:
        """Write input bytes unchanged, or as visible text on a terminal."""
        if self.on_terminal:
            self.write(data.decode("utf-8", "replace"))
        elif data:
            self._put(data)

    def _put(self, data: bytes) -> None:
        with stdout_errors():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    def end_line(self) -> None:
        """Write a line break unless the last text ended with one."""
        if self._last != "\n":
            self.write("\n")


class StyledOutput(Output):
    """An output of text with colours, whose control characters have been made visible before."""

    def write(self, text: str) -> None:
        """Write text as it is."""
        self.write_styled(text)


def json_record(**fields: object) -> str:
    """Return one line with a JSON object; JSON is UTF-8, so bytes that are not become U+FFFD."""
    return replace_invalid(json.dumps(fields, ensure_ascii=False)) + "\n"


def write_table(fields: Mapping[str, object], *, jsonl: bool) -> None:
    """Write `name<TAB>value` lines in plain words, or one JSON object."""
    Output().write(json_record(**fields) if jsonl else
                   "".join(f"{name}\t{plain(value)}\n" for name, value in fields.items()))


def write_rows(table: Table, *, jsonl: bool) -> None:
    """Write a line with the names of the columns and then one a row, or one JSON object a row."""
    output = Output()
    if not jsonl:
        output.write("\t".join(column.translate(ESCAPES) for column in table.columns) + "\n")
    for row in table.rows:
        output.write(json_record(**dict(zip(table.columns, row, strict=True))) if jsonl else
                     "\t".join(plain(value).translate(ESCAPES) for value in row) + "\n")


def plain(value: object) -> str:
    """Return a value of a model file's metadata as plain words.

    >>> plain([{"lr": [0.01, 0.001]}, {"steps": 9}]), plain([None, True, "a"])
    ('lr=0.01,0.001; steps=9', 'none,yes,a')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={plain(inner)}" for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        nested = any(isinstance(inner, (Mapping, list, tuple)) for inner in value)
        return ("; " if nested else ",").join(map(plain, value))
    return str(value)
