"""Numbers of bytes in words."""

from __future__ import annotations

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def format_size(count: float) -> str:
    """Return bytes in the largest fitting unit.

    >>> format_size(999), format_size(1_234), format_size(85_149_000), format_size(2.5e12)
    ('999 B', '1.23 kB', '85.1 MB', '2500 GB')
    """
    for unit, name in _UNITS:
        if count >= unit:
            value = count / unit
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {name}"
    return f"{count:.0f} B"
