"""Fit the law of `charlm.training.scaling` to the runs of `sweep_text.py`, which are kept in `runs/text.tsv`.

`python tests/benchmarks/fit_scaling.py` prints the numbers of the law and its errors. First the shape is fitted, with a
free level for each text, by Levenberg and Marquardt's method; then the levels are fitted to the yardstick and the size.
The error on an unknown text is that of a law fitted without it and without its slices. `--merge CORPORA TABLE...`
makes `runs/text.tsv` from the tables of the sweep.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from charlm.training import scaling

RUNS = Path(__file__).resolve().parent / "runs" / "text.tsv"
COLUMNS = ("corpus", "train_tokens", "vocabulary", "hidden", "batch", "bptt", "passes", "dropout", "lr", "loss",
           "loss_ema", "yardstick")
USUAL = {"batch": "32", "bptt": "64", "lr": "0.006"}
LEFT_OUT = "chinese-poetry"             # thousands of different characters: it only tests the law
# The shape, and where the search for it begins; the logarithms of the three positive factors are searched.
SHAPE = {"CAPACITY": 0.5, "CAPACITY_POWER": 0.4, "LEARNING": 0.5, "LEARNING_POWER": 0.3, "DROPOUT_COST": 0.5,
         "OVERFITTING": 0.3, "OVERFITTING_POWER": 0.75, "OVERFITTING_WIDTH": 1.5, "OVERFITTING_PASSES": 1.4,
         "DROPOUT_RELIEF": 2.0}
LOGARITHMIC = ("CAPACITY", "LEARNING", "OVERFITTING")
LEVEL = ("LEVEL", "GROWTH")
WORSE = 0.03                            # nats above the best dropout at which a run counts half
NEAR_BEST = 0.02                        # nats above the best dropout: runs on which the errors are measured


@dataclass(frozen=True)
class Runs:
    """The runs as columns, (N,); `text` is the index of each run's text in `names`."""

    names: list[str]
    text: np.ndarray
    tokens: np.ndarray
    hidden: np.ndarray
    passes: np.ndarray
    dropout: np.ndarray
    loss: np.ndarray
    yardstick: np.ndarray
    excess: np.ndarray                  # nats above the best dropout of the same width and length

    @property
    def weights(self) -> np.ndarray:
        """The weight of each run: those with a bad dropout matter less."""
        return (1 + (self.excess / WORSE) ** 2) ** -0.5

    def sources(self) -> list[str]:
        """Return the text of which each of `names` is a slice or the whole."""
        return [name.partition("@")[0] for name in self.names]

    def where(self, kept: np.ndarray) -> Runs:
        """Return the runs for which `kept`, (N,), is true; `names` and their indices do not change."""
        columns = {key: value[kept] for key, value in vars(self).items() if key != "names"}
        return Runs(self.names, **columns)


def read_runs(path: Path = RUNS) -> Runs:
    """Return the runs of the table with the usual window and learning rate."""
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t")
                if row["corpus"] != LEFT_OUT and all(row[key] == value for key, value in USUAL.items())]
    names = sorted({row["corpus"] for row in rows})
    best: dict[tuple[str, ...], float] = {}
    keys = [(row["corpus"], row["hidden"], row["passes"]) for row in rows]
    for key, row in zip(keys, rows, strict=True):
        best[key] = min(best.get(key, math.inf), float(row["loss"]))
    columns = {key: np.array([float(row[key]) for row in rows])
               for key in ("hidden", "passes", "dropout", "loss", "yardstick")}
    return Runs(names, np.array([names.index(row["corpus"]) for row in rows]),
                np.array([float(row["train_tokens"]) for row in rows]), **columns,
                excess=columns["loss"] - np.array([best[key] for key in keys]))


