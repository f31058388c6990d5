"""Interleaved measuring, and the table that every benchmark here prints.

The machine is taken to be noisy: what is compared is measured in turn, A B A B, in one process or one
loop of processes; each round is scored by itself, so that a slow minute slows both sides, and medians
over the rounds are shown. Not here: what is measured. Nothing here imports NumPy or torch, so that a
benchmark can set their threads first, or stay small.
"""

from __future__ import annotations

import argparse
import operator
import random
import statistics
import string
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

COLUMNS = ("what", "asked", "reached", "middle half", "medians")
ALPHABET = string.ascii_letters + " .,:;!?'-&3\n"          # 64 characters: with <unk> a vocabulary of 65
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Series:
    """Repeated measurements of one thing, in the order they were made."""

    name: str
    values: list[float]
    unit: str = "ms"

    def median(self) -> float:
        return statistics.median(self.values)

    def rate(self, work: float, unit: str) -> Series:
        """Milliseconds for so much work, as work per second."""
        return Series(self.name, [work / value * 1000 for value in self.values], unit)


@dataclass(frozen=True)
class Row:
    """One line of the table, one field a column."""

    what: str
    asked: str
    reached: str
    spread: str
    medians: str

    def cells(self) -> tuple[str, ...]:
        return self.what, self.asked, self.reached, self.spread, self.medians


def arguments(description: str, *, repeats: int, quick: int) -> argparse.Namespace:
    """The flags that every benchmark has; `repeats` is `quick` with --quick unless it is given."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true",
                        help="small sizes and few repeats: shows that it runs, measures nothing")
    parser.add_argument("--repeats", type=int, help=f"rounds of A B A B; default {repeats}")
    parser.add_argument("--threads", type=int, help="threads of torch, in the benchmarks that train")
    given = parser.parse_args()
    given.repeats = given.repeats or (quick if given.quick else repeats)
    return given


def interleaved(calls: dict[str, Callable[[], object]], *, repeats: int,
                warm_up: int = 2) -> dict[str, Series]:
    """Milliseconds of each call, called in turn; the first `warm_up` rounds are thrown away."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(warm_up + repeats):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - began) * 1000)
    return {name: Series(name, values[warm_up:]) for name, values in times.items()}


def compare(what: str, asked: str, subject: Series, baseline: Series,
            score: Callable[[float, float], float] = operator.truediv) -> Row:
    """A row: the rounds' median score, between which scores their middle half lies, the raw medians."""
    rounds = sorted(score(a, b) for a, b in zip(subject.values, baseline.values))
    quarter = len(rounds) // 4
    medians = (f"{series.name} {series.median():.4g} {series.unit}" for series in (subject, baseline))
    return Row(what, asked, f"{statistics.median(rounds):.3g}",
               f"{rounds[quarter]:.3g}..{rounds[-1 - quarter]:.3g}", ", ".join(medians))


def show(rows: Iterable[Row], *notes: str) -> None:
    """Print the notes, then the rows under their names, in columns two spaces apart."""
    table = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table)]
    for note in notes:
        print(note)
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


def write_text(path: str, size: int, *, one_line: bool = False) -> None:
    """A text of `size` bytes over ALPHABET, written in blocks so that memory stays small."""
    letters = ALPHABET.replace("\n", "") if one_line else ALPHABET
    block = "".join(random.Random(0).choices(letters, k=min(size, _BLOCK))).encode("ascii")
    with open(path, "wb") as file:
        for at in range(0, size, len(block)):
            file.write(block[:size - at])
