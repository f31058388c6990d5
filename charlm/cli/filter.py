"""`charlm filter`: the lines whose score passes, in order, unchanged."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import click

from charlm.cli import options

READ_AT_ONCE = 256                      # lines

EXAMPLES = """\b
Examples:
  cat crawl.txt | charlm filter --max-bpc 2.1 > clean.txt
  charlm filter --keep 20% < pool.txt
  charlm filter --contrast general.charlm --keep 10% < pool.txt
  charlm filter --min-bpc 4 --with-score server.log | sort -rn
"""


@click.command("filter", epilog=EXAMPLES, short_help="Pass on the lines whose score fits.")
@click.argument("file", required=False, metavar="[FILE]")
@options.model
@click.option("--max-bpc", type=float, metavar="BITS", help="Lines of at most so many bits per character.")
@click.option("--min-bpc", type=float, metavar="BITS", help="Lines of at least so many bits per character.")
@click.option("--keep", metavar="N%|N", help="The N least surprising lines, or that share of all; they come "
                                            "when all lines are in.")
@click.option("--contrast", metavar="MODEL",
              help="Score by the difference to this general model: bits per character of -m less its own.")
@click.option("--with-score", is_flag=True, help="Write score<TAB>line.")
@options.carry
@options.errors
@options.device
@options.threads
def command(file: str | None, model: str | None, max_bpc: float | None, min_bpc: float | None,
            keep: str | None, contrast: str | None, with_score: bool, carry: bool, errors: str,
            device: str, threads: int | None) -> None:
    """Pass on the lines whose score fits, in order and unchanged to the byte.

    A score is bits per character as `charlm score` has them, or with --contrast the difference of two
    models (Moore and Lewis 2010): low for lines that are more like the text of -m than like that of the
    other. Reads FILE or stdin; without --keep each line is passed on as soon as it is in.
    """
    bounds = _bounds(min_bpc, max_bpc)
    share = _share(keep)
    if max_bpc is None and min_bpc is None and share is None:
        raise click.UsageError("nothing to go by; give --max-bpc, --min-bpc or --keep")
    options.limit_threads(threads)
    from charlm.cli.line_reader import LineReader
    from charlm.cli.output import Output
    lines, output = LineReader(file, errors), Output()
    scored = _Scored(model, contrast, carry=carry, device=device)
    answered = (lines.map_valid(batch, scored.scores, scored.problem) for batch in lines.batches())
    passing = ([(line.data, score) for line, score in batch
                if score is not None and score < math.inf and bounds[0] <= score <= bounds[1]] for batch in answered)
    show = _with_score if with_score else _alone
    if share is not None:
        passing = _least(passing, share, lines)
    for some in passing:
        output.write_bytes(b"".join(show(data, score) for data, score in some))
    lines.close("left out")


@dataclass(frozen=True)
class _Share:
    """How many of all lines are kept."""

    amount: float
    percent: bool

    def of(self, lines: int) -> int:
        return min(math.ceil(round(lines * self.amount / 100, 6)) if self.percent else int(self.amount), lines)


def _bounds(low: float | None, high: float | None) -> tuple[float, float]:
    for flag, value in (("--min-bpc", low), ("--max-bpc", high)):
        if value is not None and math.isnan(value):
            raise click.UsageError(f"{flag} must be a number, not {value}")
    if low is not None and high is not None and low > high:
        raise click.UsageError(f"no line has at least {low} and at most {high} bits per character")
    return (-math.inf if low is None else low, math.inf if high is None else high)


def _share(keep: str | None) -> _Share | None:
    """`20%` or `500`."""
    if keep is None:
        return None
    digits = keep.removesuffix("%")
    percent = digits != keep
    number = re.fullmatch(r"[0-9]+([.][0-9]+)?" if percent else "[0-9]{1,15}", digits, re.ASCII)
    amount = float(digits) if number else -1
    if not 0 <= amount <= (100 if percent else 1e15):
        raise click.UsageError(f"--keep {keep}: give a number of lines, or a share as 20%")
    return _Share(amount, percent)


class _Scored:
    """Lines with their scores, by one model or by the difference of two."""

    def __init__(self, model: str | None, contrast: str | None, *, carry: bool, device: str):
        from charlm.cli.models import load_model, scorer_of
        tasks = ("stream", "lines")
        models = [load_model(model, tasks, besides=contrast)]
        models += [] if contrast is None else [load_model(contrast, tasks)]
        self._scorers = [scorer_of(loaded, carry=carry, device=device) for loaded in models]

    def scores(self, lines) -> list[float]:
        rates = [[_rate(score) for score in scorer.score([line.scored(scorer) for line in lines])]
                 for scorer in self._scorers]
        return [own[0] - sum(own[1:]) for own in zip(*rates)]

    def problem(self, text: str) -> str:
        """What keeps one of the models from scoring a line."""
        return next(filter(None, (scorer.problem(text) for scorer in self._scorers)), "")


def _rate(score) -> float:
    """Bits per character; of a line that does not count as one, more than any bound."""
    return score.bits_per_character if score.characters else math.inf


def _alone(data: bytes, score: float) -> bytes:
    return data


def _with_score(data: bytes, score: float) -> bytes:
    return b"%.4f\t%s" % (score, data)


def _least(passing, share: _Share, lines):
    """The least surprising lines of all, in batches: a first pass writes those that pass into a private
    file, a second reads the best out of it."""
    import array

    from charlm.text.spool import anonymous_file, write_all
    scores, sizes = array.array("d"), array.array("Q")

    def pieces():
        for batch in passing:
            scores.extend(score for _, score in batch)
            sizes.extend(len(data) for data, _ in batch)
            yield b"".join(data for data, _ in batch)

    with anonymous_file() as file:
        write_all(file, pieces())
        file.seek(0)
        kept = _lowest(scores, share.of(lines.count))
        for start in range(0, len(scores), READ_AT_ONCE):
            some = range(start, min(start + READ_AT_ONCE, len(scores)))
            read = [(file.read(sizes[number]), scores[number]) for number in some]
            yield [pair for pair, is_kept in zip(read, kept[start:some.stop]) if is_kept]


def _lowest(scores, count: int):
    """Which of the scores are the `count` lowest; of those that are equal as shown the first.

    The last digits of a score depend on the lines that it was computed beside.
    """
    import numpy as np
    kept = np.zeros(len(scores), bool)
    kept[np.argsort(np.round(scores, 4), kind="stable")[:count]] = True
    return kept
