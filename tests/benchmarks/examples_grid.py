"""The runs of sweep_examples.py in order of priority, and the files that they read.

The grid of a corpus is ordered by distance from its centre, so that a sweep that runs out of time has varied each
setting alone before it varies two together. Three stages follow one another: single settings of every corpus, smaller
training sets and other corpora, all other combinations. Within a stage the corpora take turns.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

HELD_OUT = 10                           # one example of this many
SEED = 20                               # of the split and of the subsets
REPEATED_SEEDS = (1, 2)                 # of the central run: how much chance alone changes
Settings = dict[str, float]


@dataclass(frozen=True)
class Source:
    """A corpus on disk: its task, training file and held-out file, and the number of its lines to learn from."""

    task: str
    name: str
    train: str
    held_out: str | None = None         # None: as charlm holds out
    lines: int | None = None            # None: all


@dataclass(frozen=True)
class Job:
    """One run: a corpus and the settings of its training."""

    source: Source
    hidden: int
    passes: float
    dropout: float
    batch: int
    averaging: float = 0.0
    weight_decay: float = 0.1
    label_smoothing: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Grid:
    """The values of each setting, and the index of the central one."""

    values: dict[str, tuple[float, ...]]
    centre: tuple[int, ...]
    fixed: Settings

    def points(self) -> list[tuple[int, Settings]]:
        """Return (settings that differ from the centre, settings), the closest to the centre first."""
        points = []
        for indices in itertools.product(*(range(len(values)) for values in self.values.values())):
            steps = [abs(index - centre) for index, centre in zip(indices, self.centre, strict=True)]
            settings = {name: values[index] for index, (name, values) in zip(indices, self.values.items(), strict=True)}
            points.append((sum(map(bool, steps)), sum(steps), settings | self.fixed))
        points.sort(key=lambda point: point[:2])
        return [(differing, settings) for differing, _, settings in points]


LINES = Grid({"hidden": (64, 128, 192, 256), "passes": (5, 10, 20, 40), "dropout": (0.1, 0.2, 0.3, 0.4),
              "batch": (64, 32, 128)}, (1, 1, 1, 0), {})
LABELS = Grid({"hidden": (64, 128, 256), "passes": (5, 10, 20, 30), "dropout": (0.2, 0.3, 0.4, 0.5)}, (1, 1, 1),
              {"batch": 64})
PAIRS = Grid({"hidden": (128, 192, 256), "passes": (10, 20, 30), "dropout": (0.2, 0.3, 0.4), "batch": (64, 32),
              "averaging": (0.0, 0.99, 0.999)}, (0, 1, 1, 0, 0), {"label_smoothing": 0.1})
FILL = Grid({"hidden": (64, 128, 256), "passes": (5, 10, 20), "dropout": (0.1, 0.25, 0.4)}, (1, 1, 1), {"batch": 16})
SMALL_LINES = Grid({"hidden": (128, 64, 192), "passes": (20, 10, 40), "dropout": (0.3, 0.2, 0.4)}, (0, 0, 0),
                   {"batch": 32})
SMALL_PAIRS = Grid({"hidden": (128, 64, 192), "passes": (40, 20, 80), "dropout": (0.3, 0.2, 0.4)}, (0, 0, 0),
                   {"batch": 32, "label_smoothing": 0.1})
QUICK = Grid({"hidden": (8,), "passes": (0.02,), "dropout": (0.2,), "batch": (32,)}, (0, 0, 0, 0), {})
GRIDS = {"lines": LINES, "labels": LABELS, "pairs": PAIRS, "fill": FILL}
KEY_COLUMN = {"lines": 0, "labels": 1, "pairs": 0}      # lines that share it are held out together
FILES = (("lines", "names", "names.txt"), ("labels", "surnames", "surnames.tsv"), ("pairs", "hun", "g2p/hun_train.tsv"),
         ("pairs", "kor", "g2p/kor_train.tsv"))
OTHER_FILES = (("lines", "places", "places.txt"), ("pairs", "numbers", "numbers.tsv"),
               ("labels", "counting", "counting.tsv"), ("pairs", "weather", "weather.tsv"),
               ("fill", "ferrywoman", "ferrywoman.txt"))
SUBSETS = {"names": (16_000, 8_000, 2_000), "surnames": (6_000, 3_000), "hun": (4_000, 1_000), "kor": (4_000, 1_000)}


def read_source(task: str, name: str, path: str, folder: str) -> Source:
    """Return a corpus; where no file for validation belongs to it, split off a random tenth into `folder`."""
    development = path.replace("_train.", "_dev.")
    if task == "fill":
        return Source(task, name, path)
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    held_out = set()
    if development == path:
        keys = sorted({_key(task, line) for line in lines})
        held_out = set(random.Random(SEED).sample(keys, len(keys) // HELD_OUT))
    train = [line for line in lines if _key(task, line) not in held_out]
    random.Random(SEED).shuffle(train)                  # the first lines are a random subset
    train_path, held_out_path = (os.path.join(folder, f"{name}.{part}.txt") for part in ("train", "held-out"))
    _write(train_path, train)
    if held_out:
        _write(held_out_path, [line for line in lines if _key(task, line) in held_out])
    return Source(task, name, train_path, held_out_path if held_out else development)


def _key(task: str, line: str) -> str:
    return line.split("\t")[KEY_COLUMN[task]]


def _write(path: str, lines: Iterable[str]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def subset(source: Source, count: int) -> Source:
    """Write the first `count` training lines to a file of their own; return the corpus."""
    with open(source.train, encoding="utf-8") as file:
        lines = list(itertools.islice(file.read().splitlines(), count))
    path = f"{source.train}.{count}"
    _write(path, lines)
    return replace(source, train=path, lines=count)


def jobs_of(source: Source, grid: Grid) -> list[tuple[int, Job]]:
    """Return (settings that differ from the centre, run), the closest to the centre first; its repeats follow it."""
    found = [(differing, Job(source, **settings)) for differing, settings in grid.points()]     # type: ignore[arg-type]
    centre = found[0][1]
    return [found[0], *((0, replace(centre, seed=seed)) for seed in REPEATED_SEEDS), *found[1:]]


def take_turns(queues: Iterable[list[Job]]) -> Iterator[Job]:
    """Yield the jobs of several queues in turn, a longer queue more often, so that all end together.

    >>> list(take_turns([[1, 2], [10, 20, 30, 40]]))
    [10, 1, 20, 30, 2, 40]
    """
    ranked = [((index + 0.5) / len(queue), number, job) for number, queue in enumerate(queues)
              for index, job in enumerate(queue)]
    return (job for _, _, job in sorted(ranked, key=lambda item: item[:2]))


def plan(data: str, corpora: str, folder: str, *, quick: bool, only: Sequence[str] = ()) -> list[Job]:
    """Return all runs, the most important first; `only` names the corpora to keep, and keeps all if it is empty."""
    def read(files: Iterable[tuple[str, str, str]], root: str) -> list[Source]:
        return [read_source(task, name, os.path.join(root, path), folder) for task, name, path in files
                if (not only or name in only) and os.path.exists(os.path.join(root, path))]

    main, others = read(FILES, data), read(OTHER_FILES, corpora)
    if quick:
        return [job for source in [*main, *others] for _, job in jobs_of(source, QUICK)[:1]]
    graded = [jobs_of(source, GRIDS[source.task]) for source in main]
    single = [[job for differing, job in jobs if differing <= 1] for jobs in graded]
    small = [(subset(source, count), SMALL_PAIRS if source.task == "pairs" else SMALL_LINES)
             for source in main for count in SUBSETS[source.name]]
    small += [(source, GRIDS[source.task] if source.task in ("pairs", "fill") else SMALL_LINES) for source in others]
    second = [[job for differing, job in jobs_of(source, grid) if differing <= 1] for source, grid in small]
    graded += [jobs_of(source, grid) for source, grid in small]
    rest = [[job for differing, job in jobs if differing > 1] for jobs in graded]
    return [*take_turns(single), *take_turns(second), *take_turns(rest)]
