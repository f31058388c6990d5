"""One HTML page that shows what a model sees: it holds its own style, script and data, and requests nothing.

The data is JSON in a script element. Arrays are base64 of small integers, so that 20,000 characters with their ten
likeliest guesses and 64 units take under 2 MB.
"""

from __future__ import annotations

import base64
import html
import json
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from charlm.reports.visible import visible

if TYPE_CHECKING:
    import numpy as np

_MAX_WORD = 65535                       # of an unsigned integer of two bytes
_MAX_GUESS_BITS = 20.0                  # guesses below a probability of 2^-20 are shown as that
_UNIT_LEVELS = 7                        # from 0 to the largest activation


@dataclass(frozen=True)
class TextPanel:
    """A text token by token, with what the model predicted at each."""

    tokens: Sequence[str]               # T texts
    bits: np.ndarray                    # (T,) surprisal
    entropy: np.ndarray                 # (T,) of the prediction, in bits
    rank: np.ndarray                    # (T,) of the token among the guesses, from 1
    guesses: np.ndarray                 # (T, K) ids of the likeliest tokens
    probabilities: np.ndarray           # (T, K)
    names: Sequence[str]                # the text of each id
    units: Sequence[tuple[str, np.ndarray]] = ()        # names, and activations (T,)


@dataclass(frozen=True)
class CurvesPanel:
    """The course of a run: points (step, nats per token), and samples by step."""

    loss: Sequence[tuple[int, float]]
    held_out: Sequence[tuple[int, float]]
    samples: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True)
class Alignment:
    """One translation: which source tokens the decoder attended to, and its n best targets with their bits."""

    source: Sequence[str]               # S texts
    target: Sequence[str]               # T texts
    weights: np.ndarray                 # (T, S); a row sums to one
    best: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class ConfusionPanel:
    """The number of lines of each label that were given each label."""

    labels: Sequence[str]
    counts: np.ndarray                  # (L, L): true label, chosen label


def render_page(title: str, subtitle: str, *, text: TextPanel | None = None, curves: CurvesPanel | None = None,
                alignments: Sequence[Alignment] = (), confusion: ConfusionPanel | None = None) -> str:
    """Return the page with a section for each panel that is given. No text in it can become markup."""
    data = {"text": text and _text(text), "curves": curves and _curves(curves),
            "alignments": [_alignment(one) for one in alignments] or None,
            "confusion": confusion and {"labels": [*map(visible, confusion.labels)],
                                        "counts": confusion.counts.tolist()}}
    assets = resources.files("charlm.reports") / "assets"
    template, style, script = ((assets / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return Template(template).substitute(title=html.escape(visible(title)), subtitle=html.escape(visible(subtitle)),
                                         style=style, script=script, data=_json(data))


def _json(data: Any) -> str:
    """Return JSON that cannot end the script element that holds it."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _text(panel: TextPanel) -> dict[str, Any]:
    import numpy as np
    ids, guesses = np.unique(panel.guesses, return_inverse=True)
    costs = np.minimum(-np.log2(np.maximum(panel.probabilities, 1e-30)), _MAX_GUESS_BITS)
    before = ["\n", *panel.tokens]
    # A combining mark at the beginning of a line would be invisible without a letter.
    return {"tokens": [("◌" if last.endswith("\n") and unicodedata.category(token[:1] or " ")[0] == "M" else "")
                       + shown(token) for last, token in zip(before, panel.tokens, strict=False)],
            "bits": _words(256 * panel.bits), "entropy": _words(256 * panel.entropy), "rank": _words(panel.rank),
            "names": [_symbol(panel.names[index]) for index in ids], "width": panel.guesses.shape[1],
            "guesses": _packed(guesses.reshape(-1), "<u2" if len(ids) > 256 else "u1"),
            # The square root gives probabilities near one more of the 256 values.
            "chances": _packed(np.rint(255 * np.sqrt(costs / _MAX_GUESS_BITS)).reshape(-1), "u1"),
            "units": [{"name": name, "values": _nibbles(values)} for name, values in panel.units]}


def shown(text: str) -> str:
    """Return a text with visible control characters; a line break is a symbol and a line break."""
    return _symbol(text) + "\n" * text.count("\n")


def _symbol(token: str) -> str:
    return visible(token).replace("\n", "↵").replace("\t", "⇥")


def _words(values: np.ndarray) -> str:
    import numpy as np
    return _packed(np.clip(np.rint(np.nan_to_num(values, nan=_MAX_WORD)), 0, _MAX_WORD), "<u2")


def _packed(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode("ascii")


def _nibbles(values: np.ndarray) -> str:
    """Return activations as levels 0 to 14, 7 for zero, two to a byte, the first in the lower half."""
    import numpy as np
    largest = max(1.0, float(np.abs(values).max(initial=0.0)))          # those of relu have no bound
    levels = np.rint(_UNIT_LEVELS * values / largest).astype(np.uint8) + np.uint8(_UNIT_LEVELS)
    if len(levels) % 2:
        levels = np.append(levels, np.uint8(0))
    return _packed(levels[0::2] | levels[1::2] << 4, "u1")


def _curves(panel: CurvesPanel) -> dict[str, Any]:
    def points(pairs: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
        return [(step, round(loss, 5)) for step, loss in pairs if math.isfinite(loss) and loss > 0]

    return {"loss": points(panel.loss), "heldOut": points(panel.held_out),
            "samples": [(step, visible(text)) for step, text in panel.samples]}


def _alignment(one: Alignment) -> dict[str, Any]:
    return {"source": [*map(_symbol, one.source)], "target": [*map(_symbol, one.target)],
            "weights": [[round(float(weight), 3) for weight in row] for row in one.weights],
            "best": [(visible(text), round(bits, 4)) for text, bits in one.best]}
