"""`charlm decompress`: the file that `charlm compress` made smaller, byte for byte."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from charlm.cli import options
from charlm.cli.line import Line
from charlm.cli.line_reader import LineReader
from charlm.cli.output import Output
from charlm.errors import ArchiveError

if TYPE_CHECKING:
    from charlm.cli.binary import MeteredInput

EXAMPLES = """\b
Examples:
  charlm decompress server.log.clz > server.log
  charlm decompress -m english.charlm notes.tar.clz | tar x
  charlm decompress --partial damaged.clz -o what-was-whole.txt
  charlm decompress --lines -m names.charlm < names.base64
"""


@options.model_command("decompress", EXAMPLES)
@options.binary_output
@options.option("--partial", is_flag=True, help="If the file is damaged, write the complete blocks before the damage.")
@options.option("--lines", is_flag=True, help="Decompress the lines of `charlm compress --lines`.")
def command(file: str | None, model: str | None, output: str | None, partial: bool, lines: bool) -> None:
    """Restore what `charlm compress` compressed, with the same model.

    Without -m, the model that the file was made with is looked for in this directory. A damaged or
    incomplete file is refused with exit code 3 and nothing is written, except with --partial. Input from
    a pipe cannot be checked in advance: each block of about 128 kB is checked before it is decoded, and
    the blocks before the damage may already be on stdout.
    """
    options.limit_threads(None)
    if lines:
        if partial or output:
            raise click.UsageError(f"--lines cannot be combined with {'-o' if output else '--partial'}")
        return _decompress_lines(file, model)
    from charlm.cli.binary import open_input, write_binary
    from charlm.text.reading import source_name
    name = source_name(file or "-")
    with open_input(file, streams=not output, token_size=0.3) as read:
        if not partial:
            read.check_first(functools.partial(_check, name))
        blocks = _Blocks(read, model, name, partial=partial)
        write_binary(output, blocks.until_damage() if partial else iter(blocks), text=True)
    if blocks.damage:
        raise blocks.damage


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Prefix every ArchiveError with the name of the file."""
    try:
        yield
    except ArchiveError as error:
        raise ArchiveError(f"{name}: {error}") from None


def _check(name: str, read: Callable[[int], bytes]) -> None:
    """Check a compressed file to its end without decoding it. Raises ArchiveError if it is damaged."""
    from charlm.compression.archive import Decompressor
    with _naming(name):
        Decompressor(read).check()


class _Blocks:
    """The blocks of a compressed file, with the name of the file in every error."""

    def __init__(self, read: MeteredInput, model: str | None, name: str, *, partial: bool):
        self._read, self._model, self._name, self._partial = read, model, name, partial
        self.damage: ArchiveError | None = None

    def __iter__(self) -> Iterator[bytes]:
        from charlm.cli.models import load_model
        from charlm.compression.archive import Decompressor
        from charlm.compression.predictor import WatchedPredictor
        with _naming(self._name):
            decompressor = Decompressor(self._read)
            settings = decompressor.settings
            model = load_model(_find_model(self._model, settings.model), "decompress").stored
            predictor = WatchedPredictor(model, self._read.watch, lanes=settings.lanes, adaptive=settings.adaptive)
            yield from decompressor.blocks(predictor, partial=self._partial)

    def until_damage(self) -> Iterator[bytes]:
        """Yield the blocks before the damage, which is then in `damage`."""
        try:
            yield from self
        except ArchiveError as error:
            self.damage = error


def _find_model(path: str | None, digest: bytes) -> str:
    """Return the model of a compressed file. Raises ArchiveError for another one, or if none is here."""
    from charlm.cli.models import find_model_of
    from charlm.modelfile import stated_checksum
    if path is None:
        return find_model_of(digest)
    given = stated_checksum(path)[:len(digest)]
    if given != digest:
        raise ArchiveError(f"it was made with model {digest.hex()}, and {path} is model {given.hex()}")
    return path


def _decompress_lines(file: str | None, model: str | None) -> None:
    from charlm.cli.models import load_model
    from charlm.compression.predictor import Predictor
    from charlm.compression.short_lines import LineCoder, check_line
    coder = LineCoder(Predictor(load_model(model, "decompress").stored))
    lines, output = LineReader(file, "replace"), Output()

    def decompress(batch: list[Line]) -> tuple[bytes, ArchiveError | None]:
        """Return the text of lines up to the first that is wrong, and the error about that one."""
        found = []
        texts = coder.decompress([line.data.rstrip(b"\r\n") for line in batch])
        for text, line in zip(texts, batch, strict=True):
            try:
                found.append(check_line(text, line.number) + line.end.encode())
            except ArchiveError as error:
                return b"".join(found), error
        return b"".join(found), None

    for text, error in lines.map_batches(decompress):
        output.write_bytes(text)
        if error:
            raise error
