"""Bytes in and out, exactly, for commands whose product is no text."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator

import click

from charlm.cli.line_input import input_source
from charlm.cli.output import Output
from charlm.errors import CorpusError


@contextlib.contextmanager
def open_input(file: str | None) -> Iterator[Callable[[int], bytes]]:
    """Open a file or stdin; yield a function that reads at most `count` bytes. Raises CorpusError."""
    from charlm.text.reading import open_bytes, source_name
    source = input_source(file)
    with open_bytes(source, raw=True) as stream:
        def read(count: int) -> bytes:
            try:
                return stream.read(count)
            except OSError as error:
                raise CorpusError(f"{source_name(source)}: cannot be read ({error.strerror})") from None
        yield read


def write_binary(output: str | None, pieces: Iterable[bytes], *, text: bool = False) -> None:
    """Write pieces to a file, which is replaced only when all are there, or to stdout as they come.

    Raises StorageError, and UsageError rather than write anything but text to a terminal.
    """
    if output:
        from charlm.storage import require_writable, write_stream_durably
        require_writable(output)
        write_stream_durably(output, pieces)
        return
    stdout = Output()
    if stdout.on_terminal and not text:
        raise click.UsageError("compressed data is not for a terminal; redirect stdout to a file, or name one with -o")
    for piece in pieces:
        stdout.write_bytes(piece)
    sys.stdout.flush()