def log_shape(numbers: dict[str, float], runs: Runs) -> np.ndarray:
    """Return log(1 + lacking e^(d cost) + overfitting e^(-d relief)), (N,): the law without its level."""
    width = np.log(runs.hidden / scaling.WIDTH)
    seen = np.log((runs.passes * runs.tokens + scaling.LEARNING_START) / 1e6)
    load = (numbers["OVERFITTING_WIDTH"] * width + numbers["OVERFITTING_PASSES"] * np.log(runs.passes / 10)
            - np.log(runs.tokens / 1e5))
    lacking = (numbers["CAPACITY"] * np.exp(-numbers["CAPACITY_POWER"] * width)
               + numbers["LEARNING"] * np.exp(-numbers["LEARNING_POWER"] * seen))
    overfitting = numbers["OVERFITTING"] * np.exp(numbers["OVERFITTING_POWER"] * load)
    return np.log1p(lacking * np.exp(numbers["DROPOUT_COST"] * runs.dropout)
                    + overfitting * np.exp(-numbers["DROPOUT_RELIEF"] * runs.dropout))


def fit_shape(runs: Runs) -> tuple[dict[str, float], np.ndarray]:
    """Return the numbers of the shape, and log(loss) of each text where the shape is 0; NaN for texts without runs."""
    texts, position = np.unique(runs.text, return_inverse=True)
    root = np.sqrt(runs.weights)

    def named(values: np.ndarray) -> dict[str, float]:
        return {name: math.exp(value) if name in LOGARITHMIC else float(value)
                for name, value in zip(SHAPE, values, strict=False)}

    def residuals(values: np.ndarray) -> np.ndarray:
        level = values[len(SHAPE):][position]
        return root * (level + log_shape(named(values), runs) - np.log(runs.loss))

    start = [math.log(value) if name in LOGARITHMIC else value for name, value in SHAPE.items()]
    found = least_squares(residuals, np.array([*start, *[-0.5] * len(texts)]))
    levels = np.full(len(runs.names), np.nan)
    levels[texts] = found[len(SHAPE):]
    return named(found), levels


def least_squares(residuals: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> np.ndarray:
    """Return the values with the least sum of squared residuals (Marquardt 1963), from a start near enough."""
    values, now, damping, step = start, residuals(start), 0.01, 1e-5
    for _ in range(300):
        jacobian = np.stack([(residuals(values + step * unit) - now) / step for unit in np.eye(len(values))], 1)
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ now
        while damping < 1e9:
            change = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), -gradient)
            after = residuals(values + change)
            if after @ after < now @ now:
                break
            damping *= 4
        else:
            break
        gain = 1 - after @ after / (now @ now)
        values, now, damping = values + change, after, damping / 5
        if gain < 1e-10:
            break
    return values


def fit_level(runs: Runs, levels: np.ndarray) -> dict[str, float]:
    """Return the numbers that make the levels of the yardstick and the size; every source counts the same."""
    known = ~np.isnan(levels)
    first = np.array([np.flatnonzero(runs.text == text)[0] for text in np.flatnonzero(known)])
    sources = np.array(runs.sources())[known]
    root = np.array([(sources == source).sum() for source in sources]) ** -0.5
    growth = np.log(np.minimum(runs.tokens[first], 1e6) / 1e6)
    level = levels[known] - np.log(runs.yardstick[first])
    design = np.stack([np.ones(len(first)), growth], 1)
    found = np.linalg.lstsq(design * root[:, None], level * root, rcond=None)[0]
    return dict(zip(LEVEL, (math.exp(found[0]), float(found[1])), strict=True))


def fit(runs: Runs) -> dict[str, float]:
    """Return all numbers of the law."""
    numbers, levels = fit_shape(runs)
    return fit_level(runs, levels) | numbers


def expected(numbers: dict[str, float], runs: Runs) -> np.ndarray:
    """Return the expected loss of each run with the dropout that it had, (N,)."""
    growth = numbers["GROWTH"] * np.log(np.minimum(runs.tokens, 1e6) / 1e6)
    return numbers["LEVEL"] * runs.yardstick * np.exp(growth + log_shape(numbers, runs))


