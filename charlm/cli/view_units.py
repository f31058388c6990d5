"""`charlm view --find`: which cells tell the inside of something from its outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from charlm.cli.exit_codes import message
from charlm.cli.output import Output, json_record
from charlm.cli.view_text import ViewRequest, traces
from charlm.errors import CorpusError, UsageError
from charlm.inference.trace import trace_spans
from charlm.inference.units import QUESTIONS, areas_under_curve, question

if TYPE_CHECKING:
    from charlm.contract import FloatArray
    from charlm.model import LanguageModel

CELLS = 20                              # named by default
MAX_ACTIVATIONS = 32_000_000            # kept for ranking: 128 MB
EVERY = "all"


def rank_units(model: LanguageModel, source: str, request: ViewRequest, workers: int) -> None:
    """Write cells with their areas under the curve, those that separate best first; or the best for each question.

    Raises CorpusError if the text has no match, or nothing else.
    """
    asked = [*QUESTIONS] if request.find == EVERY else [request.find or ""]
    masks = {name: question(name) for name in asked}
    text, places, values, names = _activations(model, source, request, workers)
    output = Output()
    for name, mask in masks.items():
        inside = mask(text)[places]
        if inside.all() or not inside.any():
            if len(asked) == 1:
                raise CorpusError(f"the text has {'nothing outside' if inside.any() else 'no'} matches of {name}; "
                                  "there is nothing to separate")
            continue
        areas = areas_under_curve(values, inside)
        order = np.argsort(-np.abs(areas - 0.5), kind="stable")[:request.top or (1 if len(asked) > 1 else CELLS)]
        for unit in order.tolist():
            output.write(_record(name if len(asked) > 1 else "", names[unit], areas[unit], jsonl=request.jsonl))


def _record(name: str, unit: str, area: float, *, jsonl: bool) -> str:
    """Return a record of one cell; a cell that is low inside separates as well as one that is high."""
    separation, side = max(area, 1 - area), "high" if area >= 0.5 else "low"
    if jsonl:
        return json_record(**({"question": name} if name else {}), unit=unit, auc=round(separation, 6), inside=side)
    return (name and f"{name}\t") + f"{unit}\t{separation:.4f}\t{side}\n"


def _activations(model: LanguageModel, source: str, request: ViewRequest,
                 workers: int) -> tuple[str, np.ndarray, FloatArray, tuple[str, ...]]:
    """Return the text, a place in it (N,) for each token with activations, these (N, U), and the names of the units."""
    config = model.stored.config
    units = config.num_layers * config.hidden_size
    tracer = model.tracer(carry=not model.task_row.by_line, units=range(units), workers=workers)
    texts: list[str] = []
    places: list[np.ndarray] = []
    values: list[FloatArray] = []
    names: tuple[str, ...] = ()
    characters = tokens = 0
    for number, trace in traces(tracer, source, request.errors):
        spans = trace_spans(trace, model.tokenizer)
        ends = characters - 1 + np.cumsum([len(span.text) for span in spans], dtype=np.int64)
        known = [span.last for span in spans]
        kept = ~np.isnan(trace.units[known]).any(axis=1)
        texts += [span.text for span in spans]
        places.append(ends[kept])
        values.append(trace.units[known][kept])
        characters, tokens, names = int(ends[-1]) + 1 if spans else characters, tokens + len(spans), trace.unit_names
        if tokens * units > MAX_ACTIVATIONS:
            message(f"the first {number} lines are enough to rank cells by; the others were not read")
            break
    if not tokens:
        raise UsageError("the text is empty; there is nothing to rank cells by")
    return "".join(texts), np.concatenate(places), np.concatenate(values), names
