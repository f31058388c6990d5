"""The default training step against that of another version of charlm, on idle cores and beside a busy process.

Run it by hand: `python tests/benchmarks/step.py --baseline WORKTREE`, where WORKTREE holds another commit. `--profile`
prints what a step consists of instead. It never fails on time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import Series, compare, print_table, write_text

CORPUS_BYTES, QUICK_CORPUS_BYTES = 1_000_000, 50_000
HIDDEN_SIZE, QUICK_HIDDEN_SIZE = 256, 16
STEPS, WARMUP = 15, 3
BUSY = "while True: pass"
PROFILED = 5                            # steps
UNITS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")


def capability() -> str:
    """Return the widest of the processor's units that matter here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next(line.split() for line in lines if line.startswith("flags"))
    except (OSError, StopIteration):
        return "unknown"
    return next((unit for unit in UNITS if unit in flags), "none of " + ", ".join(UNITS))


def measure_here(corpus_path: str, hidden: int, threads: int, *, profiled: bool) -> None:
    """Print the milliseconds of steps of the charlm that is on the path; with `profiled`, a table of operations."""
    import dataclasses
    import time

    try:
        from charlm.training.spinning import spin_briefly
    except ImportError:                 # an older version
        from charlm.cli.options import spin_briefly
    spin_briefly()
    import torch

    from charlm.config import ModelConfig, TrainingConfig
    from charlm.text.reading import Text
    from charlm.text.text_corpus import build_text_corpus
    from charlm.training import environment
    from charlm.training.trainer import Trainer
    environment.set_up(threads)
    corpus = build_text_corpus([Text(corpus_path)])
    precision = {}
    if "precision" in {field.name for field in dataclasses.fields(TrainingConfig)}:
        precision = {"precision": environment.choose_precision("auto", device="cpu", cell="lstm")}
    run = TrainingConfig(1_000_000, batch_size=32, dropout=0.15, weight_decay=0.1, **precision)
    trainer, times = Trainer(corpus, ModelConfig(corpus.tokenizer.size, hidden_size=hidden), run, device="cpu"), []
    for step in range(WARMUP + STEPS):
        began = time.perf_counter()
        trainer.update(step)
        times.append(1000 * (time.perf_counter() - began))
    if profiled:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            for step in range(PROFILED):
                trainer.update(WARMUP + STEPS + step)
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=44))
    else:
        print(json.dumps(times[WARMUP:]))


def times_of(root: str, corpus: str, hidden: int, threads: int, *flags: str) -> str:
    """Run this file with the charlm of another folder; return what it prints."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")}
    command = [sys.executable, __file__, "--here", corpus, str(hidden), str(threads), *flags]
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          env=environment | {"PYTHONPATH": root}).stdout


def main() -> None:
    """Measure and print the table."""
    import argparse
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baseline", help="folder of another version; default: this one")
    parser.add_argument("--repeats", type=int, default=3, help="processes of each version; default 3")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs")
    parser.add_argument("--profile", action="store_true", help="print the operations of a step of both versions")
    parser.add_argument("--threads", type=int, default=2, help="threads that are compared with one; default 2")
    arguments = parser.parse_args()
    own = str(Path(__file__).resolve().parents[2])
    other = arguments.baseline or own
    more = arguments.threads
    hidden = QUICK_HIDDEN_SIZE if arguments.quick else HIDDEN_SIZE
    with tempfile.TemporaryDirectory() as folder:
        corpus = os.path.join(folder, "corpus.txt")
        write_text(corpus, QUICK_CORPUS_BYTES if arguments.quick else CORPUS_BYTES)
        if arguments.profile:
            for root in (other, own):
                print(root, times_of(root, corpus, hidden, 1, "--profile"), sep="\n")
            return
        rows = []
        for neighbours in (0, 1):
            busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(neighbours)]
            times: dict[tuple[str, int], list[float]] = {(other, more): [], (own, more): [], (own, 0): []}
            try:
                for _ in range(1 if arguments.quick else arguments.repeats):
                    for (root, threads), values in times.items():
                        values += json.loads(times_of(root, corpus, hidden, threads or 1))
            finally:
                for process in busy:
                    process.kill()
            where = "beside a busy process" if neighbours else "on idle cores"
            before = Series("baseline", times.pop((other, more)) if other != own else times[own, more])
            two, one = Series(f"{more} threads", times[own, more]), Series("1 thread", times[own, 0])
            rows += [compare(f"step {where}: over the baseline's", "<= 0.6", two, before),
                     compare(f"step {where}: one thread over two", ">= 1.5", one, two)]
        print_table(rows, f"hidden {hidden}, batch 32, window 64; processor: {capability()}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        measure_here(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), profiled="--profile" in sys.argv)
    else:
        main()
