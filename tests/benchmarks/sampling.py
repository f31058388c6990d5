"""Sampling one sequence: charlm's `generate` against nn.LSTM stepped token by token, a thread each.

Run it by hand: `python tests/benchmarks/sampling.py`. It never fails on time.
"""

from __future__ import annotations

import os

from timing import ALPHABET, Row, arguments, compare, interleaved, show

from charlm.cli.options import limit_threads

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
# NumPy's BLAS reads its threads once, when NumPy is imported: ask charlm first, then pin, then import.
limit_threads(None)
CHARLM_THREADS = os.environ[BLAS_THREADS]
os.environ[BLAS_THREADS] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from charlm.config import ModelConfig, SamplingConfig  # noqa: E402
from charlm.inference.generation import generate  # noqa: E402
from charlm.inference.network import Network as NumpyNetwork  # noqa: E402
from charlm.nn.network import Network as TorchNetwork  # noqa: E402
from charlm.text.tokenizers.char import CharTokenizer  # noqa: E402

WIDTHS = (128, 256, 512)
TOKENS, QUICK_TOKENS = 500, 20


class PlainSampler:
    """A two-layer nn.LSTM with its embedding and head, stepped a token at a time."""

    def __init__(self, config: ModelConfig, weights: dict[str, np.ndarray]):
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_size)
        self.lstm = nn.LSTM(config.embedding_size, config.hidden_size, config.num_layers)
        self.linear = nn.Linear(config.hidden_size, config.vocabulary_size)
        tensors = {name: torch.from_numpy(values) for name, values in weights.items()}
        self.embedding.weight.data = tensors["embedding.weight"]
        self.linear.weight.data, self.linear.bias.data = tensors["head.weight"], tensors["head.bias"]
        for layer in range(config.num_layers):
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(self.lstm, f"{part}_l{layer}").data = tensors[f"decoder.{layer}.{part}_l0"]

    @torch.inference_mode()
    def sample(self, tokens: int, first: int) -> None:
        token, state = torch.tensor([[first]]), None                # (1, 1)
        for _ in range(tokens):
            x, state = self.lstm(self.embedding(token), state)      # (1, 1, H)
            probabilities = torch.softmax(self.linear(x[0]), dim=-1)
            token = torch.multinomial(probabilities, 1)


def row(hidden: int, tokens: int, repeats: int) -> Row:
    """Both samplers on the same random weights."""
    tokenizer = CharTokenizer(np.array(sorted(map(ord, ALPHABET))))
    config = ModelConfig(vocabulary_size=tokenizer.size, hidden_size=hidden)
    weights = {name: values.numpy() for name, values in TorchNetwork(config).weights().items()}
    network, plain = NumpyNetwork(config, weights), PlainSampler(config, weights)
    nothing = np.zeros(0, np.int64)

    def stream() -> None:
        for _ in generate(network, tokenizer, nothing, SamplingConfig(), length=tokens, seed=0):
            pass

    times = interleaved({"torch": lambda: plain.sample(tokens, tokenizer.start_id), "charlm": stream},
                        repeats=repeats)
    rates = {name: series.rate(tokens, "tokens/s") for name, series in times.items()}
    return compare(f"hidden {hidden}, {config.num_layers} layers: tokens/s over nn.LSTM's", ">= 5",
                   rates["charlm"], rates["torch"])


def main() -> None:
    given = arguments(__doc__, repeats=40, quick=2)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    notes = [f"threads: 1 each, rounds: {given.repeats}"]
    if CHARLM_THREADS != "1":
        notes.append(f"a charlm process here would use {CHARLM_THREADS} threads: "
                     f"{BLAS_THREADS} is set")
    tokens = QUICK_TOKENS if given.quick else TOKENS
    show([row(hidden, tokens, given.repeats) for hidden in WIDTHS], *notes)


if __name__ == "__main__":
    main()