def left_out(runs: Runs) -> np.ndarray:
    """Return the loss of each run that a law expects which was fitted without its text and its slices, (N,)."""
    losses = np.empty(len(runs.loss))
    sources = np.array(runs.sources())[runs.text]
    for source in dict.fromkeys(sources):
        inside = sources == source
        losses[inside] = expected(fit(runs.where(~inside)), runs.where(inside))
    return losses


def print_errors(label: str, runs: Runs, losses: np.ndarray) -> None:
    """Print how far the expected losses are from those reached, over the runs with a good dropout."""
    good = runs.excess < NEAR_BEST
    errors = (losses - runs.loss)[good]
    print(f"{label:46s} rms {np.sqrt((errors ** 2).mean()):.3f}  median {np.median(abs(errors)):.3f}  "
          f"worst {abs(errors).max():.3f}  within 0.03: {(abs(errors) <= 0.03).mean():.0%} of {good.sum()} runs")


def print_texts(runs: Runs, losses: np.ndarray, unknown: np.ndarray) -> None:
    """Print the mean error of each text, fitted and as an unknown text."""
    good = runs.excess < NEAR_BEST
    print("\nmean of expected less reached, nats      fitted  unknown")
    for index, name in enumerate(runs.names):
        mine = good & (runs.text == index)
        print(f"{name:40s} {(losses - runs.loss)[mine].mean():+.3f}   {(unknown - runs.loss)[mine].mean():+.3f}")


def print_dropout(runs: Runs) -> None:
    """Print how much worse the law's dropout is than the best one, where several were tried."""
    keys = np.stack([runs.text, runs.hidden, runs.passes], 1)
    lost = []
    for key in np.unique(keys, axis=0):
        group = runs.where((keys == key).all(1))
        chosen = scaling.text_dropout(int(group.tokens[0]), int(key[1]), key[2])
        lost.append(group.excess[np.argmin(abs(group.dropout - chosen))])
    print(f"the nearest dropout tried to the law's: {np.mean(lost):.4f} nats above the best one in the mean of "
          f"{len(lost)} widths and lengths, {max(lost):.3f} at most")


def merge(corpora: Path, tables: list[Path]) -> None:
    """Write `runs/text.tsv`: the columns that the fit needs, and the yardstick of each text."""
    from text_grid import Corpora

    from charlm.text.token_cache import TokenCache
    from charlm.training.yardstick import text_yardsticks

    texts, yardsticks = Corpora(corpora), {}
    with RUNS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in (row for table in tables for row in csv.DictReader(table.open(encoding="utf-8"), delimiter="\t")):
            name = row["corpus"]
            if name not in yardsticks:
                data = texts.load(name)
                parts = (TokenCache([part], vocabulary_size=data.vocabulary) for part in (data.train, data.held_out))
                yardsticks[name] = text_yardsticks(*parts, data.vocabulary).ngrams
            writer.writerow(row | {"yardstick": f"{yardsticks[name]:.4f}"})


def main() -> None:
    """Fit, print the numbers and the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--merge", nargs="+", metavar="PATH", help="folder of the corpora, tables of the sweep")
    arguments = parser.parse_args()
    if arguments.merge:
        merge(Path(arguments.merge[0]), [Path(table) for table in arguments.merge[1:]])
        return
    runs = read_runs()
    numbers, levels = fit_shape(runs)
    free = np.exp(levels[runs.text] + log_shape(numbers, runs))
    numbers = fit_level(runs, levels) | numbers
    for name, value in numbers.items():
        print(f"{name} = {value:.3f}")
    print_errors("shape, each text's level known", runs, free)
    print_errors("law", runs, expected(numbers, runs))
    unknown = left_out(runs)
    print_errors("law fitted without the text and its slices", runs, unknown)
    print_dropout(runs)
    print_texts(runs, expected(numbers, runs), unknown)


if __name__ == "__main__":
    sys.exit(main())
