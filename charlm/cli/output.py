"""stdout as the output: exact UTF-8 into a pipe or file, made visible on a terminal."""

from __future__ import annotations

import sys

from charlm.cli.exit_codes import stdout_errors
from charlm.errors import StorageError


class Output:
    """Writes text to stdout, at once.

    On a terminal control characters are shown as pictures; elsewhere bytes are exact. Raises
    ClosedPipe when the pipe is closed, StorageError when stdout is full or closed.
    """

    def __init__(self) -> None:
        if sys.stdout is None:
            raise StorageError("stdout is closed; redirect it to a file")
        self.on_terminal = sys.stdout.isatty()
        self._last = "\n"

    def write(self, text: str) -> None:
        if not text:
            return
        if self.on_terminal:
            from charlm.reports.visible import visible
            text = visible(text)
        self._put(text.encode("utf-8", "replace"))
        self._last = text[-1]

    def write_bytes(self, data: bytes) -> None:
        """Bytes of somebody's own, passed on as they are; on a terminal made visible, too."""
        if self.on_terminal:
            self.write(data.decode("utf-8", "replace"))
        elif data:
            self._put(data)

    def _put(self, data: bytes) -> None:
        with stdout_errors():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    def end_line(self) -> None:
        """Begin a new line, unless the last text ended one."""
        if self._last != "\n":
            self.write("\n")


def write_table(pairs: dict, *, jsonl: bool) -> None:
    """A small table: `name<TAB>value` lines, or one JSON object."""
    import json
    if jsonl:
        Output().write(json.dumps(pairs, ensure_ascii=False) + "\n")
        return
    lines = [f"{name}\t{value:.6g}" if isinstance(value, float) else f"{name}\t{value}"
             for name, value in pairs.items()]
    Output().write("\n".join(lines) + "\n")
