"""Bytes in and out, exactly, for commands whose product is no text."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator

import click

from charlm.cli.line_input import input_source
from charlm.cli.metering import start_meter
from charlm.cli.output import Output
from charlm.errors import CorpusError

Read = Callable[[int], bytes]           # at most this number of bytes; none at the end


@contextlib.contextmanager
def open_input(file: str | None, *, streams: bool, quiet: bool = False,
               first_pass: Callable[[Read], None] | None = None) -> Iterator[Read]:
    """Open a file or stdin; yield a function that reads at most `count` bytes. Raises CorpusError.

    What can be read twice is first given to `first_pass`.

    What has been read before the last call is taken as done by a progress line, which is shown unless `quiet`; on the
    terminal that the product goes to only if it does not go there as it comes (`streams`).
    """
    from charlm.text.reading import open_bytes, source_name
    from charlm.text.sources import Sources
    source = input_source(file)
    position = 0
    with open_bytes(source, raw=True) as stream, \
            start_meter(Sources((source,), named=False).size, streams=streams, quiet=quiet) as meter:
        def read(count: int) -> bytes:
            try:
                data = stream.read(count)
            except OSError as error:
                raise CorpusError(f"{source_name(source)}: cannot be read ({error.strerror})") from None
            return data

        def read_and_show(count: int) -> bytes:
            nonlocal position
            meter.update(position)
            data = read(count)
            position += len(data)
            return data

        if first_pass and stream.seekable():
            start = stream.tell()
            first_pass(read)
            stream.seek(start)
        yield read_and_show


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
