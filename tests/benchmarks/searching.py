"""Beam search: charlm's NumPy network against its torch network under the same search, a thread each.

Run it by hand: `python tests/benchmarks/searching.py`. It never fails on time.
"""

from __future__ import annotations

import os

from timing import Row, arguments, compare, interleaved, show

os.environ["OPENBLAS_NUM_THREADS"] = "1"    # read once, when NumPy is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402

from charlm.config import ModelConfig  # noqa: E402
from charlm.inference.beam import beam_search  # noqa: E402
from charlm.inference.matmul import matmul  # noqa: E402
from charlm.inference.network import Network as NumpyNetwork  # noqa: E402
from charlm.nn.network import Network as TorchNetwork  # noqa: E402
from charlm.nn.state import State  # noqa: E402

HIDDEN, VOCABULARY, BOUNDARY = 128, 65, 64
SOURCES, LENGTH = 64, 12
BEAMS = (1, 5)


class _TorchState:
    """The part of a state that a search uses, over torch's."""

    def __init__(self, state: State):
        self.state = state

    def select(self, rows: np.ndarray) -> _TorchState:
        return _TorchState(self.state.select(torch.from_numpy(rows)))


class _TorchSearched:
    """A torch network as a search in NumPy sees one."""

    def __init__(self, network: TorchNetwork):
        self._network = network

    def encode(self, source: np.ndarray, lengths: np.ndarray) -> _TorchState:
        return _TorchState(self._network.encode(torch.from_numpy(source), torch.from_numpy(lengths)))

    def step(self, tokens: np.ndarray, state: _TorchState) -> tuple[np.ndarray, _TorchState]:
        logits, new = self._network.step(torch.from_numpy(tokens), state.state)
        return logits.numpy(), _TorchState(new)


def row(width: int, repeats: int) -> Row:
    """Both networks with the same random weights; nothing ends before the limit, so the work is equal."""
    config = ModelConfig(VOCABULARY, hidden_size=HIDDEN, encoder="bidirectional",
                         source_vocabulary_size=VOCABULARY, attention=True)
    network = TorchNetwork(config).eval()
    weights = {name: values.numpy() for name, values in network.weights().items()}
    weights["head.bias"][BOUNDARY] = -100
    network.load_weights(weights)
    source = np.random.default_rng(0).integers(BOUNDARY, size=(SOURCES, LENGTH))
    lengths, limits = np.full(SOURCES, LENGTH), np.full(SOURCES, LENGTH)

    @torch.inference_mode()
    def search(searched) -> None:
        beam_search(searched, searched.encode(source, lengths), eos_id=BOUNDARY, banned=(),
                    width=width, limits=limits, length_penalty=1.0)

    networks = {"charlm": NumpyNetwork(config, weights, matmul=matmul), "torch": _TorchSearched(network)}
    times = interleaved({name: lambda one=one: search(one) for name, one in networks.items()}, repeats=repeats)
    rates = {name: series.rate(SOURCES, "sources/s") for name, series in times.items()}
    return compare(f"beam {width}, hidden {HIDDEN}, 2 layers: sources/s over torch's", ">= 1",
                   rates["charlm"], rates["torch"])


def main() -> None:
    given = arguments(__doc__, repeats=20, quick=2)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    show([row(width, given.repeats) for width in BEAMS], f"threads: 1 each, rounds: {given.repeats}")


if __name__ == "__main__":
    main()
