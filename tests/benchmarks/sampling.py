"""Sampling one sequence: charlm's `generate` against an nn.LSTM stepped token by token, on one thread each.

Run it by hand: `python tests/benchmarks/sampling.py`. It never fails on time.
"""

from __future__ import annotations

import os

from timing import ALPHABET, Row, compare, parse_arguments, print_table, time_interleaved

from charlm.cli.options import limit_threads

BLAS_THREADS = "OPENBLAS_NUM_THREADS"
# NumPy's BLAS reads this once, when NumPy is imported: note what charlm would set, then pin it, then import NumPy.
limit_threads(None)
CHARLM_THREADS = os.environ[BLAS_THREADS]
os.environ[BLAS_THREADS] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from plain_lstm import PlainLSTM  # noqa: E402

from charlm.config import ModelConfig, SamplingConfig  # noqa: E402
from charlm.inference.generation import generate  # noqa: E402
from charlm.inference.network import Network as NumpyNetwork  # noqa: E402
from charlm.nn.network import Network as TorchNetwork  # noqa: E402
from charlm.text.tokenizers.char import CharTokenizer  # noqa: E402

HIDDEN_SIZES = (128, 256, 512)
TOKENS, QUICK_TOKENS = 500, 20


@torch.inference_mode()
def sample_with_torch(plain: PlainLSTM, tokens: int, start_id: int) -> None:
    """Sample tokens one at a time, as a plain loop in torch does."""
    token, state = torch.tensor([[start_id]]), None                     # (1, 1)
    for _ in range(tokens):
        x, state = plain.lstm(plain.embedding(token), state)            # (1, 1, H)
        token = torch.multinomial(torch.softmax(plain.head(x[0]), dim=-1), 1)


def measure(hidden: int, tokens: int, repeats: int) -> Row:
    """Compare both samplers with the same random weights."""
    tokenizer = CharTokenizer(np.array(sorted(map(ord, ALPHABET))))
    config = ModelConfig(vocabulary_size=tokenizer.size, hidden_size=hidden)
    weights = {name: values.numpy() for name, values in TorchNetwork(config).weights().items()}
    network, plain = NumpyNetwork(config, weights), PlainLSTM(config).load_weights(weights)
    empty_prompt = np.zeros(0, np.int64)

    def sample_with_charlm() -> None:
        for _ in generate(network, tokenizer, empty_prompt, SamplingConfig(), length=tokens, seed=0):
            pass

    calls = {"torch": lambda: sample_with_torch(plain, tokens, tokenizer.start_id), "charlm": sample_with_charlm}
    rates = {name: series.rate(tokens, "tokens/s") for name, series in time_interleaved(calls, repeats=repeats).items()}
    return compare(f"hidden {hidden}, {config.num_layers} layers: tokens/s over nn.LSTM's", ">= 5",
                   rates["charlm"], rates["torch"])


def main() -> None:
    """Measure and print the table."""
    arguments = parse_arguments(__doc__, repeats=40, quick_repeats=2)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    notes = [f"threads: 1 each, rounds: {arguments.repeats}"]
    if CHARLM_THREADS != "1":
        notes.append(f"here a charlm process would use {CHARLM_THREADS} threads, because {BLAS_THREADS} is set")
    tokens = QUICK_TOKENS if arguments.quick else TOKENS
    print_table([measure(hidden, tokens, arguments.repeats) for hidden in HIDDEN_SIZES], *notes)


if __name__ == "__main__":
    main()
