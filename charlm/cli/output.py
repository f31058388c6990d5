"""stdout: exact UTF-8 bytes in a pipe or file, visible control characters on a terminal; records and tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from charlm.cli.exit_codes import stdout_errors
from charlm.errors import StorageError
from charlm.text.invalid_bytes import exact_bytes, replace_invalid


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


def json_record(**fields: object) -> str:
    """Return one line with a JSON object; JSON is UTF-8, so bytes that are not become U+FFFD."""
    return replace_invalid(json.dumps(fields, ensure_ascii=False)) + "\n"


def write_table(fields: Mapping[str, object], *, jsonl: bool) -> None:
    """Write `name<TAB>value` lines in plain words, or one JSON object."""
    Output().write(json_record(**fields) if jsonl else
                   "".join(f"{name}\t{_plain(value)}\n" for name, value in fields.items()))


def _plain(value: object) -> str:
    """Return a value of a model file's metadata as plain words.

    >>> _plain([{"lr": [0.01, 0.001]}, {"steps": 9}]), _plain([None, True, "a"])
    ('lr=0.01,0.001; steps=9', 'none,yes,a')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_plain(inner)}" for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        nested = any(isinstance(inner, (Mapping, list, tuple)) for inner in value)
        return ("; " if nested else ",").join(map(_plain, value))
    return str(value)
