"""The held-out loss and errors of lines, labels, pairs and gaps over a grid of settings, one run per core.

    python tests/benchmarks/sweep_examples.py --data DIR --seconds 420 --output sweep.tsv

DIR holds `names.txt`, `surnames.tsv` and `g2p/{hun,kor}_{train,dev}.tsv`; what is missing is left out. Every finished
run appends one line to the output, so that an interrupted sweep loses only the runs under way. A run that would not
end in time, judged by the seconds that similar runs took, is not started.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"             # inherited by the workers, before they import NumPy and torch
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))]

from examples_grid import Job, Source, plan  # noqa: E402

COLUMNS = ("task", "corpus", "examples", "tokens", "hidden", "batch", "passes", "steps", "dropout", "weight_decay",
           "averaging", "seed", "loss", "error_rate", "seconds", "threads", "precision", "label_smoothing",
           "final_loss", "greedy_error_rate", "best_step", "train_seconds")
VALIDATIONS = (0.5, 0.7, 0.85, 1.0)     # of the steps; the best one counts, as in `charlm train`
SAFETY = 1.2                            # on an expected duration
SLOWEST = 3.5e-7                        # seconds per example over width ** GROWTH, before anything is measured
GROWTH = 1.5                            # exponent of the width in the expected time
RESERVE = 4.0                           # seconds at the end in which no run may be under way
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@functools.lru_cache(maxsize=32)
def read_corpus(source: Source) -> Any:
    """Read a corpus as `charlm train` does."""
    from charlm.config import CorpusConfig
    from charlm.registry import CORPORA, implementation
    from charlm.text.corpora import CorpusRequest
    from charlm.text.reading import Text
    held_out = Text(source.held_out) if source.held_out else None
    return implementation(CORPORA, source.task)([Text(source.train)], CorpusRequest(CorpusConfig(), held_out))


def options_of(job: Job, precision: str) -> Any:
    """Return the run's options; the precision only if this charlm has one."""
    from charlm.config import TrainingConfig
    from charlm.training.options import TrainingOptions
    named = {field.name for field in dataclasses.fields(TrainingConfig)}
    if precision == "auto" and "precision" in named:
        from charlm.training.environment import choose_precision
        precision = choose_precision(precision, device="cpu", cell="lstm")
    extra = {"precision": precision} if "precision" in named else {}
    return TrainingOptions(hidden_size=job.hidden, batch_size=job.batch, epochs=job.passes, dropout=job.dropout,
                           weight_decay=job.weight_decay, averaging=job.averaging, seed=job.seed,
                           label_smoothing=job.label_smoothing, **extra)


class Best:
    """The best validation of a run and its weights."""

    def __init__(self) -> None:
        self.metrics, self.weights, self.step = None, None, 0

    def propose(self, trainer: Any, metrics: Any, step: int) -> None:
        """Replace the best by the weights of this step if they are better."""
        if metrics.is_better_than(self.metrics):
            self.metrics, self.weights, self.step = metrics, trainer.export_weights(), step


def train_job(job: Job, precision: str, deadline: float) -> dict[str, Any] | None:
    """Train and measure; return the columns, or None if the deadline (of time.time()) came first."""
    import torch

    from charlm.training.defaults import resolve
    from charlm.training.trainer import Trainer
    began = time.perf_counter()         # the imports, once a worker, say nothing about the run
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    corpus = read_corpus(job.source)
    model, run = resolve(job.source.task, options_of(job, precision), corpus)
    trainer, best = Trainer(corpus, model, run, device="cpu", task=job.source.task), Best()
    due = {max(round(share * run.steps), 1) for share in VALIDATIONS}
    trained = time.perf_counter()
    for step in range(run.steps):
        trainer.update(step)
        if time.time() > deadline:
            return None
        if step + 1 in due:
            final = trainer.validate(lambda: time.time() > deadline)
            best.propose(trainer, final, step + 1)
    if best.metrics is None or time.time() > deadline:
        return None
    trained = time.perf_counter() - trained
    errors = error_rate(corpus, job.source.task, model, run, best.weights)
    return {**vars(job), "task": job.source.task, "corpus": job.source.name, **sizes(job.source.task, corpus),
            "steps": run.steps, "loss": best.metrics.loss, "error_rate": errors, "final_loss": final.loss,
            "greedy_error_rate": best.metrics.error_rate, "best_step": best.step, "train_seconds": trained,
            "seconds": time.perf_counter() - began, "threads": torch.get_num_threads(),
            "precision": getattr(run, "precision", "float32")}


