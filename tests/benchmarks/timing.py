"""Interleaved measurements, and the table that every benchmark here prints.

Machines are noisy, so the subject and its baseline are measured in turn, A B A B, in one process or one loop of
processes. Each round gives one ratio, so that a slow minute slows both sides; medians over the rounds are shown.

Not here: what is measured. This file imports neither NumPy nor torch, so that a benchmark can set their threads first,
or stay small in memory.
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

COLUMNS = ("benchmark", "target", "result", "quartiles", "medians")
ALPHABET = string.ascii_letters + " .,:;!?'-&3\n"          # 64 characters: with <unk> a vocabulary of 65
_BLOCK_SIZE = 1 << 20                   # bytes


@dataclass(frozen=True)
class Series:
    """Repeated measurements of one thing, in the order in which they were made."""

    name: str
    values: list[float]
    unit: str = "ms"

    def median(self) -> float:
        """Return the median, in `unit`."""
        return statistics.median(self.values)

    def rate(self, work: float, unit: str) -> Series:
        """Convert the milliseconds that an amount of work took to work per second."""
        return Series(self.name, [work / value * 1000 for value in self.values], unit)


@dataclass(frozen=True)
class Row:
    """One line of the table, with one field per column."""

    benchmark: str
    target: str
    result: str
    quartiles: str
    medians: str

    def cells(self) -> tuple[str, ...]:
        """Return the fields in the order of COLUMNS."""
        return self.benchmark, self.target, self.result, self.quartiles, self.medians


def parse_arguments(description: str, *, repeats: int, quick_repeats: int,
                    more: Callable[[argparse.ArgumentParser], object] = lambda parser: None) -> argparse.Namespace:
    """Parse the flags that every benchmark has, and those that `more` adds; --quick has `quick_repeats` rounds."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true",
                        help="small sizes and few repeats: shows that the benchmark runs, measures nothing")
    parser.add_argument("--repeats", type=int, help=f"rounds of A B A B; default {repeats}")
    parser.add_argument("--threads", type=int, help="number of torch threads, in the benchmarks that train")
    more(parser)
    arguments = parser.parse_args()
    arguments.repeats = arguments.repeats or (quick_repeats if arguments.quick else repeats)
    return arguments


def time_interleaved(calls: dict[str, Callable[[], object]], *, repeats: int, warmup: int = 2) -> dict[str, Series]:
    """Return the milliseconds of each call, made in turn; the first `warmup` rounds are discarded."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(warmup + repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1000)
    return {name: Series(name, values[warmup:]) for name, values in times.items()}


def compare(benchmark: str, target: str, subject: Series, baseline: Series,
            score: Callable[[float, float], float] = operator.truediv) -> Row:
    """Return a row: the median and the quartiles of the rounds' scores, and both series' own medians."""
    scores = sorted(score(a, b) for a, b in zip(subject.values, baseline.values, strict=True))
    quarter = len(scores) // 4
    medians = (f"{series.name} {series.median():.4g} {series.unit}" for series in (subject, baseline))
    return Row(benchmark, target, f"{statistics.median(scores):.3g}",
               f"{scores[quarter]:.3g}..{scores[-1 - quarter]:.3g}", ", ".join(medians))


def print_table(rows: Iterable[Row], *notes: str) -> None:
    """Print the notes, then the rows under their headings, in columns two spaces apart."""
    table = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for note in notes:
        print(note)
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def write_text(path: str, size: int, *, one_line: bool = False) -> None:
    """Write a random text of `size` bytes over ALPHABET, in blocks so that memory stays small."""
    letters = ALPHABET.replace("\n", "") if one_line else ALPHABET
    block = "".join(random.Random(0).choices(letters, k=min(size, _BLOCK_SIZE))).encode("ascii")
    with open(path, "wb") as file:
        for start in range(0, size, len(block)):
            file.write(block[:size - start])
