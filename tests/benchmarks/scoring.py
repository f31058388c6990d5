"""Scoring lines: charlm's `score_rows` against an nn.LSTM on the same padded batches, on one thread each.

Run it by hand: `python tests/benchmarks/scoring.py`. It never fails on time.
"""

from __future__ import annotations

import os

from timing import Row, compare, parse_arguments, print_table, time_interleaved

os.environ["OPENBLAS_NUM_THREADS"] = "1"    # read once, when NumPy is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from plain_lstm import PlainLSTM  # noqa: E402

from charlm.config import ModelConfig  # noqa: E402
from charlm.inference.matmul import matmul  # noqa: E402
from charlm.inference.network import Network as NumpyNetwork  # noqa: E402
from charlm.inference.scoring import ROWS, score_rows  # noqa: E402
from charlm.nn.network import Network as TorchNetwork  # noqa: E402
from charlm.text.examples import batch_by_length, padded  # noqa: E402
from charlm.text.special_tokens import with_bos_eos  # noqa: E402
from charlm.text.tokenizers.char import CharTokenizer  # noqa: E402

HIDDEN_SIZE, VOCABULARY_SIZE = 256, 100
LINES, QUICK_LINES = (32, 64, 256, 1024), (8, 16)
MIN_LENGTH, MAX_LENGTH = 20, 200            # characters of a line


@torch.inference_mode()
def score_with_torch(plain: PlainLSTM, ids: torch.Tensor) -> torch.Tensor:
    """Return the nats (T, B) of every id of (1 + T, B) except the first of each sequence."""
    logits = plain.head(plain.lstm(plain.embedding(ids[:-1]))[0])               # (T, B, V)
    return -torch.log_softmax(logits, dim=-1).gather(2, ids[1:, :, None])[..., 0]


def pad_batches(rows: list[np.ndarray]) -> list[torch.Tensor]:
    """Return the rows as padded batches (1 + T, B), formed as `score_rows` forms them."""
    ordered = sorted(rows, key=len)
    lengths = np.array([len(row) - 1 for row in ordered])
    return [torch.from_numpy(padded(ordered[batch], 0)).T.contiguous() for batch in batch_by_length(lengths, ROWS)]


def measure(lines: int, repeats: int) -> Row:
    """Compare both scorers with the same random weights on this number of random lines."""
    rng = np.random.default_rng(0)
    tokenizer = CharTokenizer(np.arange(32, 32 + VOCABULARY_SIZE - 2))      # the other two ids are <unk> and the end
    config = ModelConfig(VOCABULARY_SIZE, hidden_size=HIDDEN_SIZE)
    weights = {name: values.numpy() for name, values in TorchNetwork(config).weights().items()}
    network, plain = NumpyNetwork(config, weights, matmul=matmul), PlainLSTM(config).load_weights(weights)
    rows = [with_bos_eos(tokenizer, rng.integers(1, tokenizer.size, size=rng.integers(MIN_LENGTH, MAX_LENGTH + 1)))
            for _ in range(lines)]
    batches, tokens = pad_batches(rows), sum(len(row) - 1 for row in rows)
    times = time_interleaved({"torch": lambda: [score_with_torch(plain, ids) for ids in batches],
                              "charlm": lambda: score_rows(network, tokenizer, rows)}, repeats=repeats)
    rates = {name: series.rate(tokens, "tokens/s") for name, series in times.items()}
    return compare(f"{lines} lines, hidden {HIDDEN_SIZE}, {config.num_layers} layers: tokens/s over nn.LSTM's",
                   ">= 0.9", rates["charlm"], rates["torch"])


def main() -> None:
    """Measure and print the table."""
    arguments = parse_arguments(__doc__, repeats=15, quick_repeats=2)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print_table([measure(lines, arguments.repeats) for lines in (QUICK_LINES if arguments.quick else LINES)],
                f"threads: 1 each, rounds: {arguments.repeats}")


if __name__ == "__main__":
    main()