def sizes(task: str, corpus: Any) -> dict[str, int]:
    """Return the examples and tokens to learn from."""
    if task == "fill":
        return {"examples": 1, "tokens": len(corpus.train)}
    return {"examples": len(corpus.lengths), "tokens": int(corpus.lengths.sum())}


def error_rate(corpus: Any, task: str, model: Any, run: Any, weights: dict[str, Any]) -> float | None:
    """Return the share of held-out sources or lines that `charlm eval` counts as wrong; None if the task has none."""
    from charlm.config import CorpusConfig
    from charlm.inference.evaluation import evaluate_pairs
    from charlm.model import LanguageModel
    from charlm.text.special_tokens import label_id
    from charlm.training.checkpoint_state import Run, make_model
    arrays = {name: values.numpy() for name, values in weights.items()}
    made = Run(model, run, task, CorpusConfig(), corpus.metadata(), {})
    language = LanguageModel(make_model(made, corpus, arrays, None))
    if task == "pairs":
        return evaluate_pairs(language.translator(), corpus.validation, beam=5).word_error_rate
    if task != "labels":
        return None
    rows = [corpus.validation[index] for index in range(len(corpus.validation))]
    texts = [text_of(corpus.tokenizer, row[1:-1]) for row in rows]
    found = language.classifier().posteriors(texts).argmax(axis=1)
    return float(sum(row[0] != label_id(corpus.tokenizer, index) for row, index in zip(rows, found, strict=True))
                 / len(rows))


def text_of(tokenizer: Any, ids: Any) -> str:
    """Return the text of ids."""
    decoder = tokenizer.decoder()
    return decoder.push(ids.tolist()) + decoder.flush()


class Durations:
    """Expected seconds of runs, from those of finished ones that are alike."""

    def __init__(self) -> None:
        self._measured: dict[tuple, float] = {}     # seconds per example read, over width ** GROWTH

    def add(self, job: Job, lines: int, seconds: float) -> None:
        """Record the duration of a run over `lines` training lines."""
        rate = seconds / self._work(job, lines)
        for key in self._keys(job):
            self._measured[key] = max(rate, self._measured.get(key, 0.0) * 0.9)

    def expected(self, job: Job, lines: int) -> float:
        """Return the expected seconds, with a margin."""
        rate = next((self._measured[key] for key in self._keys(job) if key in self._measured), SLOWEST)
        return SAFETY * rate * self._work(job, lines)

    @staticmethod
    def _work(job: Job, lines: int) -> float:
        return lines * max(job.passes, 1) * job.hidden ** GROWTH

    @staticmethod
    def _keys(job: Job) -> Iterable[tuple]:
        """Yield the classes of a run, the narrowest first."""
        corpus = (job.source.task, job.source.name)
        return ((*corpus, job.source.lines, job.hidden, job.batch), (*corpus, job.hidden, job.batch),
                (*corpus, job.hidden), corpus, (job.source.task,))


