"""Peak memory of `charlm train` on a large text and on a small one, with the same flags.

Run it by hand: `python tests/benchmarks/memory.py`. It never fails on size or time. It imports no
torch: a child's peak, as the kernel counts it, is at least what its parent held when it began.
"""

from __future__ import annotations

import operator
import os
import subprocess
import sys
import tempfile

from timing import Series, arguments, compare, show, write_text

MEGABYTE = 1_000_000
LARGE, SMALL = 300, 3                   # megabytes of text
QUICK_LARGE, QUICK_SMALL = 20, 2
HELD_OUT_BYTES = 20_000
STEPS, QUICK_STEPS = 200, 5
UNIT = 1 if sys.platform == "darwin" else 1024          # bytes of one in ru_maxrss


def peak(corpus: str, held_out: str, steps: int, threads: int | None) -> float:
    """Megabytes that training on this corpus held at most; RuntimeError when it fails."""
    folder = os.path.dirname(corpus)
    command = [sys.executable, "-m", "charlm", "train", corpus, "--hidden", "64", "--layers", "1",
               "--steps", str(steps), "--validation", held_out, "--quiet", "--force",
               "-o", os.path.join(folder, "model.charlm")]
    if threads:
        command += ["--threads", str(threads)]
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"charlm train ended with exit code {process.returncode}")
    return usage.ru_maxrss * UNIT / MEGABYTE


def main() -> None:
    given = arguments(__doc__, repeats=3, quick=1)
    large, small = (QUICK_LARGE, QUICK_SMALL) if given.quick else (LARGE, SMALL)
    steps = QUICK_STEPS if given.quick else STEPS
    peaks: dict[int, list[float]] = {small: [], large: []}
    with tempfile.TemporaryDirectory() as folder:
        held_out = os.path.join(folder, "held-out.txt")
        write_text(held_out, HELD_OUT_BYTES)
        paths = {size: os.path.join(folder, f"{size}MB.txt") for size in peaks}
        for size, path in paths.items():
            write_text(path, size * MEGABYTE)
        for _ in range(given.repeats):
            for size, path in paths.items():
                peaks[size].append(peak(path, held_out, steps, given.threads))
    series = {size: Series(f"{size} MB text", values, "MB") for size, values in peaks.items()}
    show([compare(f"train on {large} MB: peak MB beyond that on {small} MB", "<= 100",
                  series[large], series[small], operator.sub)], f"rounds: {given.repeats}")


if __name__ == "__main__":
    main()
