"""`charlm view --find`: which cells tell the inside of something from its outside."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from charlm.cli.exit_codes import message
from charlm.cli.output import Output, json_record
from charlm.cli.view_text import ViewRequest, traces
from charlm.errors import CorpusError

if TYPE_CHECKING:
    from charlm.inference.units import Activations
    from charlm.model import LanguageModel

CELLS = 20                              # named by default
MAX_ACTIVATIONS = 32_000_000            # kept for ranking: 128 MB
EVERY = "all"


def rank_units(model: LanguageModel, source: str, request: ViewRequest, workers: int) -> None:
    """Write cells with their areas under the curve, those that separate best first; or the best for each question.

    Raises CorpusError if the text has no match, or nothing else.
    """
    from charlm.inference.units import QUESTIONS, question
    several = request.find == EVERY
    masks = {name: question(name) for name in (QUESTIONS if several else [request.find or ""])}
    read, output = _activations(model, source, request, workers), Output()
    for name, mask in masks.items():
        ranked = read.ranked(mask, request.top or (1 if several else CELLS))
        if not ranked and not several:
            near = difflib.get_close_matches(name, [] if name in QUESTIONS else [*QUESTIONS], 1)
            hint = f"did you mean {near[0]}?" if near else "there is nothing to separate"
            raise CorpusError(f"the text has no matches of {name}, or nothing else; {hint}")
        for unit, area in ranked:
            output.write(_record(name if several else "", unit, area, jsonl=request.jsonl))


def _record(name: str, unit: str, area: float, *, jsonl: bool) -> str:
    """Return a record of one cell; a cell that is low inside separates as well as one that is high."""
    separation, side = max(area, 1 - area), "high" if area >= 0.5 else "low"
    if jsonl:
        return json_record(**({"question": name} if name else {}), unit=unit, auc=round(separation, 6), inside=side)
    return (name and f"{name}\t") + f"{unit}\t{separation:.4f}\t{side}\n"


def _activations(model: LanguageModel, source: str, request: ViewRequest, workers: int) -> Activations:
    """Return the activations of all cells along a file, or along as much of its beginning as fits into memory."""
    from charlm.inference.trace import trace_spans
    from charlm.inference.units import Activations
    config = model.stored.config
    units = config.num_layers * config.hidden_size
    tracer = model.tracer(carry=not model.task_row.by_line, units=range(units), workers=workers)
    read = Activations()
    for number, trace in traces(tracer, source, request.errors):
        read.add(trace, trace_spans(trace, model.tokenizer))
        if read.count * units > MAX_ACTIVATIONS:
            message(f"the first {number} lines are enough to rank cells by; the others were not read")
            break
    if not read.count:
        raise CorpusError("the text is empty; there is nothing to rank cells by")
    return read
