"""Peak memory of `charlm train` and `charlm score` on a long and on a short text, with the same flags.

Run it by hand: `python tests/benchmarks/memory.py`. It never fails on size or time. It does not import torch: the peak
that the kernel reports for a child is at least the memory of its parent when the child started.
"""

from __future__ import annotations

import operator
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable

from timing import Row, Series, compare, parse_arguments, print_table, write_text

MEGABYTE = 1_000_000
TRAIN_SIZES, QUICK_TRAIN_SIZES = (300, 3), (20, 2)      # megabytes of the long and of the short text
SCORE_SIZES, QUICK_SCORE_SIZES = (200, 2), (0.2, 0.05)
LINE_SIZES, QUICK_LINE_SIZES = (5, 0.05), (0.05, 0.01)  # of a text that is a single line
HELD_OUT_BYTES = 20_000
STEPS, QUICK_STEPS = 200, 5
BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024    # of ru_maxrss
CHARLM = (sys.executable, "-m", "charlm")


def peak_memory(command: tuple[str, ...], directory: str, *, stdin: str | None = None) -> float:
    """Run a command, with the file `stdin` piped into it; return its peak memory in megabytes.

    Raises RuntimeError if the command fails.
    """
    feeder = subprocess.Popen(("cat", stdin), stdout=subprocess.PIPE) if stdin else None
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL,
                               stdin=feeder.stdout if feeder else subprocess.DEVNULL)
    if feeder:
        feeder.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if feeder:
        feeder.wait()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[2:4])} ended with exit code {process.returncode}")
    return usage.ru_maxrss * BYTES_PER_UNIT / MEGABYTE


def train(corpus: str, directory: str, *, steps: int, threads: int | None, hidden: int = 64) -> float:
    """Train model.charlm on a corpus; return the peak memory."""
    pinned = ("--threads", str(threads)) if threads else ()
    return peak_memory((*CHARLM, "train", corpus, "--hidden", str(hidden), "--layers", "1", "--steps", str(steps),
                        "--validation", "held-out.txt", "--quiet", "--force", "-o", "model.charlm", *pinned), directory)


def score(text: str, directory: str) -> float:
    """Score the lines of a file with model.charlm, through a pipe; return the peak memory."""
    return peak_memory((*CHARLM, "score", "-m", "model.charlm"), directory, stdin=text)


def compare_peaks(benchmark: str, target: str, measure: Callable[[str], float], paths: tuple[str, ...],
                  repeats: int) -> Row:
    """Return by how many megabytes the peak for the first file exceeds that for the second."""
    peaks: list[list[float]] = [[], []]
    for _ in range(repeats):
        for path, values in zip(paths, peaks, strict=True):
            values.append(measure(path))
    long, short = (Series(os.path.basename(path), values, "MB") for path, values in zip(paths, peaks, strict=True))
    return compare(benchmark, target, long, short, operator.sub)


def write_texts(directory: str, name: str, sizes: tuple[float, float], *, one_line: bool = False) -> tuple[str, ...]:
    """Write a text of each size, in megabytes; return their paths."""
    paths = tuple(os.path.join(directory, f"{size}MB-{name}") for size in sizes)
    for path, size in zip(paths, sizes, strict=True):
        write_text(path, int(size * MEGABYTE), one_line=one_line)
    return paths


def measure_all(directory: str, repeats: int, *, quick: bool, threads: int | None) -> list[Row]:
    """Return a row for training, one for scoring lines and one for scoring a single long line."""
    texts = QUICK_TRAIN_SIZES if quick else TRAIN_SIZES
    lines = QUICK_SCORE_SIZES if quick else SCORE_SIZES
    line = QUICK_LINE_SIZES if quick else LINE_SIZES
    steps = QUICK_STEPS if quick else STEPS
    write_text(os.path.join(directory, "held-out.txt"), HELD_OUT_BYTES)
    training = compare_peaks(f"train on {texts[0]} MB: peak MB beyond that on {texts[1]} MB", "<= 100",
                             lambda path: train(path, directory, steps=steps, threads=threads),
                             write_texts(directory, "text", texts), repeats)
    train("held-out.txt", directory, steps=1, threads=threads, hidden=8)
    # Scoring is measured once: 200 MB take even a tiny model a quarter of an hour, and its peak hardly varies.
    return [training,
            compare_peaks(f"score {lines[0]} MB of lines: peak MB beyond that of {lines[1]} MB", "<= 50",
                          lambda path: score(path, directory), write_texts(directory, "lines", lines), 1),
            compare_peaks(f"score one line of {line[0]} MB: peak MB beyond one of {line[1]} MB", "<= 250",
                          lambda path: score(path, directory),
                          write_texts(directory, "line", line, one_line=True), 1)]


def main() -> None:
    """Measure and print the table."""
    arguments = parse_arguments(__doc__, repeats=3, quick_repeats=1)
    with tempfile.TemporaryDirectory() as directory:
        rows = measure_all(directory, arguments.repeats, quick=arguments.quick, threads=arguments.threads)
    print_table(rows, f"rounds: {arguments.repeats}")


if __name__ == "__main__":
    main()
