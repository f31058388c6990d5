"""A curve in one line of text."""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """At most `width` bars for the finite values, averaged in equal groups, low to high.

    >>> sparkline([0, 1, 2, 3], 4)
    '▁▃▆█'
    """
    finite = [value for value in values if abs(value) < float("inf")]
    if not finite or width < 1:
        return ""
    count = min(width, len(finite))
    edges = [len(finite) * place // count for place in range(count + 1)]
    means = [sum(finite[a:b]) / (b - a) for a, b in zip(edges, edges[1:])]
    low, span = min(means), (max(means) - min(means)) or 1.0
    return "".join(_BARS[round((mean - low) / span * (len(_BARS) - 1))] for mean in means)
