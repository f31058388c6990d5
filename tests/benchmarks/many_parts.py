"""What `many_networks.py` trains and how it runs: settings, the layout and start of the weights, CUDA graphs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

EMBEDDING, WARMUP = 64, 50


@dataclass(frozen=True)
class Data:
    """A corpus as token ids."""

    train: np.ndarray
    held_out: np.ndarray
    vocabulary: int
    start_id: int


@dataclass(frozen=True)
class Settings:
    """How one of the models is trained."""

    data: Data
    steps: int
    dropout: float = 0.0
    weight_decay: float = 0.0
    learning_rate: float = 6e-3
    seed: int = 0


def learning_rate_factors(steps: Sequence[int]) -> np.ndarray:
    """Return the factor (max(steps) + 1, M) of each step and model: linear warm-up, then linear decay to 0."""
    at, ends = np.arange(max(steps) + 1)[:, None], np.array(steps)
    warmup = np.minimum(WARMUP, np.maximum(ends // 10, 1))
    return np.minimum(1.0, (at + 1) / warmup) * np.maximum(1 - at / ends, 0.0)


class Weights:
    """Views (M, ...) by name into a flat buffer (M, P), the matrices for Muon first."""

    def __init__(self, models: int, hidden: int, vocabulary: int):
        four = 4 * hidden
        shapes = {"decoder.0.weight_ih_l0": (four, EMBEDDING), "decoder.0.weight_hh_l0": (four, hidden),
                  "decoder.1.weight_ih_l0": (four, hidden), "decoder.1.weight_hh_l0": (four, hidden),
                  "embedding.weight": (vocabulary, EMBEDDING), "head.weight": (vocabulary, hidden),
                  "head.bias": (vocabulary,)}
        shapes |= {f"decoder.{n}.bias_{kind}_l0": (four,) for n in (0, 1) for kind in ("ih", "hh")}
        self.models, self.hidden, self.shapes = models, hidden, shapes
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()]).tolist()
        self._ends = dict(zip(shapes, ends, strict=True))
        self.narrow, self.matrices, self.size = ends[0], ends[3], ends[-1]     # where the kinds of blocks end

    def views(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return every parameter of a flat buffer (M, P) by name, as a view."""
        return {name: flat[:, end - math.prod(self.shapes[name]):end].view(self.models, *self.shapes[name])
                for name, end in self._ends.items()}


@torch.no_grad()
def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Return the polar factors of square Gaussian matrices (N, H, H), which are uniform orthogonal matrices."""
    x = matrices.double() / torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True)     # TF32 is too coarse
    for _ in range(60):                 # the smallest singular values are around 1e-6, and grow by a half each time
        x = 1.5 * x - 0.5 * torch.bmm(torch.bmm(x, x.mT), x)
    return x


@torch.no_grad()
def initialise(views: dict[str, torch.Tensor], model: int, settings: Settings) -> None:
    """Initialise one model as `charlm.nn` does, but for the random numbers."""
    device = views["head.bias"].device
    rng = torch.Generator(device).manual_seed(settings.seed)
    for name, values in views.items():
        one = values[model]
        if "weight_hh" in name:
            gates = torch.randn(4, *one.view(4, -1, one.shape[1]).shape[1:], generator=rng, device=device)
            one.copy_(orthogonal(gates).flatten(0, 1))
        elif "weight_ih" in name:
            one.uniform_(-1, 1, generator=rng).mul_(math.sqrt(6 / (len(one) // 4 + one.shape[1])))
        elif "bias" in name:
            one.zero_()
            if "bias_ih" in name:
                one.chunk(4)[1].fill_(1.0)
        else:
            one.zero_()
            used = one[:settings.data.vocabulary]
            if name == "head.weight":
                used.uniform_(-1, 1, generator=rng).mul_(math.sqrt(6 / sum(used.shape)))
            else:
                used.normal_(generator=rng)


class Replay:
    """A piece of work without host decisions, as a CUDA graph where possible."""

    def __init__(self, work: Callable[[], None], device: torch.device, log: Callable[[str], None]):
        self._work, self._graph = work, None
        if device.type != "cuda":
            return
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                work()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        torch.cuda.empty_cache()        # the graph has a separate pool
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                work()
            self._graph = graph
        except RuntimeError as error:
            log(f"no CUDA graph, running eagerly: {str(error).splitlines()[0]}")
            torch.cuda.synchronize()

    def __call__(self) -> None:
        """Do the work once."""
        if self._graph is None:
            self._work()
        else:
            self._graph.replay()
