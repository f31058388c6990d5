"""Beam search: charlm's NumPy network against its torch network under the same search, on one thread each.

Run it by hand: `python tests/benchmarks/searching.py`. It never fails on time.
"""

from __future__ import annotations

import os

from timing import Row, compare, parse_arguments, print_table, time_interleaved

os.environ["OPENBLAS_NUM_THREADS"] = "1"    # read once, when NumPy is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402

from charlm.config import ModelConfig  # noqa: E402
from charlm.inference.beam import beam_search  # noqa: E402
from charlm.inference.matmul import matmul  # noqa: E402
from charlm.inference.network import Network as NumpyNetwork  # noqa: E402
from charlm.nn.network import Network as TorchNetwork  # noqa: E402
from charlm.nn.state import State  # noqa: E402

HIDDEN_SIZE, VOCABULARY_SIZE, EOS_ID = 128, 65, 64
SOURCES, SOURCE_LENGTH = 64, 12
BEAM_WIDTHS = (1, 5)


class _TorchState:
    """A torch state whose rows are selected by NumPy indices, as the search does."""

    def __init__(self, state: State):
        self.state = state

    def select(self, rows: np.ndarray) -> _TorchState:
        return _TorchState(self.state.select(torch.from_numpy(rows)))


class _TorchAdapter:
    """A torch network with arrays in and out, as the search expects."""

    def __init__(self, network: TorchNetwork):
        self._network = network

    def encode(self, source: np.ndarray, lengths: np.ndarray) -> _TorchState:
        return _TorchState(self._network.encode(torch.from_numpy(source), torch.from_numpy(lengths)))

    def step(self, tokens: np.ndarray, state: _TorchState) -> tuple[np.ndarray, _TorchState]:
        logits, new = self._network.step(torch.from_numpy(tokens), state.state)
        return logits.numpy(), _TorchState(new)


def measure(width: int, repeats: int) -> Row:
    """Compare both networks with the same random weights; no hypothesis ends early, so that the work is equal."""
    config = ModelConfig(VOCABULARY_SIZE, hidden_size=HIDDEN_SIZE, encoder="bidirectional",
                         source_vocabulary_size=VOCABULARY_SIZE, attention=True)
    network = TorchNetwork(config).eval()
    weights = {name: values.numpy() for name, values in network.weights().items()}
    weights["head.bias"][EOS_ID] = -100
    network.load_weights(weights)
    source = np.random.default_rng(0).integers(EOS_ID, size=(SOURCES, SOURCE_LENGTH))
    lengths = np.full(SOURCES, SOURCE_LENGTH)

    @torch.inference_mode()
    def search(network) -> None:
        beam_search(network, network.encode(source, lengths), eos_id=EOS_ID, banned=(), width=width, limits=lengths,
                    length_penalty=1.0)

    networks = {"charlm": NumpyNetwork(config, weights, matmul=matmul), "torch": _TorchAdapter(network)}
    times = time_interleaved({name: lambda network=network: search(network) for name, network in networks.items()},
                             repeats=repeats)
    rates = {name: series.rate(SOURCES, "sources/s") for name, series in times.items()}
    return compare(f"beam {width}, hidden {HIDDEN_SIZE}, 2 layers: sources/s over torch's", ">= 1",
                   rates["charlm"], rates["torch"])


def main() -> None:
    """Measure and print the table."""
    arguments = parse_arguments(__doc__, repeats=20, quick_repeats=2)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print_table([measure(width, arguments.repeats) for width in BEAM_WIDTHS],
                f"threads: 1 each, rounds: {arguments.repeats}")


if __name__ == "__main__":
    main()
