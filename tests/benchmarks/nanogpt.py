"""The time that charlm needs to pass nanoGPT's recipe for a CPU, as a share of the recipe's time.

Run it by hand on an idle machine: `taskset -c 0,1 python tests/benchmarks/nanogpt.py --threads 2 --corpus TEXT`. On
tinyshakespeare the recipe reached 1.918 nats with the seed used here; `--target 1.886` asks for more. Both are measured
on the last tenth of the text, the recipe in windows of its block, charlm with carried state, as each is used. Only
updates are timed, on both sides: no reading, no import of torch, no validation. charlm's run is a complete one whose
learning rate falls to zero; its length is searched for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from charlm.training.spinning import spin_briefly

spin_briefly()                    # as the command does, and before torch is imported

from timing import Row, Series, compare, parse_arguments, print_table  # noqa: E402

from charlm.text.reading import Text  # noqa: E402
from charlm.text.text_corpus import TextCorpus, build_text_corpus  # noqa: E402
from charlm.training.defaults import resolve  # noqa: E402
from charlm.training.environment import set_up  # noqa: E402
from charlm.training.options import TrainingOptions  # noqa: E402
from charlm.training.trainer import Trainer  # noqa: E402

HERE = Path(__file__).resolve().parent
FERRYWOMAN = HERE.parents[1] / "corpora" / "ferrywoman.txt"
ITERATIONS, QUICK_ITERATIONS = 2000, 30         # of the recipe
SLICE, QUICK_SLICE = 200, 5                     # iterations in a round of the comparison
FIRST_STEPS, QUICK_FIRST_STEPS = 40, 5          # of charlm, in the first try
PRECISION = 1.05                                # ratio of step counts at which the search ends
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")     # settings that the recipe does without


class Recipe:
    """The baseline in a separate process, with torch's default way of waiting for threads."""

    def __init__(self, process: subprocess.Popen, iterations: int, slice_: int):
        self._process, self._scale = process, iterations / slice_
        first = json.loads(process.stdout.readline())
        self.loss, self.seconds, self.threads = first["loss"], first["seconds"], first["threads"]

    def time(self) -> float:
        """Return the seconds of a whole recipe, from those of a slice."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline()) * self._scale


@contextlib.contextmanager
def recipe(corpus: TextCorpus, iterations: int, slice_: int, threads: int) -> Iterator[Recipe]:
    """Run the recipe to its end, and keep it for more rounds."""
    environment = {name: value for name, value in os.environ.items() if name not in WAITING}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tokens.npz")
        np.savez(path, train=tokens(corpus.train), validation=tokens(corpus.validation),
                 vocabulary_size=corpus.tokenizer.size)
        command = [sys.executable, str(HERE / "plain_gpt.py"), path, *map(str, (iterations, slice_, threads))]
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as process:
            yield Recipe(process, iterations, slice_)
            process.stdin.close()


def tokens(cache: object) -> np.ndarray:
    """Return all ids of a token cache."""
    return cache.slice(0, len(cache)).astype(np.int64)


@dataclass(frozen=True)
class Run:
    """A complete run of charlm."""

    steps: int
    loss: float
    seconds: float                      # of its updates


class Charlm:
    """Complete runs of `charlm train CORPUS --steps N`, with the options given."""

    def __init__(self, corpus: TextCorpus, options: dict[str, float]):
        self._corpus, self._options = corpus, options
        self.description = ""

    def run(self, steps: int, *, validate: bool = True) -> Run:
        """Train for this many steps."""
        model, config = resolve("text", TrainingOptions(steps=steps, **self._options), self._corpus)
        trainer = Trainer(self._corpus, model, config, device="cpu")
        self.description = (f"{model.describe()}, batch {config.batch_size}, dropout {config.dropout:g}, precision "
                            f"{getattr(trainer, 'precision', getattr(config, 'precision', 'float32'))}")
        began = time.perf_counter()
        for step in range(steps):
            trainer.update(step)
        seconds = time.perf_counter() - began
        return Run(steps, trainer.validate(lambda: False).loss if validate else float("nan"), seconds)

    def shortest(self, target: float, first: int, limit: float) -> Run:
        """Return the shortest run found that reaches a loss, or the first one that took more than `limit` seconds."""
        low, found = 0, report(self.run(first))
        while found.loss > target and found.seconds < limit:
            low, found = found.steps, report(self.run(found.steps * 2))
        while low and found.steps > PRECISION * low and found.loss <= target:
            middle = report(self.run(round((low * found.steps) ** 0.5)))
            if middle.loss <= target:
                found = middle
            else:
                low = middle.steps
        return found


def report(run: Run) -> Run:
    """Print a run; return it."""
    print(f"charlm, {run.steps} steps: {run.loss:.4f} nats in {run.seconds:.2f} s", flush=True)
    return run


def measure(charlm: Charlm, baseline: Recipe, found: Run, target: float, repeats: int) -> Row:
    """Time the run that was found and the recipe in turn."""
    ours, theirs = [], []
    for _ in range(repeats):
        theirs.append(baseline.time())
        ours.append(charlm.run(found.steps, validate=False).seconds)
    reached = "reaches" if found.loss <= target else "does not reach"
    return compare(f"charlm {reached} {target:.4f} nats: its time over the recipe's", "<= 0.0667",
                   Series("charlm", ours, "s"), Series("recipe", theirs, "s"))


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the text and for charlm's run."""
    parser.add_argument("--corpus", default=str(FERRYWOMAN), help="text file; default: corpora/ferrywoman.txt")
    parser.add_argument("--target", type=float, help="loss for charlm to reach; default: the recipe's in this run")
    parser.add_argument("--hidden", type=int, help="charlm's --hidden; default: by the corpus")
    parser.add_argument("--batch-size", type=int, help="charlm's --batch-size; default: by the corpus")
    parser.add_argument("--dropout", type=float, default=0.0, help="charlm's --dropout; default: 0, for a short run")


def main() -> None:
    """Measure and print the table."""
    arguments = parse_arguments(__doc__, repeats=3, quick_repeats=1, more=add_flags)
    iterations, slice_, first = ((QUICK_ITERATIONS, QUICK_SLICE, QUICK_FIRST_STEPS) if arguments.quick else
                                 (ITERATIONS, SLICE, FIRST_STEPS))
    threads = set_up(arguments.threads)
    corpus = build_text_corpus([Text(arguments.corpus)])
    given = {"hidden_size": arguments.hidden, "batch_size": arguments.batch_size, "dropout": arguments.dropout}
    charlm = Charlm(corpus, {name: value for name, value in given.items() if value is not None})
    with recipe(corpus, iterations, slice_, threads) as baseline:
        print(f"recipe, {iterations} iterations: {baseline.loss:.4f} nats in {baseline.seconds:.2f} s", flush=True)
        target = baseline.loss if arguments.target is None else arguments.target
        found = charlm.shortest(target, first, baseline.seconds)
        row = measure(charlm, baseline, found, target, arguments.repeats)
    print_table([row], f"threads: {threads}; {Path(arguments.corpus).name}; charlm: {charlm.description}",
                f"losses: recipe {baseline.loss:.4f}, charlm {found.loss:.4f} nats after {found.steps} steps")


if __name__ == "__main__":
    main()
