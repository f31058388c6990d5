"""Bytes in and out, exactly, for commands whose product is no text."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

import click

from charlm.cli.line_input import input_source
from charlm.cli.metering import start_meter
from charlm.cli.output import Output
from charlm.errors import CorpusError

if TYPE_CHECKING:
    from charlm.reports.meter import Meter

HEADER = 4096                           # bytes; a larger read is the contents of a block


class MeteredInput:
    """A function that reads the next bytes of a file, with a progress line that follows the tokens of its text.

    A block counts as done when the next one is read. Within a block, progress is estimated from the tokens, at the
    bytes per token of the blocks before it.
    """

    def __init__(self, stream: BinaryIO, name: str, meter: Meter, token_size: float):
        self._stream, self._name, self._meter, self._first_size = stream, name, meter, token_size
        self._read = self._done = 0     # bytes
        self._tokens = self._earlier_tokens = 0             # in the current block and in those before it

    def __call__(self, count: int) -> bytes:
        """Return the next bytes, or empty bytes at the end. Raises CorpusError."""
        if self._tokens or count > HEADER:
            self._done = self._read
            self._earlier_tokens += self._tokens
            self._tokens = 0
        data = self._next(count)
        self._read += len(data)
        return data

    def check_first(self, check: Callable[[Callable[[int], bytes]], None]) -> None:
        """Let `check` read everything, then rewind; do nothing for a pipe, which cannot be rewound."""
        if self._stream.seekable():
            start = self._stream.tell()
            check(self._next)
            self._stream.seek(start)

    def watch(self, tokens: int) -> None:
        """Count tokens that have been encoded or decoded."""
        self._tokens += tokens
        size = self._done / self._earlier_tokens if self._earlier_tokens else self._first_size
        self._meter.update(min(self._read, round(self._done + size * self._tokens)))

    def _next(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except OSError as error:
            raise CorpusError(f"{self._name}: cannot be read ({error.strerror})") from None


@contextlib.contextmanager
def open_input(file: str | None, *, streams: bool = True, quiet: bool = False,
               token_size: float = 1.0) -> Iterator[MeteredInput]:
    """Open a file or stdin; yield a function that reads it. Raises CorpusError.

    A progress line is shown unless `quiet` is set or the output `streams` to the same terminal. `token_size` is an
    estimate of the bytes per token of the first block.
    """
    from charlm.text.reading import open_bytes, source_name
    from charlm.text.sources import Sources
    source = input_source(file)
    with open_bytes(source, raw=True) as stream, \
            start_meter(Sources((source,), named=False).size, streams=streams, quiet=quiet) as meter:
        yield MeteredInput(stream, source_name(source), meter, token_size)


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
