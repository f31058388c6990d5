"""A series of any length in a limited number of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Row = TypeVar("Row")


class Thinned(Generic[Row]):
    """A series of any length in at most `capacity` rows: its first row, then one row for each stretch of equal length.

    Stretches double in length when the capacity is reached; the last stretch may be incomplete. `merge(a, b, n)`
    returns the row for a stretch of n rows, given the row `a` for its first n - 1 and its last row `b`.
    """

    def __init__(self, capacity: int, merge: Callable[[Row, Row, int], Row]):
        self._capacity, self._merge = capacity, merge
        self.rows: list[Row] = []
        self.count = 0                  # rows added
        self._stretch = 1               # rows summarized by each row after the first

    def add(self, row: Row) -> None:
        """Append a row to the series."""
        if self._starts_stretch() and len(self.rows) == self._capacity:
            self._halve()
        if self._starts_stretch():
            self.rows.append(row)
        else:
            self.rows[-1] = self._merge(self.rows[-1], row, (self.count - 1) % self._stretch + 1)
        self.count += 1

    def _starts_stretch(self) -> bool:
        return self.count == 0 or (self.count - 1) % self._stretch == 0

    def _halve(self) -> None:
        """Merge neighbouring rows."""
        rest = self.rows[1:]
        pairs = [self._merge(one, other, 2) for one, other in zip(rest[::2], rest[1::2], strict=False)]
        self.rows = [self.rows[0], *pairs, *(rest[-1:] if len(rest) % 2 else [])]
        self._stretch *= 2

    def restore(self, rows: list[Row], count: int) -> None:
        """Continue after `count` added rows, thinned to `rows`. Raises ValueError if their number does not fit."""
        self.rows, self.count, self._stretch = list(rows), count, 1
        while self._thinned_count() > self._capacity:
            self._stretch *= 2
        if len(rows) != self._thinned_count():
            raise ValueError(f"{count} rows are thinned to {self._thinned_count()}, not to {len(rows)}")

    def _thinned_count(self) -> int:
        return 1 - -(self.count - 1) // self._stretch if self.count else 0
