"""Training: the recurrent layers against a matrix product, a step against a plain loop, the cost of Muon.

Run it by hand: `python tests/benchmarks/training.py`. It never fails on time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

# As the command does, and before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import torch  # noqa: E402
from plain_lstm import PlainLSTM  # noqa: E402
from timing import Row, compare, parse_arguments, print_table, time_interleaved, write_text  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from charlm.config import ModelConfig, TrainingConfig  # noqa: E402
from charlm.nn.network import Network  # noqa: E402
from charlm.text.reading import Text  # noqa: E402
from charlm.text.text_corpus import TextCorpus, build_text_corpus  # noqa: E402
from charlm.training.environment import set_up  # noqa: E402
from charlm.training.optimizers import BETAS  # noqa: E402
from charlm.training.trainer import Trainer  # noqa: E402

BATCH_SIZE, BPTT = 32, 64               # of the recurrent layers that are measured alone
HIDDEN_SIZE, MATRIX_SIZE = 512, 2048
QUICK_HIDDEN_SIZE, QUICK_MATRIX_SIZE = 64, 256
CORPUS_BYTES, QUICK_CORPUS_BYTES = 1_000_000, 50_000
STEPS = 1_000_000                       # enough that the learning rate stays constant
DEFAULTS = {"batch_size": 32, "dropout": 0.15, "weight_decay": 0.1}     # of a corpus of a million tokens


def matrix_product(size: int) -> tuple[Callable[[], object], float]:
    """Return a float32 matrix product, and its floating point operations."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    return lambda: torch.mm(a, b, out=out), 2.0 * size ** 3


def recurrence(hidden: int, layers: int) -> tuple[Callable[[], object], float]:
    """Return the forward and backward pass of a network's recurrent layers, and its floating point operations.

    Only the matrix products count: 2*T*B*4H*(I+H) per layer forward, and twice that backward.
    """
    network = Network(ModelConfig(vocabulary_size=65, num_layers=layers, embedding_size=hidden, hidden_size=hidden))
    inputs = torch.randn(BPTT, BATCH_SIZE, hidden, requires_grad=True)
    gradient = torch.randn(BPTT, BATCH_SIZE, hidden)
    start = network.start(BATCH_SIZE)

    def run() -> None:
        network.zero_grad(set_to_none=True)
        x = inputs                                                  # (T, B, H)
        for layer, state in zip(network.decoder, start.layers, strict=True):
            x, _ = layer(x, state)
        x.backward(gradient)

    forward = 2 * BPTT * BATCH_SIZE * 4 * hidden * (hidden + hidden) * layers
    return run, 3.0 * forward


class PlainLoop:
    """The training loop that anyone would write around nn.LSTM, with charlm's sizes and dropout."""

    def __init__(self, corpus: TextCorpus, model: ModelConfig, run: TrainingConfig):
        self.run, self.state = run, None
        self.model = PlainLSTM(model, dropout=run.dropout)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=run.learning_rate, betas=BETAS,
                                           weight_decay=run.weight_decay, fused=True)
        ids = torch.from_numpy(corpus.train.slice(0, len(corpus.train)))
        length = len(ids) // run.batch_size
        self.lanes = ids[:length * run.batch_size].view(run.batch_size, length).T.contiguous()

    def update(self, step: int) -> None:
        """Train on one window of every lane."""
        bptt = self.run.bptt
        start = step * bptt % (len(self.lanes) - bptt - 1)
        inputs, targets = self.lanes[start:start + bptt], self.lanes[start + 1:start + bptt + 1]    # (T, B)
        x, state = self.model.lstm(self.model.embedding(inputs), self.state)
        logits = self.model.head(F.dropout(x, self.run.dropout))
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.run.clip)
        self.optimizer.step()
        self.state = tuple(part.detach() for part in state)


def random_corpus(size: int) -> TextCorpus:
    """Return a corpus of random text."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "corpus.txt")
        write_text(path, size)
        return build_text_corpus([Text(path)])


def counting(update: Callable[[int], object]) -> Callable[[], object]:
    """Return a function that calls `update(0)`, `update(1)`, … in turn."""
    steps = iter(range(STEPS))
    return lambda: update(next(steps))


def measure_layers(hidden: int, size: int, repeats: int) -> list[Row]:
    """Compare the recurrent layers with a matrix product."""
    matmul = f"matmul {size}^3"
    work = {matmul: matrix_product(size), **{f"LSTM x{layers}": recurrence(hidden, layers) for layers in (1, 2)}}
    times = time_interleaved({name: call for name, (call, _) in work.items()}, repeats=repeats)
    rates = {name: series.rate(work[name][1] / 1e9, "GFLOP/s") for name, series in times.items()}
    return [compare(f"{name}, hidden {hidden}: FLOP/s over matmul's", ">= 0.60", rates[name], rates[matmul])
            for name in ("LSTM x1", "LSTM x2")]


def measure_steps(corpus: TextCorpus, repeats: int) -> list[Row]:
    """Compare a step with a plain loop's, and a step with Muon with one with AdamW."""
    model = ModelConfig(corpus.tokenizer.size)
    runs = {name: TrainingConfig(STEPS, optimizer=name, **DEFAULTS) for name in ("adamw", "muon")}
    calls = {"plain": counting(PlainLoop(corpus, model, runs["adamw"]).update)}
    for name, run in runs.items():
        calls[name] = counting(Trainer(corpus, model, run, device="cpu").update)
    times = time_interleaved(calls, repeats=repeats, warmup=3)
    return [compare("step with AdamW over a plain nn.LSTM loop's", "<= 1.05", times["adamw"], times["plain"]),
            compare("cost of Muon over a step with AdamW", "<= 0.25", times["muon"], times["adamw"],
                    lambda muon, adamw: muon / adamw - 1)]


def main() -> None:
    """Measure and print the table."""
    arguments = parse_arguments(__doc__, repeats=40, quick_repeats=2)
    threads = set_up(arguments.threads)
    torch.manual_seed(0)
    hidden, size, corpus_bytes = ((QUICK_HIDDEN_SIZE, QUICK_MATRIX_SIZE, QUICK_CORPUS_BYTES) if arguments.quick
                                  else (HIDDEN_SIZE, MATRIX_SIZE, CORPUS_BYTES))
    rows = measure_layers(hidden, size, arguments.repeats)
    rows += measure_steps(random_corpus(corpus_bytes), arguments.repeats)
    print_table(rows, f"threads: {threads}, rounds: {arguments.repeats}")


if __name__ == "__main__":
    main()
