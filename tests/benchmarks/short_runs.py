"""Fit the law of short runs in `charlm.training.scaling` to the runs of `runs/short.tsv`, or add runs to the table.

`python tests/benchmarks/short_runs.py` prints the numbers and the errors on texts that the fit has not seen. With
`--train FOLDER --hidden 64 --tokens 500000` it first trains on every FOLDER/<name>.txt on the CPU and adds a row each.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from pathlib import Path

import numpy as np

from charlm.training import scaling

RUNS = Path(__file__).resolve().parent / "runs" / "short.tsv"
NUMBERS = ("BEGINNING", "BEGINNING_POWER", "BEGINNING_WIDTH", "SHARE", "SHARE_GROWTH", "SYMBOLS")


def read_runs(path: Path = RUNS) -> dict[str, np.ndarray]:
    """Return the columns of the table, each (N,); all but the corpus are numbers."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {name: np.array([row[name] if name == "corpus" else float(row[name]) for row in rows]) for name in rows[0]}


def design(runs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors (N, 6) and the values (N,) of the regression: the law in logarithms."""
    progress = np.log(runs["steps"] / scaling.BEGINNING_STEPS)
    level = np.log(runs["yardstick"]) + scaling.GROWTH * np.log(np.minimum(runs["train_tokens"], 1e6) / 1e6)
    share = level - np.log(runs["bigrams"])
    factors = [np.ones(len(progress)), -progress, -np.log(runs["hidden"] / 64), share, share * progress,
               np.log(runs["vocabulary"] / 100)]
    return np.stack(factors, 1), np.log(runs["loss"] / runs["bigrams"])


def fit(runs: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the numbers of the law."""
    found = dict(zip(NUMBERS, np.linalg.lstsq(*design(runs), rcond=None)[0].tolist(), strict=True))
    return found | {"BEGINNING": math.exp(found["BEGINNING"])}


def left_out(runs: dict[str, np.ndarray]) -> np.ndarray:
    """Return log(expected / reached) of each run, by a law fitted without its text, (N,)."""
    factors, values = design(runs)
    errors = np.empty(len(values))
    for text in np.unique(runs["corpus"]):
        mine = runs["corpus"] == text
        errors[mine] = factors[mine] @ np.linalg.lstsq(factors[~mine], values[~mine], rcond=None)[0] - values[mine]
    return errors


def train(paths: list[Path], hidden: int, tokens: int) -> None:
    """Train on each text and add a row for each to the table."""
    from charlm.config import ModelConfig, TrainingConfig
    from charlm.text.reading import Text
    from charlm.text.text_corpus import build_text_corpus
    from charlm.training.trainer import Trainer
    from charlm.training.yardstick import text_yardsticks

    for path in paths:
        corpus = build_text_corpus([Text(str(path))])
        size = corpus.tokenizer.size
        dropout = scaling.text_dropout(len(corpus.train), hidden, tokens / len(corpus.train))
        run = TrainingConfig(round(tokens / (32 * 64)), dropout=dropout, weight_decay=0.1,
                             precision="bfloat16")
        trainer = Trainer(corpus, ModelConfig(size, hidden_size=hidden), run, device="cpu")
        for step in range(run.steps):
            trainer.update(step)
        loss, yardsticks = trainer.validate(lambda: False).loss, text_yardsticks(corpus.train, corpus.validation, size)
        with RUNS.open("a", encoding="utf-8") as file:
            print(path.stem, len(corpus.train), size, hidden, 32, 64, run.steps, dropout, run.learning_rate,
                  f"{loss:.5f}", f"{yardsticks.ngrams:.4f}", f"{yardsticks.bigrams:.4f}", sep="\t", file=file)


def main() -> None:
    """Train if asked to, fit, print the numbers and the errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, metavar="FOLDER")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=500_000)
    options = parser.parse_args()
    if options.train:
        train(sorted(options.train.glob("*.txt")), options.hidden, options.tokens)
    runs = read_runs()
    for name, value in fit(runs).items():
        print(f"{name} = {value:.3f}")
    errors = left_out(runs)
    nats = abs(runs["loss"] * np.expm1(errors))
    print(f"{len(errors)} runs on {len(set(runs['corpus']))} texts, law fitted without the text: "
          f"rms {np.sqrt((errors ** 2).mean()):.3f} of the loss, median {np.median(abs(errors)):.3f}; "
          f"{np.sqrt((nats ** 2).mean()):.3f} nats, within 0.03: {(nats <= 0.03).mean():.0%}, "
          f"within 0.1: {(nats <= 0.1).mean():.0%}")


if __name__ == "__main__":
    sys.exit(main())
