"""Peak memory of `charlm train` and `charlm score` on much text and on little, with the same flags.

Run it by hand: `python tests/benchmarks/memory.py`. It never fails on size or time. It imports no
torch: a child's peak, as the kernel counts it, is at least what its parent held when it began.
"""

from __future__ import annotations

import operator
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable

from timing import Row, Series, arguments, compare, show, write_text

MEGABYTE = 1_000_000
TRAINED, QUICK_TRAINED = (300, 3), (20, 2)              # megabytes of text: much and little
SCORED, QUICK_SCORED = (200, 2), (0.2, 0.05)
LONG_LINE, QUICK_LONG_LINE = (5, 0.05), (0.05, 0.01)    # of one line
HELD_OUT_BYTES = 20_000
STEPS, QUICK_STEPS = 200, 5
UNIT = 1 if sys.platform == "darwin" else 1024          # bytes of one in ru_maxrss
CHARLM = (sys.executable, "-m", "charlm")


def peak(command: tuple[str, ...], folder: str, *, piped: str | None = None) -> float:
    """Megabytes that a command held at most, a file piped into it; RuntimeError when it fails."""
    feeder = piped and subprocess.Popen(("cat", piped), stdout=subprocess.PIPE)
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL,
                               stdin=feeder.stdout if feeder else subprocess.DEVNULL)
    if feeder:
        feeder.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if feeder:
        feeder.wait()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[2:4])} ended with exit code {process.returncode}")
    return usage.ru_maxrss * UNIT / MEGABYTE


def training(corpus: str, folder: str, *, steps: int, threads: int | None, hidden: int = 64) -> float:
    """Peak of a training on this corpus, which leaves model.charlm."""
    pinned = ("--threads", str(threads)) if threads else ()
    return peak((*CHARLM, "train", corpus, "--hidden", str(hidden), "--layers", "1", "--steps", str(steps),
                 "--validation", "held-out.txt", "--quiet", "--force", "-o", "model.charlm", *pinned), folder)


def scoring(text: str, folder: str) -> float:
    """Peak of scoring the lines of a file that comes through a pipe, with model.charlm."""
    return peak((*CHARLM, "score", "-m", "model.charlm"), folder, piped=text)


def against(what: str, asked: str, measure: Callable[[str], float], paths: tuple[str, str],
            repeats: int) -> Row:
    """How many megabytes the first file needs beyond the second, measured in turn."""
    peaks: list[list[float]] = [[], []]
    for _ in range(repeats):
        for path, values in zip(paths, peaks):
            values.append(measure(path))
    much, little = (Series(os.path.basename(path), values, "MB") for path, values in zip(paths, peaks))
    return compare(what, asked, much, little, operator.sub)


def texts(folder: str, kind: str, sizes: tuple[float, float], *, one_line: bool = False) -> tuple[str, str]:
    """Paths of texts of so many megabytes."""
    paths = tuple(os.path.join(folder, f"{size}MB-{kind}") for size in sizes)
    for path, size in zip(paths, sizes):
        write_text(path, int(size * MEGABYTE), one_line=one_line)
    return paths


def rows(folder: str, repeats: int, *, quick: bool, threads: int | None) -> list[Row]:
    trained, scored, line = (QUICK_TRAINED, QUICK_SCORED, QUICK_LONG_LINE) if quick else (TRAINED, SCORED, LONG_LINE)
    steps = QUICK_STEPS if quick else STEPS
    write_text(os.path.join(folder, "held-out.txt"), HELD_OUT_BYTES)
    table = [against(f"train on {trained[0]} MB: peak MB beyond that on {trained[1]} MB", "<= 100",
                     lambda path: training(path, folder, steps=steps, threads=threads),
                     texts(folder, "text", trained), repeats)]
    training("held-out.txt", folder, steps=1, threads=threads, hidden=8)
    # Once each: even a tiny model needs a quarter of an hour for 200 MB, and its peak hardly varies.
    return [*table,
            against(f"score {scored[0]} MB of lines: peak MB beyond that of {scored[1]} MB", "<= 50",
                    lambda path: scoring(path, folder), texts(folder, "lines", scored), 1),
            against(f"score one line of {line[0]} MB: peak MB beyond one of {line[1]} MB", "<= 250",
                    lambda path: scoring(path, folder), texts(folder, "line", line, one_line=True), 1)]


def main() -> None:
    given = arguments(__doc__, repeats=3, quick=1)
    with tempfile.TemporaryDirectory() as folder:
        table = rows(folder, given.repeats, quick=given.quick, threads=given.threads)
    show(table, f"rounds: {given.repeats}")


if __name__ == "__main__":
    main()
