"""The data of the page of a text: every number in as few bytes as a reader can see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from charlm.contract import Tokenizer
from charlm.inference.trace import Span, Trace, trace_spans
from charlm.inference.units import QUESTIONS, Activations
from charlm.reports.page import packed, shown

UNITS = 64                              # cells on a page
TOP = 10                                # likeliest tokens for each place
_LEVELS = 7                             # steps of an activation on either side of 0: two fit into a byte


def page_data(traces: Iterable[Trace], tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what `charlm.reports.page.page` shows; texts of tokens have their control characters made visible.

    Arrays are little-endian and in base64: bits and entropies in hundredths, probabilities in 255ths.
    """
    spans: list[Span] = []
    units, columns = Activations(), []
    for trace in traces:
        found = trace_spans(trace, tokenizer)
        if not found:
            continue
        last = [span.last for span in found]
        columns.append((trace.top_ids[last], trace.top_probabilities[last], trace.units[last]))
        units.add(trace, found)
        spans += found
    ids, odds, activations = (np.concatenate(parts) for parts in zip(*columns, strict=True)) if columns else (
        np.zeros((0, 0)),) * 3
    bits = sum(span.bits for span in spans)
    characters = sum(len(span.text) for span in spans)
    return {"tokens": [shown(span.text) for span in spans], "names": [*map(shown, _names(tokenizer))],
            "summary": f"{bits / max(characters, 1):.3f} bits per character of {characters:,}",
            "bits": _wide([100 * span.bits for span in spans]),
            "entropy": _wide([100 * span.entropy for span in spans]), "rank": _wide([span.rank for span in spans]),
            "top": ids.shape[1], "narrow": tokenizer.size < 256,
            "ids": packed(ids.astype("u1").tobytes()) if tokenizer.size < 256 else _wide(ids.ravel()),
            "odds": packed(np.rint(255 * odds).astype(np.uint8).tobytes()),
            "units": _units(units, activations) if units.count else []}


def _names(tokenizer: Tokenizer) -> list[str]:
    return [*map(tokenizer.display, range(tokenizer.size)), "\n"]


def _wide(values: Sequence[float] | np.ndarray) -> str:
    """Return numbers as 16 bits each; the largest number stands for all above it."""
    return packed(np.minimum(np.rint(np.asarray(values, np.float64)), 65535).astype("<u2").tobytes())


def _units(units: Activations, activations: np.ndarray) -> list[dict[str, str]]:
    """Return the UNITS cells that answer a built-in question best, each with its question and its activations."""
    best: dict[str, tuple[float, str]] = {}
    for name, mask in QUESTIONS.items():
        for unit, area in units.ranked(mask, activations.shape[1]):
            side = "high" if area >= 0.5 else "low"
            best[unit] = max(best.get(unit, (0.0, "")), (max(area, 1 - area), f"{name}, {side} inside"))
    chosen = sorted(best, key=lambda unit: -best[unit][0])[:UNITS]
    order = {name: number for number, name in enumerate(units.names)}
    return [{"name": unit, "about": f"{best[unit][1]}, area {best[unit][0]:.3f}",
             "values": _half_bytes(activations[:, order[unit]])} for unit in chosen]


def _half_bytes(values: np.ndarray) -> str:
    """Return activations from -1 to 1 as 0 … 14, two a byte; larger ones, of a relu, are scaled down."""
    values = np.nan_to_num(values) / max(1.0, float(np.nanmax(np.abs(values), initial=0)))
    steps = np.zeros(len(values) + len(values) % 2, np.uint8)
    steps[:len(values)] = np.rint(values * _LEVELS) + _LEVELS
    return packed((steps[::2] | steps[1::2] << 4).tobytes())
