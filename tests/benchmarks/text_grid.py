"""The runs of `sweep_text.py`, their corpora, and how they are packed into groups."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from many_parts import Data

from charlm.text.reading import Text
from charlm.text.text_corpus import _held_out_from, build_text_corpus

MAX_MODELS = {64: 64, 128: 64, 256: 48, 384: 32, 512: 24, 768: 12}
STEP_RATIO = 1.2                        # of the longest to the shortest run of a group
# Guessed milliseconds per update: for each time step of both layers, and for each model with 2,048 tokens.
STEP_COST, MODEL_COST = 0.035, {64: 0.03, 128: 0.07, 256: 0.18, 384: 0.35, 512: 0.6, 768: 1.3}


@dataclass(frozen=True)
class Run:
    """One network to train."""

    tier: int
    corpus: str
    hidden: int
    passes: float
    dropout: float
    weight_decay: float = 0.1
    batch: int = 32
    bptt: int = 64
    lr: float = 6e-3
    seed: int = 0

    def key(self) -> tuple[str, ...]:
        """Return what identifies the run in the table."""
        return tuple(str(getattr(self, name)) for name in (
            "corpus", "hidden", "batch", "bptt", "passes", "dropout", "weight_decay", "lr", "seed"))


def grid() -> Iterator[Run]:
    """Yield all runs, the most important tiers first."""
    megabyte = "tinyshakespeare", "basque", "french"
    more = "polish", "russian", "handbook"      # almost free: small networks leave the GPU waiting for kernels to start
    shapes = [*itertools.product(megabyte, (128, 256, 384, 512)), *((corpus, 128) for corpus in more)]
    for (corpus, hidden), passes in itertools.product(shapes, (3, 6, 9, 14, 20, 30)):
        for dropout in (0.1, 0.2, 0.3, 0.4) if passes < 14 else (0.2, 0.3, 0.4, 0.5):
            yield Run(1, corpus, hidden, passes, dropout)
    small = ("tinyshakespeare@100000", "german@100000", "python@100000", "russian@100000", "tinyshakespeare@300000",
             "polish@300000", "handbook@300000", "ferrywoman")
    for corpus, hidden, passes, dropout in itertools.product(small, (64, 128, 256, 384), (10, 20, 40),
                                                             (0.2, 0.3, 0.4, 0.5)):
        yield Run(2, corpus, hidden, passes, dropout)
    for corpus, hidden, dropout in itertools.product(("german", "python", "docs10@3000000", "docs10"),
                                                     (256, 384, 512, 768), (0.0, 0.1, 0.2)):
        for passes in (0.3, 0.6, 1, 2, 4) if corpus == "docs10" else (1, 2, 4, 8):
            yield Run(3, corpus, hidden, passes, dropout)
    windows = ((32, 64), (16, 64), (64, 64), (32, 32), (32, 128))
    for (batch, bptt), corpus, passes, dropout, factor in itertools.product(
            windows, megabyte[:2], (3, 9), (0.2, 0.3), (0.7, 1.0, 1.4)):
        if (batch, bptt, factor) != (32, 64, 1.0):
            yield Run(4, corpus, 256, passes, dropout, batch=batch, bptt=bptt, lr=round(6e-3 * factor, 6))
    for corpus, passes, dropout, decay in itertools.product(megabyte[:2], (9, 14), (0.2, 0.3), (0.03, 0.3, 1.0, 3.0)):
        yield Run(5, corpus, 256, passes, dropout, decay)
    for hidden, passes, dropout in itertools.product((256, 512), (3, 6, 12), (0.2, 0.3, 0.4)):
        yield Run(6, "chinese-poetry", hidden, passes, dropout)


class Corpora:
    """The corpora of a folder, split and encoded by charlm; `name@N` has only the first N training characters."""

    def __init__(self, folder: Path):
        self._folder, self._texts, self._data = folder, {}, {}

    def _parts(self, name: str) -> tuple[str, str]:
        """Return the training and the held-out text."""
        name, _, size = name.partition("@")
        if name not in self._texts:
            text = (self._folder / f"{name}.txt").read_text(encoding="utf-8")
            cut = _held_out_from(len(text), None)
            self._texts[name] = text[:cut], text[cut:]
        train, held_out = self._texts[name]
        return train[:int(size or len(train))], held_out

    def exists(self, name: str) -> bool:
        """Return whether the folder has the corpus."""
        return (self._folder / f"{name.partition('@')[0]}.txt").exists()

    def tokens(self, name: str) -> int:
        """Return the number of training tokens."""
        return len(self._parts(name)[0])

    def is_large(self, name: str) -> bool:
        """Return whether the vocabulary is too large to share groups with others."""
        return len(set(self._parts(name)[1])) > 512

    def load(self, name: str) -> Data:
        """Return the encoded corpus."""
        if name not in self._data:
            train, held_out = self._parts(name)
            with tempfile.TemporaryDirectory() as folder:
                paths = [os.path.join(folder, part) for part in ("train.txt", "all.txt")]
                for path, text in zip(paths, (train, train + held_out), strict=True):
                    Path(path).write_text(text, encoding="utf-8")
                corpus = build_text_corpus([Text(paths[1])], validation=len(held_out) / len(train + held_out))
            parts = [part.slice(0, len(part)) for part in (corpus.train, corpus.validation)]
            self._data[name] = Data(*parts, corpus.tokenizer.size, corpus.tokenizer.start_id)
        return self._data[name]


@dataclass
class Group:
    """Runs of one shape and similar numbers of steps, by the steps of each."""

    runs: list[Run]
    steps: list[int]

    @property
    def tier(self) -> int:
        """The most important tier that the group serves."""
        return min(run.tier for run in self.runs)

    def describe(self) -> str:
        """Return one line."""
        one = self.runs[0]
        names = ",".join(dict.fromkeys(run.corpus for run in self.runs))
        return (f"tier {self.tier}, {len(self.runs)} x hidden {one.hidden}, batch {one.batch}, bptt {one.bptt}, "
                f"{min(self.steps):,}-{max(self.steps):,} steps, {names}")

    def guess(self) -> float:
        """Return the guessed seconds of training."""
        one = self.runs[0]
        share = one.batch * one.bptt / 2048
        update = one.bptt * STEP_COST + len(self.runs) * MODEL_COST.get(one.hidden, 1.0) * share
        return max(self.steps) * update / 1000

    def cost_per_unit(self) -> float:
        """Return the guessed seconds for each run and hidden unit; a tier starts with the groups of least cost."""
        return self.guess() / len(self.runs) / self.runs[0].hidden


def packed(runs: list[Run], corpora: Corpora) -> list[Group]:
    """Return groups of runs that can be trained together; each tier's first, filled up with runs of later ones."""
    steps = {run: max(round(run.passes * corpora.tokens(run.corpus) / (run.batch * run.bptt)), 1) for run in runs}
    large = {name: corpora.is_large(name) for name in {run.corpus for run in runs}}
    buckets: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        buckets.setdefault((run.hidden, run.batch, run.bptt, large[run.corpus]), []).append(run)
    groups = []
    for (hidden, *_), waiting in buckets.items():
        limit = MAX_MODELS.get(hidden, 16)
        waiting = sorted(waiting, key=lambda run: (run.tier, steps[run]))
        while waiting:
            first = waiting[0]
            near = [run for run in waiting if 1 <= steps[run] / steps[first] <= STEP_RATIO]
            near = near if len(near) <= 1.25 * limit else near[:limit]
            groups.append(Group(near, [steps[run] for run in near]))
            waiting = [run for run in waiting if run not in near]
    return sorted(groups, key=lambda group: (group.tier, group.cost_per_unit()))
