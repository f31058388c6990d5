"""`charlm filter`: the lines whose score is within bounds or among the lowest, in order and unchanged."""

from __future__ import annotations

import contextlib
import math
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from charlm.cli import options
from charlm.cli.exit_codes import message
from charlm.cli.line import Line, scores_of
from charlm.cli.line_reader import LineReader
from charlm.cli.output import Output
from charlm.text.invalid_bytes import exact_bytes
from charlm.text.record_format import RecordFormat

if TYPE_CHECKING:
    import numpy as np

    from charlm.contract import Tokenizer
    from charlm.inference.line_scoring import TextScore

READ_AT_ONCE = 256                      # lines

EXAMPLES = """\b
Examples:
  cat crawl.txt | charlm filter --max-bpc 2.1 > clean.txt
  charlm filter --keep 20% < pool.txt
  charlm filter --contrast general.charlm --keep 10% < pool.txt
  charlm filter --max-bpc 2 --csv-column review reviews-*.csv > plain.csv
  charlm filter -m lexicon.charlm --max-bpc 3 lexicon.tsv > clean.tsv
  tail -f server.log | charlm filter --min-bpc 4 --with-score
  charlm filter --min-bpc 4 --with-score server.log | sort -rn
"""


@options.filter_command("filter", EXAMPLES, options.OTHERS_READ)
@options.option("--max-bpc", type=float, metavar="BITS", help="Keep lines of at most BITS bits per character.")
@options.option("--min-bpc", type=float, metavar="BITS", help="Keep lines of at least BITS bits per character.")
@options.option("--keep", metavar="N%|N", help="Keep the N least surprising lines, or N% of all lines; they are "
                                             "written at the end of the input.")
@options.option("--contrast", metavar="MODEL",
              help="Score by contrast with a general model: bits per character of -m minus those of MODEL.")
@options.option("--worst", type=click.IntRange(1), metavar="N", help="Score each line by its most surprising stretch "
                "of N characters; the mean hides a short anomaly in a long line.")
@options.option("--with-score", is_flag=True, help="Write score<TAB>line; with several files, score<TAB>file<TAB>line.")
@options.carry
@options.adapt("Learn from each line after it has been scored, so that the new becomes normal; uses one core.")
@options.identified_records
@options.errors
@options.device
@options.cores
@options.quiet
def command(files: tuple[str, ...], model: str | None, max_bpc: float | None, min_bpc: float | None,
            keep: str | None, contrast: str | None, worst: int | None, with_score: bool, carry: bool, adapt: str,
            errors: str, device: str, threads: int | None, quiet: bool, format: RecordFormat | None) -> None:
    """Keep the lines whose score is within bounds, in order and byte for byte.

    The score is bits per character, as printed by `charlm score`, or with --contrast the difference
    between two models (Moore and Lewis 2010), which is low for lines that resemble the training text of
    -m more than that of MODEL. A pairs model scores targets given their sources. `charlm score --summary`
    suggests a bound. Reads files or stdin; without --keep each line is written as soon as it is read. The number
    of lines that passed is printed on stderr at the end.

    With --csv-column or --json-field one field is scored and whole records are kept; CSV keeps its header.
    If the last line of a file has no line end, it gets one if another file follows.
    """
    low, high = _bounds(min_bpc, max_bpc)
    quota = _quota(keep)
    if max_bpc is None and min_bpc is None and quota is None:
        raise click.UsageError("no condition given; give --max-bpc, --min-bpc or --keep")
    if format is not None and format.id is not None and not with_score:
        raise click.UsageError("--id needs --with-score; without it records pass unchanged")
    workers = options.set_up_cores(threads, device, carry=carry or bool(adapt))
    lines, output = LineReader(files, errors, format, one_header=True), Output()
    scorer = _Scorer(model, contrast, carry=carry, adapt=bool(adapt), device=device, worst=worst)

    def passes(batch: list[Line]) -> list[tuple[bytes, float]]:
        scored = lines.map_valid(batch, scorer.scores, scorer.problem)
        return [(exact_bytes(line.columns) + line.data if with_score else line.data, score) for line, score in scored
                if score is not None and score < math.inf and low <= score <= high]

    passing = lines.map_batches(passes, workers=workers, streams=quota is None, quiet=quiet)
    header = _Header(lines, format, with_score=with_score)
    with _counted(lines, "lines" if format is None else "records", quiet=quiet, streams=quota is None) as count:
        for batch in passing if quota is None else _lowest(passing, quota, lines):
            count(len(batch))
            output.write_bytes(header.once() + b"".join(
                b"%.4f\t%s" % (score, data) if with_score else data for data, score in batch))
        output.write_bytes(header.once())
    lines.close("left out")


