"""Text coloured by numbers, for a terminal: surprisal, or the activation of one unit; optionally with guesses below.

The text cannot harm the terminal: control characters and overrides of the writing direction are shown as pictures, and
what must stay together, such as a letter and its accents, gets one colour.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from charlm.reports.clusters import clusters, width
from charlm.reports.visible import visible

RGB = tuple[int, int, int]
RESET = "\x1b[0m"
MAX_COLUMN = 12                         # cells of a token in a table of guesses
_NEWLINE, _TAB = "↵", "→   "


@dataclass(frozen=True)
class Scale:
    """Colours of numbers: one for each level, which a step of `step` separates; 0 has none, so that calm text is plain.

    Both scales grow in lightness or in two hues that colour-blind people can tell apart (viridis, and PuOr).
    """

    colours: Mapping[int, RGB]          # by level, a whole number
    step: float

    def level(self, value: float) -> int:
        """Return the level of a number, the nearest that exists; 0 for one that is not finite."""
        if not abs(value) < 1e9:
            return 0 if value != value else max(self.colours) if value > 0 else min(self.colours)
        return min(max(int(value / self.step), min(0, *self.colours)), max(self.colours))

    def legend(self, style: Style) -> str:
        """Return all levels with the numbers at which they begin, in their colours."""
        levels = sorted({0, *self.colours})
        last = {levels[-1]: "+"} if levels[0] == 0 else {}
        return "".join(style.paint(f" {level * self.step:g}{last.get(level, '')} ", self.colours.get(level))
                       for level in levels) + RESET


BITS = Scale(dict(enumerate([(72, 40, 120), (62, 74, 137), (40, 100, 142), (38, 130, 142), (31, 158, 137),
                             (53, 183, 121), (110, 206, 88), (181, 222, 43), (253, 231, 37)], 1)), 1.0)
PROBABILITY = Scale(BITS.colours, 0.1)
ACTIVATION = Scale({-4: (84, 39, 136), -3: (128, 115, 172), -2: (178, 171, 210), -1: (216, 218, 235),
                    1: (254, 224, 182), 2: (253, 184, 99), 3: (224, 130, 20), 4: (179, 88, 6)}, 0.2)


@dataclass(frozen=True)
class Style:
    """The codes of colours on a terminal: with 24 bits, or one of 256."""

    true_colour: bool

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> Style | None:
        """Return the style of a terminal, or None if it has no colours or NO_COLOR says that none are wanted."""
        if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
            return None
        return cls(environ.get("COLORTERM", "") in ("truecolor", "24bit"))

    def paint(self, text: str, background: RGB | None) -> str:
        """Return text on a background, in black or white, whichever is easier to read; None is no background."""
        return _code(self.true_colour, background) + text


@functools.cache
def _code(true_colour: bool, background: RGB | None) -> str:
    if background is None:
        return RESET
    red, green, blue = background
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 128
    if true_colour:
        ink = "255;255;255" if dark else "0;0;0"
        return f"\x1b[38;2;{ink};48;2;{red};{green};{blue}m"
    cube = 16 + 36 * _sixth(red) + 6 * _sixth(green) + _sixth(blue)
    return f"\x1b[38;5;{231 if dark else 16};48;5;{cube}m"


def _sixth(value: int) -> int:
    """Return the nearest of the six levels of a colour cube: 0, 95, 135, 175, 215, 255."""
    return min(range(6), key=lambda level: abs(value - (level and 55 + 40 * level)))


def picture(cluster: str) -> str:
    """Return a cluster so that it is seen and does no harm; a mark without a letter gets a dotted circle.

    >>> picture("\\x1b"), picture("\\u0301"), picture("\\u202e"), picture(" ")
    ('␛', '◌́', '\ufffd', ' ')
    """
    shown = visible(cluster.replace("\n", _NEWLINE).replace("\t", _TAB))
    return "◌" + shown if unicodedata.category(cluster[0]) in ("Mn", "Me", "Mc") else shown


def harmless(text: str) -> str:
    """Return a text with a picture for each of its clusters."""
    return "".join(picture(text[start:stop]) for start, stop in clusters(text))


def coloured(text: str, values: Sequence[float], scale: Scale, style: Style) -> str:
    """Return a text with each cluster on the colour of the sum of its characters' values."""
    parts, painted = [], None
    for start, stop in clusters(text):
        level = scale.level(sum(values[start:stop]))
        shown = picture(text[start:stop])
        parts.append(shown if level == painted else style.paint(shown, scale.colours.get(level)))
        painted = level
        if text[start] == "\n":         # a background must not run to the edge of the terminal
            parts.append(RESET + "\n")
            painted = None
    return "".join(parts) + (RESET if painted is not None else "")


@dataclass(frozen=True)
class Guessed:
    """A token of a text with its value, and what the model held likely in its place."""

    text: str
    value: float
    guesses: Sequence[tuple[str, float]]        # tokens and their probabilities, likeliest first


def table(tokens: Sequence[Guessed], scale: Scale, style: Style, columns: int) -> Iterator[str]:
    """Yield lines of at most `columns` cells: the text, and below each token its guesses, likeliest first."""
    row: list[tuple[Guessed, int]] = []
    used = 0
    for token in tokens:
        size = max(_cells(text) for text in (token.text, *(guess for guess, _ in token.guesses)))
        if row and used + size > columns:
            yield from _rows(row, scale, style)
            row, used = [], 0
        row.append((token, size))
        used += size
    if row:
        yield from _rows(row, scale, style)


def _rows(row: Sequence[tuple[Guessed, int]], scale: Scale, style: Style) -> Iterator[str]:
    yield "".join(style.paint(_padded(token.text, size), scale.colours.get(scale.level(token.value)))
                  for token, size in row) + RESET + "\n"
    for rank in range(max(len(token.guesses) for token, _ in row)):
        yield "".join(style.paint(_padded(guess, size), PROBABILITY.colours.get(PROBABILITY.level(odds)))
                      for token, size in row for guess, odds in token.guesses[rank:rank + 1]) + RESET + "\n"
    yield "\n"


def grid(rows: Sequence[str], columns: Sequence[str], weights: Sequence[Sequence[float]],
         style: Style) -> Iterator[str]:
    """Yield the lines of a table with a coloured field for each weight from 0 to 1, darkest for the least."""
    sizes = [max(_cells(text), 1) + 1 for text in columns]
    head = max(map(_cells, rows), default=0) + 1
    yield " " * head + "".join(_padded(text, size) for text, size in zip(columns, sizes, strict=True)) + "\n"
    for row, values in zip(rows, weights, strict=True):
        yield _padded(row, head) + "".join(
            style.paint(" " * size, PROBABILITY.colours.get(PROBABILITY.level(value)))
            for value, size in zip(values, sizes, strict=True)) + RESET + "\n"


def _shown(text: str) -> tuple[str, int]:
    """Return a token in at most MAX_COLUMN cells, and how many it takes."""
    shown, cells = "", 0
    for start, stop in clusters(text):
        part = picture(text[start:stop])
        size = width(part) if stop - start > 1 or len(part) == 1 else len(part)
        if cells + size > MAX_COLUMN:
            break
        shown, cells = shown + part, cells + size
    return shown, cells


def _cells(text: str) -> int:
    return _shown(text)[1]


def _padded(text: str, size: int) -> str:
    shown, cells = _shown(text.replace("\t", "⇥"))
    return shown + " " * (size - cells)
