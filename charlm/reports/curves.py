"""Training curves as text: one-line sparklines, plots of several runs side by side, and a table for pipes.

Scales of losses are logarithmic.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from charlm.history import Floats, HeldOut, History, Steps
from charlm.reports.visible import visible

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.:-=+*#"
COLUMNS = ("model", "step", "loss", "held_out", "bits_per_character", "error_rate", "gradient_norm", "learning_rate",
           "seconds")
MIN_PANEL, MAX_PANEL = 24, 110          # characters
HEIGHT = 13                             # lines of a plot, without its axis
_TICK = 7                               # characters of a label of the vertical axis
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))       # of a braille pattern, by row and column
_BLUE, _ORANGE, _RESET = "\x1b[38;5;75m", "\x1b[1;38;5;214m", "\x1b[0m"        # apart for colour-blind eyes as well

Values = Sequence[float | None]


def format_duration(seconds: float) -> str:
    """Return seconds as minutes, or hours, to the second.

    >>> format_duration(65), format_duration(3600)
    ('1:05', '1:00:00')
    """
    whole = max(int(seconds + 0.5), 0)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


class Scale:
    """A mapping of values to 0...1: logarithmic if all of them are positive, otherwise linear."""

    def __init__(self, values: Sequence[float], *, logarithmic: bool = True):
        self._logarithmic = logarithmic and min(values) > 0
        self.low, self.high = min(values), max(values)
        self._start = self._of(self.low)
        self._span = self._of(self.high) - self._start or 1.0

    def _of(self, value: float) -> float:
        return math.log(value) if self._logarithmic else value

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        return min(max((self._of(value) - self._start) / self._span, 0.0), 1.0)

    def value(self, place: float) -> float:
        """Return the value at a place: the inverse."""
        at = self._start + place * self._span
        return math.exp(at) if self._logarithmic else at


def sparkline(values: Sequence[float], width: int, *, logarithmic: bool = False) -> str:
    """Return at most `width` bars for the finite values, averaged in groups of about equal size.

    >>> sparkline([0, 1, 2, 3], 4)
    '▁▃▆█'
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite or width < 1:
        return ""
    count = min(width, len(finite))
    edges = [len(finite) * index // count for index in range(count + 1)]
    means: list[float | None] = [sum(finite[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    return bars(means, Scale([mean for mean in means if mean is not None], logarithmic=logarithmic))


def bars(values: Values, scale: Scale, *, symbols: str = BARS) -> str:
    """Return a bar for each value, and a space for None."""
    return "".join(" " if value is None else symbols[round(scale(value) * (len(symbols) - 1))] for value in values)


def resample(steps: Sequence[int], values: Sequence[float], width: int, *, first: int, last: int) -> list[float | None]:
    """Return the mean of the values in each of `width` equal parts of the steps; None where a part has none.

    >>> resample([1, 2, 9], [4.0, 2.0, 1.0], 3, first=1, last=9)
    [3.0, None, 1.0]
    """
    sums, counts = [0.0] * width, [0] * width
    for step, value in zip(steps, values, strict=True):
        if math.isfinite(value):
            column = min((step - first) * width // (last - first + 1), width - 1)
            sums[column] += value
            counts[column] += 1
    return [total / count if count else None for total, count in zip(sums, counts, strict=True)]


def held(values: Values) -> list[float | None]:
    """Return the values with each None replaced by the value before.

    >>> held([None, 3.0, None, 1.0])
    [None, 3.0, 3.0, 1.0]
    """
    result: list[float | None] = []
    for value in values:
        result.append(result[-1] if value is None and result else value)
    return result


def interpolated(values: Values) -> list[float | None]:
    """Return the values with each None between two of them replaced by a point on the line between these.

    >>> interpolated([None, 3.0, None, 1.0])
    [None, 3.0, 2.0, 1.0]
    """
    result, known = list(values), [(at, value) for at, value in enumerate(values) if value is not None]
    for (start, low), (stop, high) in itertools.pairwise(known):
        for at in range(start + 1, stop):
            result[at] = low + (high - low) * (at - start) / (stop - start)
    return result


def _ends(history: History) -> tuple[int, int]:
    """Return the first and the last step of a history that is not empty."""
    ends = [int(steps[index]) for steps in (history.steps, history.held_out_steps) if len(steps) for index in (0, -1)]
    return min(ends), max(ends)


def sparklines(history: History, width: int) -> tuple[str, str, str]:
    """Return three curves above each other, step by step: losses in training, held-out losses, held-out error rates.

    The losses are on one logarithmic scale. A curve without values is empty.
    """
    if not len(history.steps) + len(history.held_out_steps):
        return "", "", ""
    first, last = _ends(history)
    width = max(min(width, last - first + 1), 1)

    def row(steps: Steps, values: Floats) -> list[float | None]:
        return held(resample(steps.tolist(), values.tolist(), width, first=first, last=last))

    losses = [row(history.steps, history.loss), row(history.held_out_steps, history.held_out_loss)]
    scale = Scale([value for values in losses for value in values if value is not None])
    rates = history.held_out_error_rate
    wrong = row(history.held_out_steps, rates) if len(rates) else []
    return (bars(losses[0], scale).rstrip(), bars(losses[1], scale).rstrip(),
            bars(wrong, Scale(rates.tolist(), logarithmic=False)) if wrong else "")


# Plots


@dataclass(frozen=True)
class Run:
    """A run to plot: its name and its history."""

    name: str
    history: History

    @property
    def losses(self) -> list[float]:
        """All losses that are drawn."""
        return [*self.history.loss.tolist(), *self.history.held_out_loss.tolist()]


def plots(runs: Sequence[Run], *, width: int, unicode: bool = True, colours: bool = False) -> str:
    """Return plots of the runs side by side on one scale of losses, with a legend and a table of their figures.

    The width is that of the terminal, in characters. Where it does not suffice, plots continue below.
    """
    drawn = [run for run in runs if run.losses]
    blocks = []
    if drawn:
        scale = Scale([value for run in drawn for value in run.losses if math.isfinite(value)])
        beside = max(min(len(drawn), (width - _TICK) // (MIN_PANEL + 2)), 1)
        size = max(min((width - _TICK) // beside - 2, MAX_PANEL), 8)
        for start in range(0, len(drawn), beside):
            blocks.append(_row(drawn[start:start + beside], scale, size, unicode=unicode, colours=colours))
        blocks.append(_legend(unicode=unicode, colours=colours))
    return "\n".join([*blocks, _figures(runs, unicode=unicode)])


def _row(runs: Sequence[Run], scale: Scale, size: int, *, unicode: bool, colours: bool) -> str:
    """Return plots beside each other, the axis of losses at their left."""
    panels = [_Panel(run, scale, size, unicode=unicode) for run in runs]
    edge, floor, corner = ("│", "─", "└") if unicode else ("|", "-", "+")
    lines = [" " * _TICK + "".join(f"  {_fitted(panel.title, size, unicode=unicode)}" for panel in panels).rstrip()]
    for row in range(HEIGHT):
        label = f"{scale.value(1 - row / (HEIGHT - 1)):>{_TICK - 1}.3g} " if row % 3 == 0 else " " * _TICK
        lines.append(label + "".join(f" {edge}{panel.line(row, colours=colours)}" for panel in panels).rstrip())
    lines.append(" " * _TICK + "".join(f" {corner}{floor * size}" for _ in panels))
    lines.append((" " * _TICK + "".join(f"  {panel.axis()}" for panel in panels)).rstrip())
    return "\n".join(lines) + "\n"


class _Panel:
    """One run on a grid of characters: a fine line for training, marks for validations."""

    def __init__(self, run: Run, scale: Scale, size: int, *, unicode: bool):
        self.title, self._size, self._unicode = visible(run.name), size, unicode
        history = run.history
        self._first, self._last = _ends(history)
        across, down = (2, 4) if unicode else (1, 1)
        self._cells = [[0] * size for _ in range(HEIGHT)]
        means = interpolated(resample(history.steps.tolist(), history.loss.tolist(), size * across, first=self._first,
                                      last=self._last))
        before = None
        for x, value in enumerate(means):
            if value is not None:
                y = round((1 - scale(value)) * (HEIGHT * down - 1))
                for at in _between(y if before is None else before, y):
                    self._cells[at // down][x // across] |= _DOTS[at % down][x % across] if unicode else 1
                before = y
        self._marks = {self._mark(step, value, scale) for step, value in
                       zip(history.held_out_steps.tolist(), history.held_out_loss.tolist(), strict=True)}

    def _mark(self, step: int, value: float, scale: Scale) -> tuple[int, int]:
        column = min((step - self._first) * self._size // (self._last - self._first + 1), self._size - 1)
        return round((1 - scale(value)) * (HEIGHT - 1)), column

    def line(self, row: int, *, colours: bool) -> str:
        """Return one line of the plot."""
        fine, mark = _symbols(unicode=self._unicode)
        cells = []
        for column, dots in enumerate(self._cells[row]):
            if (row, column) in self._marks:
                cells.append(_painted(mark, _ORANGE, colours=colours))
            elif dots:
                cells.append(_painted(chr(0x2800 + dots) if self._unicode else fine, _BLUE, colours=colours))
            else:
                cells.append(" ")
        return "".join(cells)

    def axis(self) -> str:
        """Return the numbers below the plot."""
        first, last = f"{self._first:,}", f"{self._last:,} steps"
        return first + last.rjust(self._size - len(first)) if self._last > self._first else first.ljust(self._size)


def _between(start: int, stop: int) -> range:
    """Return the numbers that lead from one to another, without the first unless it is the only one.

    >>> [*_between(3, 6)], [*_between(3, 1)], [*_between(3, 3)]
    ([4, 5, 6], [1, 2], [3])
    """
    return range(start + 1, stop + 1) if stop > start else range(stop, max(start, stop + 1))


def _symbols(*, unicode: bool) -> tuple[str, str]:
    return ("⣀", "●") if unicode else (".", "o")


def _painted(text: str, colour: str, *, colours: bool) -> str:
    return f"{colour}{text}{_RESET}" if colours else text


def _fitted(text: str, size: int, *, unicode: bool) -> str:
    """Return a text padded to a width; of one that is too long, its end."""
    dots = "…" if unicode else "..."
    return text.ljust(size) if len(text) <= size else dots + text[len(text) - size + len(dots):]


def _legend(*, unicode: bool, colours: bool) -> str:
    fine, mark = _symbols(unicode=unicode)
    return (f"{' ' * _TICK}  {_painted(fine, _BLUE, colours=colours)} training   "
            f"{_painted(mark, _ORANGE, colours=colours)} held out   nats per token, logarithmic\n")


def _figures(runs: Sequence[Run], *, unicode: bool) -> str:
    """Return an aligned table of the last and the best figures of each run."""
    errors = any(len(run.history.held_out_error_rate) for run in runs)
    head = ["model", "steps", "time", "loss", "held out", "best", "at step", "bits/char"] + ["wrong"] * errors
    table = [head, *(_figures_of(run)[:len(head)] for run in runs)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    none = "–" if unicode else "-"
    lines = [[row[0].ljust(widths[0]), *((cell or none).rjust(size) for cell, size in
                                         zip(row[1:], widths[1:], strict=True))] for row in table]
    return "".join("  ".join(line) + "\n" for line in lines)


def _figures_of(run: Run) -> list[str]:
    """Return the cells of a run's line; those that it has no figures for are empty."""
    history, name = run.history, visible(run.name)
    points, validations = history.points(), history.validations()
    last = max([*(point.step for point in points[-1:]), *(row.step for row in validations[-1:])], default=0)
    cells = [name, f"{last:,}" if last else "", format_duration(points[-1].seconds) if len(history.seconds) else "",
             f"{points[-1].loss:.4f}" if points else ""]
    if not validations:
        return [*cells, "", "", "", "", ""]
    best = best_validation(history)
    wrong = "" if best.error_rate is None else f"{100 * best.error_rate:.2f} %"
    return [*cells, f"{validations[-1].loss:.4f}", f"{best.loss:.4f}", f"{best.step:,}",
            f"{best.bits_per_character:.4f}", wrong]


def best_validation(history: History) -> HeldOut:
    """Return the validation by which the model was chosen: that with the fewest errors, then with the lowest loss."""
    return min(history.validations(), key=lambda row: (row.error_rate or 0.0, row.loss))


# A table for pipes


def table(runs: Sequence[Run]) -> Iterator[str]:
    """Yield the lines of a tab-separated table of COLUMNS, with a header; missing values are empty.

    COLUMNS are followed by the gradient norms of all layers in the runs.
    """
    layers = list(dict.fromkeys(layer for run in runs for layer in run.history.layer_names))
    yield "\t".join([*COLUMNS, *(f"gradient_norm_{layer.replace(' ', '_')}" for layer in layers)]) + "\n"
    for run in runs:
        name = visible(run.name).replace("\t", " ").replace("\n", " ")
        points = {point.step: point for point in run.history.points()}
        validations = {row.step: row for row in run.history.validations()}
        norms = {step: dict(zip(run.history.layer_names, row, strict=True)) for step, row in run.history.layers()}
        timed = len(run.history.seconds) > 0
        for step in sorted({*points, *validations, *norms}):
            point, held_out = points.get(step), validations.get(step)
            cells = (point and point.loss, held_out and held_out.loss, held_out and held_out.bits_per_character,
                     held_out and held_out.error_rate, point and point.gradient_norm, point and point.learning_rate,
                     point and point.seconds if timed else None,
                     *(norms.get(step, {}).get(layer) for layer in layers))
            yield "\t".join([name, str(step), *("" if cell is None else f"{cell:.6g}" for cell in cells)]) + "\n"
