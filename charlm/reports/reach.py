"""A plot of how far back gradients reach: one curve a model, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

from charlm.reports.curves import Scale, resample
from charlm.reports.visible import visible

HEIGHT = 16                             # lines
FLOOR = 1e-12                           # of the norms that are drawn, relative to the largest
_TICK = 8                               # characters of a label of the vertical axis
_MARKS, _ASCII_MARKS = "●▲■◆▼○△□", "ox+*#%@&"
# Apart for colour-blind eyes as well (Okabe and Ito 2008).
_COLOURS = (75, 214, 36, 180, 227, 166, 111, 250)
_RESET = "\x1b[0m"


def plot_reach(names: Sequence[str], norms: Sequence[Sequence[float]], *, width: int, unicode: bool = True,
               colours: bool = False) -> str:
    """Return one picture of the norms, each a sequence by steps before the loss, and a table of them."""
    marks, edge, floor, corner = (_MARKS, "│", "─", "└") if unicode else (_ASCII_MARKS, "|", "-", "+")
    signs = [_paint(marks[at % len(marks)], at, colours=colours) for at in range(len(names))]
    last, size = max(map(len, norms)), max(width - _TICK - 2, 16)
    size = min(size, max(last, 16), 120)
    largest = max(max(values) for values in norms) or 1.0
    scale = Scale([max(value, largest * FLOOR) for values in norms for value in values] or [1.0])
    cells = [[" "] * size for _ in range(HEIGHT)]
    for at, values in enumerate(norms):
        raised = [max(value, largest * FLOOR) for value in values]
        for column, value in enumerate(resample(range(1, len(raised) + 1), raised, size, first=1, last=last)):
            if value is not None:
                cells[round((1 - scale(value)) * (HEIGHT - 1))][column] = signs[at]
    lines = []
    for row, drawn in enumerate(cells):
        label = f"{scale.value(1 - row / (HEIGHT - 1)):.0e}" if row % 3 == 0 else ""
        lines.append(f"{label:>{_TICK - 1}} {edge}{''.join(drawn)}".rstrip())
    axis = f"1{f'{last} steps before the loss':>{size - 1}}"
    lines += [" " * _TICK + corner + floor * size, " " * (_TICK + 1) + axis, ""]
    return "\n".join(lines) + "\n" + _table(names, signs, norms)


def _paint(mark: str, at: int, *, colours: bool) -> str:
    return f"\x1b[38;5;{_COLOURS[at % len(_COLOURS)]}m{mark}{_RESET}" if colours else mark


def _table(names: Sequence[str], signs: Sequence[str], norms: Sequence[Sequence[float]]) -> str:
    """Return each model's norm at a few distances."""
    distances = [step for step in (1, 5, 10, 20, 50, 100, 200) if step <= max(map(len, norms))]
    wide = max(len(visible(name)) for name in names)
    head = " " * (wide + 2) + "".join(f"{step:>10}" for step in distances)
    rows = [f"{sign} {visible(name):<{wide}}" + "".join(f"{_cell(values, step):>10}" for step in distances)
            for name, sign, values in zip(names, signs, norms, strict=True)]
    return "\n".join([head, *rows]) + "\n"


def _cell(values: Sequence[float], step: int) -> str:
    return f"{values[step - 1]:.1e}" if step <= len(values) and math.isfinite(values[step - 1]) else ""
