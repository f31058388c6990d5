"""Scoring lines: charlm's `score_rows` against nn.LSTM on the same padded batches, a thread each.

Run it by hand: `python tests/benchmarks/scoring.py`. It never fails on time.
"""

from __future__ import annotations

import os

from timing import Row, arguments, compare, interleaved, show

os.environ["OPENBLAS_NUM_THREADS"] = "1"    # read once, when NumPy is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from charlm.config import ModelConfig  # noqa: E402
from charlm.inference.matmul import matmul  # noqa: E402
from charlm.inference.network import Network as NumpyNetwork  # noqa: E402
from charlm.inference.scoring import ROWS, score_rows  # noqa: E402
from charlm.nn.network import Network as TorchNetwork  # noqa: E402
from charlm.text.examples import batch_by_length, padded  # noqa: E402
from charlm.text.special_tokens import with_bos_eos  # noqa: E402
from charlm.text.tokenizers.char import CharTokenizer  # noqa: E402

HIDDEN, VOCABULARY = 256, 100
LINES, QUICK_LINES = (32, 64, 256, 1024), (8, 16)
SHORTEST, LONGEST = 20, 200                 # characters of a line


class PlainScorer:
    """A two-layer nn.LSTM with its embedding and head, over padded batches of like length."""

    def __init__(self, config: ModelConfig, weights: dict[str, np.ndarray]):
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_size)
        self.lstm = nn.LSTM(config.embedding_size, config.hidden_size, config.num_layers, batch_first=True)
        self.linear = nn.Linear(config.hidden_size, config.vocabulary_size)
        tensors = {name: torch.from_numpy(values) for name, values in weights.items()}
        self.embedding.weight.data = tensors["embedding.weight"]
        self.linear.weight.data, self.linear.bias.data = tensors["head.weight"], tensors["head.bias"]
        for layer in range(config.num_layers):
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(self.lstm, f"{part}_l{layer}").data = tensors[f"decoder.{layer}.{part}_l0"]

    @torch.inference_mode()
    def nats(self, ids: torch.Tensor) -> torch.Tensor:
        """-log p of every id of rows (B, 1 + T) but the first: (B, T)."""
        logits = self.linear(self.lstm(self.embedding(ids[:, :-1]))[0])             # (B, T, V)
        return -torch.log_softmax(logits, dim=-1).gather(2, ids[:, 1:, None])[..., 0]


def batches(rows: list[np.ndarray]) -> list[torch.Tensor]:
    """The rows side by side as `score_rows` puts them, filled up."""
    ordered = sorted(rows, key=len)
    lengths = np.array([len(row) - 1 for row in ordered])
    return [torch.from_numpy(padded(ordered[some], 0)) for some in batch_by_length(lengths, ROWS)]


def row(lines: int, repeats: int) -> Row:
    """Both scorers with the same random weights on so many lines."""
    draw = np.random.default_rng(0)
    tokenizer = CharTokenizer(np.arange(32, 32 + VOCABULARY - 2))              # <unk> and the end besides
    config = ModelConfig(VOCABULARY, hidden_size=HIDDEN)
    weights = {name: values.numpy() for name, values in TorchNetwork(config).weights().items()}
    network, plain = NumpyNetwork(config, weights, matmul=matmul), PlainScorer(config, weights)
    rows = [with_bos_eos(tokenizer, draw.integers(1, tokenizer.size, size=draw.integers(SHORTEST, LONGEST + 1)))
            for _ in range(lines)]
    padded_rows, tokens = batches(rows), sum(len(row) - 1 for row in rows)

    times = interleaved({"torch": lambda: [plain.nats(ids) for ids in padded_rows],
                         "charlm": lambda: score_rows(network, tokenizer, rows)}, repeats=repeats)
    rates = {name: series.rate(tokens, "tokens/s") for name, series in times.items()}
    return compare(f"{lines} lines, hidden {HIDDEN}, {config.num_layers} layers: tokens/s over nn.LSTM's", ">= 0.9",
                   rates["charlm"], rates["torch"])


def main() -> None:
    given = arguments(__doc__, repeats=15, quick=2)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    show([row(lines, given.repeats) for lines in (QUICK_LINES if given.quick else LINES)],
         f"threads: 1 each, rounds: {given.repeats}")


if __name__ == "__main__":
    main()
