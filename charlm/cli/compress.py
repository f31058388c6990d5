"""`charlm compress`: any file, smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from charlm.cli import options
from charlm.cli.exit_codes import message
from charlm.cli.line_input import Line
from charlm.cli.line_reader import LineReader
from charlm.cli.output import Output

if TYPE_CHECKING:
    from charlm.compression.archive import Totals
    from charlm.modelfile import Model

EXAMPLES = """\b
Examples:
  charlm compress -m logs.charlm server.log > server.log.clz
  charlm compress -m logs.charlm server.log | charlm decompress -m logs.charlm | cmp - server.log
  tar c notes | charlm compress -m english.charlm -o notes.tar.clz
  charlm compress --lanes 32 big.txt -o big.txt.clz
  charlm compress --lines -m names.charlm < names | charlm decompress --lines -m names.charlm
"""


@options.model_command("compress", EXAMPLES)
@options.binary_output
@options.option("--no-adapt", is_flag=True, help="Do not learn from the file while reading it: faster, but larger.")
@options.option("--lanes", type=click.IntRange(1, 256), default=1, show_default=True, metavar="N",
                help="Read the text in N places at once: several times faster, a little larger.")
@options.option("--lines", is_flag=True, help="Compress every line independently, to a line of base64.")
@options.quiet
def command(file: str | None, model: str | None, output: str | None, no_adapt: bool, lanes: int, lines: bool,
            quiet: bool) -> None:
    """Compress any file, byte for byte; `charlm decompress` with the same model restores it on every machine.

    The model learns from the file while it reads it. The better it predicts the text, the smaller the
    file; what the model cannot spell is kept too, but hardly gets smaller. Reads FILE or stdin and writes
    stdout, or the file that -o names.

    With --lines each line of short text, such as a name or a record, becomes one line of base64 that can
    be decompressed alone. Nothing is learned from one line for the next, and there is no checksum.
    """
    options.limit_threads(None)
    from charlm.cli.models import find_model, load_model
    path = find_model(model, "compress")
    stored = load_model(path, "compress").stored
    if lines:
        if options.is_given("lanes") or output:
            raise click.UsageError(f"--lines cannot be combined with {'-o' if output else '--lanes'}")
        _compress_lines(file, stored)
    else:
        totals = _compress(file, path, stored, output, lanes=lanes, adaptive=not no_adapt)
        if not quiet:
            import os
            for line in report(totals, os.path.getsize(path)):
                message(line)


def _compress(file: str | None, path: str, model: Model, output: str | None, *, lanes: int, adaptive: bool) -> Totals:
    """Compress a file with the model at `path`; return the sizes."""
    from charlm.cli.binary import open_input, write_binary
    from charlm.compression.archive import MODEL_BYTES, Compressor, Settings
    from charlm.compression.predictor import Predictor
    from charlm.modelfile import stated_checksum
    predictor = Predictor(model, lanes=lanes, adaptive=adaptive)
    compressor = Compressor(predictor, Settings(stated_checksum(path)[:MODEL_BYTES], lanes, adaptive))
    with open_input(file) as read:
        write_binary(output, compressor.pieces(read))
    return compressor.totals


def report(totals: Totals, model_size: int) -> list[str]:
    """Return what to say about sizes in bytes.

    >>> from charlm.compression.archive import Totals
    >>> report(Totals(text=5000, characters=4000, code=1000), 9000)[0]
    '5,000 bytes to 1,000: 2.0000 bits per character, ratio 5.00; with the model of 9,000 bytes 20.0000, ratio 0.50'
    """
    if not totals.text:
        return [f"0 bytes to {totals.code:,}"]
    rates = [f"{8 * size / totals.characters:.4f}" for size in (totals.code, totals.code + model_size)]
    ratios = [f"ratio {totals.text / size:.2f}" for size in (totals.code, totals.code + model_size)]
    found = [f"{totals.text:,} bytes to {totals.code:,}: {rates[0]} bits per character, {ratios[0]}; "
             f"with the model of {model_size:,} bytes {rates[1]}, {ratios[1]}"]
    if totals.code >= totals.text:
        found.append("this model does not make the file smaller; train one on similar text")
    elif totals.code + model_size >= totals.text:
        needed = model_size * totals.text // (totals.text - totals.code)
        found.append(f"the model is larger than what it saves here; at this ratio it pays for itself from {needed:,} "
                     "bytes of such text")
    return found


def _compress_lines(file: str | None, model: Model) -> None:
    from charlm.compression.predictor import Predictor
    from charlm.compression.short_lines import LineCoder
    coder, lines, output = LineCoder(Predictor(model)), LineReader(file, "replace"), Output()

    def compress(batch: list[Line]) -> bytes:
        codes = coder.compress([line.data.removesuffix(b"\n") for line in batch])
        return b"".join(code + line.data[len(line.data.removesuffix(b"\n")):]
                        for code, line in zip(codes, batch, strict=True))

    for codes in lines.map_batches(compress):
        output.write_bytes(codes)
