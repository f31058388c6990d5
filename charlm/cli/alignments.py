"""`charlm translate --alignment`: which letter made which part of a target."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from charlm.cli.line_input import Line
from charlm.cli.output import ESCAPES, Output, StyledOutput
from charlm.reports.heat_map import Style, grid

if TYPE_CHECKING:
    from charlm.inference.alignment import Alignment
    from charlm.inference.translation import Translation
    from charlm.model import LanguageModel


def aligned(model: LanguageModel, output: Output,
            record: Callable[..., str] | None) -> tuple[Output, Callable[[Line, Sequence[Translation]], str]]:
    """Return an output and how to show a line: as a record, as rows or, on a terminal with colours, as a grid.

    Raises UsageError if the model has no attention.
    """
    model.alignment("a", "")
    style = Style.of_environment(os.environ) if output.on_terminal and record is None else None

    def show(line: Line, targets: Sequence[Translation]) -> str:
        if not targets:
            return record(line, targets) if record else ""
        found = model.alignment(line.text, targets[0].text)
        if record:
            weights = [[round(weight, 4) for weight in row] for row in found.weights.tolist()]
            return record(line, targets, alignment={"source": found.source, "target": found.target, "weights": weights})
        return _rows(line, found) if style is None else _grid(found, style)

    return output if style is None else StyledOutput(), show


def _rows(line: Line, found: Alignment) -> str:
    at = f"{line.number}\t{line.columns}"
    return "".join(f"{at}{token.translate(ESCAPES)}\t{letter.translate(ESCAPES)}\t{weight:.4f}\n"
                   for token, letter, weight in found.best())


def _grid(found: Alignment, style: Style) -> str:
    return "".join(grid(found.target, ["∅", *found.source[1:]], found.weights.tolist(), style)) + "\n"
