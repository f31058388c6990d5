"""Training: the recurrent layers against a matrix product, a step against a plain loop, Muon's cost.

Run it by hand: `python tests/benchmarks/training.py`. It never fails on time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

# As the command does, and before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch  # noqa: E402
from timing import Row, arguments, compare, interleaved, show, write_text
from torch import nn
from torch.nn import functional as F

from charlm.config import ModelConfig, TrainingConfig
from charlm.nn.network import Network
from charlm.text.reading import Text
from charlm.text.text_corpus import TextCorpus, build_text_corpus as prepare
from charlm.training.defaults import sizes
from charlm.training.environment import set_up
from charlm.training.optimizers import BETAS
from charlm.training.options import TrainingOptions, choose_model, choose_run
from charlm.training.trainer import Trainer

BATCH, WINDOW = 32, 64                  # of the recurrent layers measured by themselves
HIDDEN, SIDE = 512, 2048
QUICK_HIDDEN, QUICK_SIDE = 64, 256
USUAL_TOKENS = 1_000_000                # a step has the sizes of a corpus so large
CORPUS_BYTES, QUICK_CORPUS_BYTES = 1_000_000, 50_000
STEPS = 1_000_000                       # so many that the learning rate stays what it is


def product(side: int) -> tuple[Callable[[], object], float]:
    """A float32 matrix product, and its floating point operations."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    out = torch.empty(side, side)
    return lambda: torch.mm(a, b, out=out), 2.0 * side ** 3


def recurrence(hidden: int, layers: int) -> tuple[Callable[[], object], float]:
    """Forward and backward of a network's recurrent layers, and its floating point operations.

    Counted are the matrix products: 2*T*B*4H*(I+H) a layer forward, twice that backward.
    """
    network = Network(ModelConfig(vocabulary_size=65, num_layers=layers, embedding_size=hidden,
                                  hidden_size=hidden))
    inputs = torch.randn(WINDOW, BATCH, hidden, requires_grad=True)
    gradient = torch.randn(WINDOW, BATCH, hidden)
    start = network.start(BATCH)

    def run() -> None:
        network.zero_grad(set_to_none=True)
        x = inputs                                                  # (T, B, H)
        for layer, past in zip(network.decoder, start.layers):
            x, _ = layer(x, past)
        x.backward(gradient)

    forward = 2 * WINDOW * BATCH * 4 * hidden * (hidden + hidden) * layers
    return run, 3.0 * forward


class PlainLoop:
    """The training loop that anyone would write around nn.LSTM, with charlm's shape and dropout."""

    def __init__(self, corpus: TextCorpus, model: ModelConfig, run: TrainingConfig):
        self.run, self.state = run, None
        self.embedding = nn.Embedding(model.vocabulary_size, model.embedding_size)
        self.lstm = nn.LSTM(model.embedding_size, model.hidden_size, model.num_layers,
                            dropout=run.dropout)
        self.linear = nn.Linear(model.hidden_size, model.vocabulary_size)
        self.parameters = [*self.embedding.parameters(), *self.lstm.parameters(),
                           *self.linear.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=run.learning_rate, betas=BETAS,
                                           weight_decay=run.weight_decay, fused=True)
        ids = torch.from_numpy(corpus.train.slice(0, len(corpus.train)))
        width = len(ids) // run.batch_size
        self.lanes = ids[:width * run.batch_size].view(run.batch_size, width).T.contiguous()

    def update(self, step: int) -> None:
        length = self.run.bptt
        at = step * length % (len(self.lanes) - length - 1)
        inputs, targets = self.lanes[at:at + length], self.lanes[at + 1:at + length + 1]   # (T, B)
        x, state = self.lstm(self.embedding(inputs), self.state)
        logits = self.linear(F.dropout(x, self.run.dropout))
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, self.run.clip)
        self.optimizer.step()
        self.state = tuple(part.detach() for part in state)


def usual_wishes(optimizer: str) -> TrainingOptions:
    """What a million tokens get when no flag says otherwise."""
    usual = sizes(USUAL_TOKENS)
    return TrainingOptions(optimizer=optimizer, steps=STEPS, hidden=usual.hidden_size,
                  batch_size=usual.batch_size, dropout=usual.dropout,
                  weight_decay=usual.weight_decay)


def small_corpus(size: int) -> TextCorpus:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "corpus.txt")
        write_text(path, size)
        return prepare([Text(path)])


def counted(update: Callable[[int], object]) -> Callable[[], object]:
    """`update(0)`, `update(1)`, … as one call that needs no number."""
    step = iter(range(STEPS))
    return lambda: update(next(step))


def recurrent_rows(hidden: int, side: int, repeats: int) -> list[Row]:
    calls, work = {}, {}
    matmul = f"matmul {side}^3"
    calls[matmul], work[matmul] = product(side)
    for layers in (1, 2):
        calls[f"LSTM x{layers}"], work[f"LSTM x{layers}"] = recurrence(hidden, layers)
    rates = {name: series.rate(work[name] / 1e9, "GFLOP/s")
             for name, series in interleaved(calls, repeats=repeats).items()}
    return [compare(f"{name}, hidden {hidden}: FLOP/s over matmul's", ">= 0.60", rates[name], rates[matmul])
            for name in (f"LSTM x{layers}" for layers in (1, 2))]


def step_rows(corpus: TextCorpus, repeats: int) -> list[Row]:
    model = choose_model(corpus, usual_wishes("adamw"))
    runs = {name: choose_run(corpus, usual_wishes(name)) for name in ("adamw", "muon")}
    calls = {"plain": counted(PlainLoop(corpus, model, runs["adamw"]).update)}
    for name, run in runs.items():
        calls[name] = counted(Trainer(corpus, model, run, device="cpu").update)
    times = interleaved(calls, repeats=repeats, warm_up=3)
    return [compare("step with AdamW over a plain nn.LSTM loop's", "<= 1.05", times["adamw"],
                    times["plain"]),
            compare("what Muon adds to a step with AdamW", "<= 0.25", times["muon"], times["adamw"],
                    lambda muon, adamw: muon / adamw - 1)]


def main() -> None:
    given = arguments(__doc__, repeats=40, quick=2)
    threads = set_up(given.threads)
    torch.manual_seed(0)
    hidden, side, size = ((QUICK_HIDDEN, QUICK_SIDE, QUICK_CORPUS_BYTES) if given.quick
                          else (HIDDEN, SIDE, CORPUS_BYTES))
    rows = recurrent_rows(hidden, side, given.repeats)
    rows += step_rows(small_corpus(size), given.repeats)
    show(rows, f"threads: {threads}, rounds: {given.repeats}")


if __name__ == "__main__":
    main()
