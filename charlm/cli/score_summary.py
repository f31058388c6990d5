"""`charlm score --summary`: the distribution of the lines' bits per character instead of the lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlm.cli.exit_codes import message
from charlm.cli.line import Line, scores_of
from charlm.cli.line_reader import LineReader
from charlm.cli.output import Output, json_record

if TYPE_CHECKING:
    import numpy as np

    from charlm.inference.line_scoring import Scorer


def write_summary(lines: LineReader, scorer: Scorer, held_out: tuple[float, ...], output: Output, *, jsonl: bool,
                  workers: int) -> None:
    """Score all lines and write their summary: a chart on a terminal, a table or a JSON object elsewhere."""
    import numpy as np

    from charlm.distribution import Distribution, Quantiles
    from charlm.reports.line_summary import COLUMNS, LineSummary
    counted, blank = Distribution(), 0

    def rates(batch: list[Line]) -> tuple[np.ndarray, int]:
        """Return the bits per character of the lines that are not blank, and the number of blank lines."""
        found = [score for _, score in lines.map_valid(batch, scores_of(scorer), scorer.problem) if score is not None]
        written = [score.bits_per_character for score in found if score.text.strip()]
        return np.array(written), len(found) - len(written)

    for found, skipped in lines.map_batches(rates, workers=workers, streams=False):
        counted.add(found)
        blank += skipped
    summary = LineSummary(counted, blank, Quantiles(held_out) if held_out else None)
    if jsonl:
        output.write(json_record(**summary.fields()))
    elif output.on_terminal:
        output.write(summary.picture())
    else:
        output.write("".join("\t".join(row) + "\n" for row in (COLUMNS, *summary.rows())))
    if advice := summary.advice():
        message(advice)
    lines.close("left out")