@contextlib.contextmanager
def _counted(lines: LineReader, unit: str, *, quiet: bool, streams: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts what passed; at the end, or on Ctrl-C, print the count and the total in `unit`."""
    passed = 0

    def count(more: int) -> None:
        nonlocal passed
        passed += more

    try:
        yield count
    except KeyboardInterrupt:           # how `tail -f | charlm filter` ends
        if lines.answered and not quiet:
            message(f"{passed:,} of {lines.answered:,} {unit} passed" if streams or passed else
                    f"interrupted after {lines.answered:,} {unit}; --keep writes at the end of the input")
        raise
    if not quiet:
        message(f"{passed:,} of {lines.answered:,} {unit} passed")


class _Header:
    """The CSV header, which is written before the records that pass."""

    def __init__(self, lines: LineReader, format: RecordFormat | None, *, with_score: bool):
        self._lines, self._is_written = lines, False
        columns = ["score", *["file"] * lines.names_files, *["id"] * (format is not None and format.id is not None)]
        self._before = "".join(f"{column}\t" for column in columns).encode() if with_score else b""

    def once(self) -> bytes:
        """Return the header on the first call after it was read, otherwise empty bytes."""
        if self._is_written or not self._lines.header:
            return b""
        self._is_written = True
        return self._before + self._lines.header


def _bounds(low: float | None, high: float | None) -> tuple[float, float]:
    for flag, value in (("--min-bpc", low), ("--max-bpc", high)):
        if value is not None and math.isnan(value):
            raise click.UsageError(f"{flag} must be a number, not {value}")
    if low is not None and high is not None and low > high:
        raise click.UsageError(f"--min-bpc {low} is above --max-bpc {high}, so no line can pass")
    return (-math.inf if low is None else low, math.inf if high is None else high)


def _quota(keep: str | None) -> Callable[[int], int] | None:
    """Parse `20%` or `500` into a function from the number of all lines to the number of lines to keep."""
    if keep is None:
        return None
    digits = keep.removesuffix("%")
    percent = digits != keep
    number = re.fullmatch(r"[0-9]+([.][0-9]+)?" if percent else "[0-9]{1,15}", digits, re.ASCII)
    amount = float(digits) if number else -1
    if not 0 <= amount <= (100 if percent else 1e15):
        raise click.UsageError(f"--keep must be a number of lines, or a percentage as in 20%, not {keep}")
    # A fraction of a line counts as a line; rounding first removes what is only floating-point error.
    return lambda count: math.ceil(round(count * amount / 100, 6)) if percent else min(int(amount), count)


class _Scorer:
    """Scores lines by one model, or by the difference between two."""

    def __init__(self, model: str | None, contrast: str | None, *, carry: bool, adapt: bool, device: str,
                 worst: int | None):
        from charlm.cli.models import load_model
        models = [load_model(model, "filter", besides=contrast, device=device)]
        models += [] if contrast is None else [load_model(contrast, "filter", device=device)]
        self._scorers = [loaded.scorer(carry=carry, adapt=adapt) for loaded in models]
        self._rates = [_rate if worst is None else _worst_rate(loaded.tokenizer, worst) for loaded in models]

    def scores(self, lines: Sequence[Line]) -> list[float]:
        """Return bits per character, minus those of the general model if there is one."""
        rates = [[rate(score) for score in scores_of(scorer)(lines)]
                 for scorer, rate in zip(self._scorers, self._rates, strict=True)]
        return [rate - sum(general) for rate, *general in zip(*rates, strict=True)]

    def problem(self, text: str) -> str:
        """Return why one of the models refuses a line, else an empty string."""
        return next(filter(None, (scorer.problem(text) for scorer in self._scorers)), "")


def _rate(score: TextScore) -> float:
    """Return bits per character; infinity for a blank line that the model does not score."""
    return score.bits_per_character if score.characters else math.inf


def _worst_rate(tokenizer: Tokenizer, length: int) -> Callable[[TextScore], float]:
    """Return a function that maps a score to the bits per character of its worst stretch."""
    from charlm.inference.stretches import worst_stretch
    return lambda score: worst_stretch(score, tokenizer, length).bits_per_character if score.characters else math.inf


def _lowest(passing: Iterable[list[tuple[bytes, float]]], quota: Callable[[int], int],
            lines: LineReader) -> Iterator[list[tuple[bytes, float]]]:
    """Yield the least surprising of all passing lines in batches, from a file that keeps them until the end."""
    from charlm.text.temporary import anonymous_file, write_all
    scores, sizes = array("d"), array("Q")

    def chunks() -> Iterator[bytes]:
        for batch in passing:
            scores.extend(score for _, score in batch)
            sizes.extend(len(data) for data, _ in batch)
            yield b"".join(data for data, _ in batch)

    with anonymous_file() as file:
        write_all(file, chunks())
        file.seek(0)
        mask = _lowest_mask(scores, quota(lines.count))
        for start in range(0, len(scores), READ_AT_ONCE):
            window = range(start, min(start + READ_AT_ONCE, len(scores)))
            read = [(file.read(sizes[index]), scores[index]) for index in window]
            yield [pair for pair, is_kept in zip(read, mask[start:window.stop], strict=True) if is_kept]


def _lowest_mask(scores: Sequence[float], count: int) -> np.ndarray:
    """Return a mask of the `count` lowest scores; of those that are equal to four decimals the first ones."""
    import numpy as np
    mask = np.zeros(len(scores), bool)
    # Rounded, as the last digits of a score depend on the other lines of its batch.
    mask[np.argsort(np.round(scores, 4), kind="stable")[:count]] = True
    return mask
