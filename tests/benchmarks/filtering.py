"""Filtering: many lines through a small model with `charlm filter`: speed, memory, and how right the time left is.

Run it by hand on an idle machine: `python tests/benchmarks/filtering.py --megabytes 1000`. It never fails on time.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass

from cores import save_random_model, write_lines
from processes import CHARLM
from timing import Row, parse_arguments, print_table

MEGABYTES, QUICK_MEGABYTES = 30.0, 0.3
HIDDEN_SIZE, QUICK_HIDDEN_SIZE = 64, 16
CHARACTERS = 61                         # of a line, its end included, on average
FIRST_SECONDS = 5.0                     # before which the time left need not be right
LAST_SECONDS = 5.0                      # in which a second of rounding is more than a tenth
UNIT = 1024                             # bytes of ru_maxrss
LEFT = re.compile(r"(?:(\d+):)?(\d+):(\d\d) left")


@dataclass
class Run:
    """One run of the command."""

    seconds: float
    processor_seconds: float
    peak: float                         # megabytes, of the largest process
    predictions: list[tuple[float, float]]          # seconds after the start, and the seconds that were left then


def run(directory: str, name: str, cores: int) -> Run:
    """Filter a file with a pseudo-terminal as stderr."""
    reader, terminal = pty.openpty()
    predictions: list[tuple[float, float]] = []
    began = time.monotonic()
    watch = threading.Thread(target=_watch, args=(reader, began, predictions))
    watch.start()
    command = (*CHARLM, "filter", "-m", "text.charlm", "--max-bpc", "6.05", "--threads", str(cores), name)
    pid = os.fork()
    if not pid:
        os.chdir(directory)
        os.dup2(os.open("kept", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(terminal, 2)
        os.execve(command[0], command, {**os.environ, "TERM": "xterm"})
    os.close(terminal)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - began
    watch.join()
    os.close(reader)
    if status:
        raise RuntimeError(f"charlm filter ended with status {status}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * UNIT / 1e6, predictions)


def _watch(reader: int, began: float, predictions: list[tuple[float, float]]) -> None:
    """Note every time left that is drawn, until the terminal is closed."""
    while True:
        try:
            text = os.read(reader, 4096).decode(errors="replace")
        except OSError:                 # Linux says EIO when the last writer is gone
            return
        for hours, minutes, seconds in LEFT.findall(text):
            predictions.append((time.monotonic() - began, 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)))


def errors(one: Run) -> list[float]:
    """Return by which share of the truth each time left was wrong, past the first seconds and before the last."""
    return [abs(left - (one.seconds - at)) / (one.seconds - at) for at, left in one.predictions
            if at > FIRST_SECONDS and one.seconds - at > LAST_SECONDS] or [0.0]


def row(benchmark: str, target: str, values: list[float], remark: str) -> Row:
    """Return a row of the median and quartiles of some values."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return Row(benchmark, target, f"{statistics.median(ordered):.3g}",
               f"{ordered[quarter]:.3g}..{ordered[-1 - quarter]:.3g}", remark)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--megabytes", type=float, help=f"size of the text; default {MEGABYTES:.0f}")
    parser.add_argument("--layers", type=int, default=1, help="of the model; default 1")


def main() -> None:
    """Measure and print the table."""
    arguments = parse_arguments(__doc__, repeats=1, quick_repeats=1, more=_add_options)
    size = arguments.megabytes or (QUICK_MEGABYTES if arguments.quick else MEGABYTES)
    cores = arguments.threads or 2
    with tempfile.TemporaryDirectory() as directory:
        save_random_model(os.path.join(directory, "text.charlm"), "text",
                          QUICK_HIDDEN_SIZE if arguments.quick else HIDDEN_SIZE, arguments.layers)
        for name, share in (("whole.txt", 1.0), ("tenth.txt", 0.1)):
            write_lines(os.path.join(directory, name), round(1e6 * size * share / CHARACTERS), 20, 100)
        megabytes = os.path.getsize(os.path.join(directory, "whole.txt")) / 1e6
        small = run(directory, "tenth.txt", cores)
        runs = [run(directory, "whole.txt", cores) for _ in range(arguments.repeats)]
    wrong = [error for one in runs for error in errors(one)]
    seconds = statistics.median(one.seconds for one in runs)
    print_table([
        row(f"MB of lines per second, {arguments.layers} x {HIDDEN_SIZE}", ">= 1",
            [megabytes / one.seconds for one in runs], f"{megabytes:.3g} MB, {seconds:.4g} s"),
        row("processor seconds per MB", f"<= {cores}", [one.processor_seconds / megabytes for one in runs],
            f"cores {cores}, of a machine with {os.cpu_count()}"),
        row("peak memory over that of a tenth of the text", "<= 1.1", [one.peak / small.peak for one in runs],
            f"whole {runs[0].peak:.4g} MB, tenth {small.peak:.4g} MB"),
        row("error of the time left, as a share of it", "<= 0.1", wrong,
            f"worst {max(wrong):.3g}, of {len(wrong)} that were drawn")])


if __name__ == "__main__":
    main()