class Sweep:
    """The runs under way and those still to start, until a deadline."""

    def __init__(self, jobs: list[Job], deadline: float, precision: str, output: str):
        self._waiting, self._deadline, self._precision, self._output = jobs, deadline, precision, output
        self._durations, self._running = Durations(), {}
        self._lines = functools.lru_cache(count_lines)
        self.done = self.failed = 0

    def run(self, workers: int) -> None:
        """Keep all workers busy until nothing is left that would end in time."""
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            while self._start(pool, workers) or self._running:
                finished, _ = wait(self._running, timeout=5, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._finish(self._running.pop(future), future)

    def _start(self, pool: ProcessPoolExecutor, workers: int) -> bool:
        """Start runs until all workers are busy; return whether any was started."""
        started = False
        while len(self._running) < workers and (job := self._next()):
            self._running[pool.submit(train_job, job, self._precision, self._deadline)] = job
            started = True
        return started

    def _next(self) -> Job | None:
        """Remove and return the first run that would end in time."""
        left = self._deadline - time.time()
        for index, job in enumerate(self._waiting):
            if left > RESERVE and self._durations.expected(job, self._lines(job.source.train)) < left:
                return self._waiting.pop(index)
        return None

    def _finish(self, job: Job, future: Future) -> None:
        if error := future.exception():
            self.failed += 1
            log(f"failed: {job}: {error!r}")
        elif record := future.result():
            self.done += 1
            self._durations.add(job, self._lines(job.source.train), record["seconds"])
            append(self._output, record)
            log(f"{self.done} done, {len(self._waiting)} waiting: {describe(record)}")
        else:
            log(f"out of time: {job.source.name} hidden {job.hidden}, {job.passes} passes")


def count_lines(path: str) -> int:
    """Return the number of lines of a file."""
    with open(path, "rb") as file:
        return sum(1 for _ in file)


def append(path: str, record: dict[str, Any]) -> None:
    """Append a record as one line, with the column names before the first one."""
    new = not os.path.exists(path) or not os.path.getsize(path)
    with open(path, "a", encoding="utf-8") as file:
        if new:
            file.write("\t".join(COLUMNS) + "\n")
        file.write("\t".join(cell(record[name]) for name in COLUMNS) + "\n")
        file.flush()
        os.fsync(file.fileno())


def cell(value: object) -> str:
    """Return a value as a cell; nothing for None."""
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def describe(record: dict[str, Any]) -> str:
    """Return a run in a few words."""
    names = ("corpus", "examples", "hidden", "batch", "passes", "dropout", "averaging", "loss", "error_rate", "seconds")
    return ", ".join(f"{name} {cell(record[name])}" for name in names)


def log(text: str) -> None:
    """Print a line with the time."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def parse_arguments() -> argparse.Namespace:
    """Parse the flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".sweep/data", help="folder of names.txt, surnames.tsv and g2p/")
    parser.add_argument("--corpora", default=os.path.join(ROOT, "corpora"), help="folder of charlm's own corpora")
    parser.add_argument("--output", default="sweep.tsv", help="file to append to")
    parser.add_argument("--seconds", type=float, default=600.0, help="end after this long")
    parser.add_argument("--jobs", type=int, default=max((os.cpu_count() or 3) - 2, 1), help="runs side by side")
    parser.add_argument("--precision", default="auto", help="auto, float32 or bfloat16, if this charlm has it")
    parser.add_argument("--only", default="", help="names of corpora, with commas between them")
    parser.add_argument("--quick", action="store_true", help="a few steps of a few runs: shows that it works")
    parser.add_argument("--threads", type=int, default=1, help="ignored: every run has one thread")
    return parser.parse_args()


def main() -> None:
    """Run the sweep."""
    deadline, arguments = time.time(), parse_arguments()
    deadline += arguments.seconds
    with tempfile.TemporaryDirectory() as folder:
        jobs = plan(arguments.data, arguments.corpora, folder, quick=arguments.quick,
                    only=arguments.only.split(",") if arguments.only else ())
        log(f"{len(jobs)} runs, {arguments.jobs} side by side, {arguments.seconds:g} s")
        sweep = Sweep(jobs, deadline, arguments.precision, arguments.output)
        sweep.run(arguments.jobs)
    log(f"finished: {sweep.done} runs, {sweep.failed} failed, {len(jobs)} not started")


if __name__ == "__main__":
    main()
