"""The gradient norm of each layer as a line of bars, which `view --curves` shows below its plots."""

from __future__ import annotations

from charlm.history import History
from charlm.reports.curves import ASCII_BARS, BARS, Scale, bars, held, resample

_FIGURES = 24                           # characters: two spaces, the first and the last norm with an arrow between


def norm_lines(name: str, history: History, *, width: int, unicode: bool) -> str:
    """Return a line for each layer: a curve, the first norm and the last; empty for a history without norms.

    All layers share one logarithmic scale, which shows a gradient that vanishes or explodes from layer to layer.
    """
    steps = history.layer_steps.tolist()
    if not steps:
        return ""
    margin = max(map(len, history.layer_names)) + 4
    size = max(min(width - margin - _FIGURES, steps[-1] - steps[0] + 1), 1)
    columns = [held(resample(steps, norms, size, first=steps[0], last=steps[-1]))
               for norms in history.layer_norms.T.tolist()]
    scale = Scale([value for column in columns for value in column if value is not None])
    symbols, arrow = (BARS, "→") if unicode else (ASCII_BARS, "->")
    lines = [f"{name}: norm of the gradient in each layer, logarithmic"]
    for layer, column, norms in zip(history.layer_names, columns, history.layer_norms.T.tolist(), strict=True):
        lines.append(f"  {layer:{margin - 2}}{bars(column, scale, symbols=symbols)}  "
                     f"{norms[0]:.3g} {arrow} {norms[-1]:.3g}")
    return "\n".join(lines) + "\n"
