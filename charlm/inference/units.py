"""A search for units that tell the inside of something from its outside, by the area under the ROC curve."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from charlm.contract import BoolArray, FloatArray, IntArray
from charlm.errors import OptionError
from charlm.inference.trace import Span, Trace
from charlm.text.tokenizers.base import NEWLINE

# An opening quote belongs to the inside, the closing one does not: after it a unit should have changed.
_QUOTES = re.compile(r"\"[^\"]*(?=\")\"|“[^”]*(?=”)|«[^»]*(?=»)|„[^“”]*(?=[“”])|「[^」]*(?=」)")
_URL = re.compile(r"(?:https?|ftp|file)://[^\s<>\"]+|\bwww\.[^\s<>\"]+")
_CLOSING = {")": "(", "]": "[", "}": "{"}


def areas_under_curve(values: FloatArray, inside: BoolArray) -> FloatArray:
    """Return for each unit (U,) how often its value (T, U) inside exceeds one outside, ties counted half.

    0.5 tells nothing, 1 separates, and so does 0, with low values inside. It is the statistic of Mann and Whitney 1947
    over its maximum.
    """
    found, others = values[inside], values[~inside]
    areas = np.empty(values.shape[1])
    for unit in range(values.shape[1]):
        outside = np.sort(others[:, unit])
        below = np.searchsorted(outside, found[:, unit], "left") + np.searchsorted(outside, found[:, unit], "right")
        areas[unit] = below.sum() / (2 * len(found) * len(outside))
    return areas


class Activations:
    """The activations of units along a text."""

    def __init__(self) -> None:
        self.count = 0                                  # spans with activations
        self.names: tuple[str, ...] = ()                # of the units
        self._texts: list[str] = []
        self._places: list[IntArray] = []               # of the last character of each span
        self._values: list[FloatArray] = []
        self._characters = 0

    def add(self, trace: Trace, spans: Sequence[Span]) -> None:
        """Add the next part of the text. The end of a line, after which no unit is told, counts as text alone."""
        ends = self._characters - 1 + np.cumsum([len(span.text) for span in spans], dtype=np.int64)
        values = trace.units[[span.last for span in spans]]
        kept = ~np.isnan(values).any(axis=1)
        self._texts += [span.text for span in spans]
        self._places.append(ends[kept])
        self._values.append(values[kept])
        self._characters += sum(len(span.text) for span in spans)
        self.count, self.names = self.count + int(kept.sum()), trace.unit_names

    def ranked(self, mask: Callable[[str], BoolArray], count: int) -> list[tuple[str, float]]:
        """Return the units that separate best with their areas; none if the mask separates nothing."""
        inside = mask("".join(self._texts))[np.concatenate(self._places)]
        if inside.all() or not inside.any():
            return []
        areas = areas_under_curve(np.concatenate(self._values), inside)
        order = np.argsort(-np.abs(areas - 0.5), kind="stable")[:count]
        return [(self.names[unit], float(areas[unit])) for unit in order]

    def by_variation(self) -> list[str]:
        """Return all units, those whose activations vary most first."""
        order = np.argsort(-np.concatenate(self._values).std(axis=0), kind="stable") if self.count else ()
        return [self.names[unit] for unit in order]


def matches(pattern: re.Pattern[str], text: str) -> BoolArray:
    """Return a mask (C,) of the characters that belong to a match."""
    mask = np.zeros(len(text), bool)
    for found in pattern.finditer(text):
        mask[found.start():found.end()] = True
    return mask


def _in_quotes(text: str) -> BoolArray:
    mask = np.zeros(len(text), bool)
    for found in _QUOTES.finditer(text):
        mask[found.start():found.end() - found[0].startswith('"')] = True
    return mask


def _in_brackets(text: str) -> BoolArray:
    """Return a mask of the characters at a depth of at least one; a bracket that closes nothing changes nothing."""
    mask, opened = np.zeros(len(text), bool), []
    for at, character in enumerate(text):
        if character in "([{":
            opened.append(character)
        elif opened and _CLOSING.get(character) == opened[-1]:
            opened.pop()
        mask[at] = bool(opened)
    return mask


def _columns(text: str) -> IntArray:
    """Return the number of characters before each one in its line (C,)."""
    places = np.arange(len(text))
    is_first = np.array([True, *(character == NEWLINE for character in text[:-1])])[:len(text)]
    columns: IntArray = places - np.maximum.accumulate(np.where(is_first, places, 0))
    return columns


def _late_in_line(text: str) -> BoolArray:
    columns = _columns(text)
    late: BoolArray = columns > (np.median(columns) if len(columns) else 0)
    return late


def _of_characters(test: Callable[[str], bool]) -> Callable[[str], BoolArray]:
    return lambda text: np.array([test(character) for character in text], bool)


def _word_starts(text: str) -> BoolArray:
    return matches(re.compile(r"\b\w"), text)


QUESTIONS: dict[str, Callable[[str], BoolArray]] = {
    "quotes": _in_quotes,               # between quotes, the opening one included
    "brackets": _in_brackets,           # at least one bracket is open
    "column": _late_in_line,            # farther from the start of the line than the median
    "word-start": _word_starts,
    "capitals": _of_characters(str.isupper),
    "digits": _of_characters(str.isdigit),
    "urls": lambda text: matches(_URL, text),
}


def question(asked: str) -> Callable[[str], BoolArray]:
    """Return the function from a text to a mask of a built-in question or a regular expression. Raises OptionError."""
    if asked in QUESTIONS:
        return QUESTIONS[asked]
    try:
        pattern = re.compile(asked)
    except re.error as error:
        raise OptionError("find", "--find", f"{asked!r} is not a regular expression: {error}") from None
    return lambda text: matches(pattern, text)
