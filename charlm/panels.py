"""The panels of a page, made by a model: a text with chosen units, the course of its run, the confusion of labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charlm.errors import UsageError
from charlm.history import History
from charlm.inference.scoring import nats_to_bits
from charlm.inference.trace import Trace, trace_spans
from charlm.inference.units import QUESTIONS, Activations
from charlm.model import LanguageModel
from charlm.reports.page import Alignment, ConfusionPanel, CurvesPanel, TextPanel
from charlm.text.tokenizers.base import NEWLINE

BEAM = 5                                # targets of a source
NO_LETTER = "∅"                         # the position that is of no letter
GUESSES = 10
UNITS = 64
BEST_UNITS = 4                          # that answer a question best
MIN_AUC = 0.75                          # of a unit that is named after a question
MAX_ACTIVATIONS = 16_000_000            # on which units are chosen: 64 MB


def text_panel(model: LanguageModel, lines: Sequence[str], *, workers: int = 1) -> TextPanel:
    """Return the panel of a text, given as lines with their line breaks if the model reads those, else without."""
    units = choose_units(model, lines, workers=workers)
    traces = _trace(model, lines, [unit for unit, _ in units], top=GUESSES, workers=workers)
    spans = [(trace, span) for trace in traces for span in trace_spans(trace, model.tokenizer)]
    activations = np.array([trace.units[span.last] for trace, span in spans]).reshape(len(spans), len(units))
    activations = np.nan_to_num(activations)        # a position after the end of a line has no activation
    return TextPanel(
        [span.text for _, span in spans], np.array([span.bits for _, span in spans]),
        np.array([span.entropy for _, span in spans]), np.array([span.rank for _, span in spans]),
        np.array([trace.top_ids[span.last] for trace, span in spans]),
        np.array([trace.top_probabilities[span.last] for trace, span in spans]),
        [*map(model.tokenizer.display, range(model.tokenizer.size)), NEWLINE],
        [(name, activations[:, at]) for at, (_, name) in enumerate(units)])


def choose_units(model: LanguageModel, lines: Sequence[str], *, workers: int = 1) -> list[tuple[int, str]]:
    """Return up to 64 units with names: those that answer a built-in question best, then those that change most."""
    config = model.stored.config
    count = config.num_layers * config.hidden_size
    activations = Activations()
    for trace in _trace(model, _beginning(lines, MAX_ACTIVATIONS // count), range(count), workers=workers):
        activations.add(trace, trace_spans(trace, model.tokenizer))
    titles: dict[str, str] = {}
    for name, question in QUESTIONS.items() if activations.count else ():
        for unit, area in activations.ranked(question, BEST_UNITS):
            if max(area, 1 - area) >= MIN_AUC:
                titles.setdefault(unit, f"{unit} {name} {max(area, 1 - area):.2f}")
    for unit in activations.by_variation():
        titles.setdefault(unit, unit)
    return [(activations.names.index(unit), title) for unit, title in titles.items()][:UNITS]


def _trace(model: LanguageModel, lines: Sequence[str], units: Sequence[int], *, top: int = 0,
           workers: int) -> list[Trace]:
    tracer = model.tracer(carry=not model.task_row.by_line, top=top, units=units, workers=workers)
    return list(tracer.score(lines))


def _beginning(lines: Sequence[str], characters: int) -> Sequence[str]:
    """Return the first lines, at least one, of about this many characters."""
    sizes = np.cumsum([len(line) + 1 for line in lines])
    return lines[:max(int(np.searchsorted(sizes, characters)), 1)]


def alignment_panel(model: LanguageModel, sources: Sequence[str]) -> list[Alignment]:
    """Return, for each source that is not empty, its best targets and what the best one attends to."""
    if not model.stored.config.attention:
        raise UsageError("this model has no attention to show; train one with --attention")
    panels = []
    for source in filter(None, sources):
        found = model.translations(source, beam=BEAM)
        aligned = model.alignment(source, found[0].text)
        panels.append(Alignment([letter or NO_LETTER for letter in aligned.source], aligned.target, aligned.weights,
                                [(target.text, nats_to_bits(-target.log_probability)) for target in found]))
    return panels


def curves_panel(history: History | None) -> CurvesPanel | None:
    """Return the panel of a run's history, or None if the model file has none."""
    if history is None or not len(history.steps):
        return None
    return CurvesPanel([(point.step, point.loss) for point in history.points()],
                       [(validation.step, validation.loss) for validation in history.validations()],
                       [(sample.step, sample.text) for sample in history.samples])


def confusion_panel(model: LanguageModel, rows: Sequence[tuple[str, str]]) -> ConfusionPanel:
    """Return the panel of labelled lines (label, text), of which only those with a known label count."""
    index = {label: at for at, label in enumerate(model.labels)}
    known = [(label, text) for label, text in rows if label in index and text]
    best = model.classifier().posteriors([text for _, text in known]).argmax(axis=1) if known else []
    counts = np.zeros((len(index), len(index)), np.int64)
    for (label, _), found in zip(known, best, strict=True):
        counts[index[label], found] += 1
    return ConfusionPanel(model.labels, counts)
