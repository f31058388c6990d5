"""The memory that a run needs, estimated from its sizes, and the memory that there is.

The estimate is for what a run takes beyond torch itself. In 19 runs of hidden size 768 and 1024, or of large batches,
in either precision and with one or two threads, it was 7 % below to 11 % above the peak.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import CharlmError
from charlm.text.corpora import Corpus

# Copies of a weight, as measured: itself, its gradients, the optimizer's state, the best weights, those of a sample or
# checkpoint, and what malloc and oneDNN keep for the next update.
ADAMW_COPIES = 10
MUON_COPIES = 13                        # with the work space of the orthogonalisation
LOGIT_COPIES = 3                        # logits, their softmax and their gradient
FLOAT = 4                               # bytes
_GIGA = 1e9
# Of control groups: the folder, and in it the limit, the use, and in its memory.stat the part that can be reclaimed.
_VERSION_1 = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def needed(model: ModelConfig, run: TrainingConfig, tokens: float) -> tuple[float, float]:
    """Return the bytes for the weights with all that accompanies them, and for a step that reads `tokens` tokens."""
    shapes = model.parameter_shapes()
    recurrent = sum(rows * columns[0] for name, (rows, *columns) in shapes.items() if columns and "weight_" in name)
    count = model.parameter_count()
    by_muon = recurrent if run.optimizer == "muon" else 0
    weights = ADAMW_COPIES * (count - by_muon) + MUON_COPIES * by_muon + (count if run.averaging else 0)
    weights += count if run.accumulate > 1 else 0               # the gradients of one part, in addition to their sum
    layers = model.num_layers * (1 + model.directions)
    # Each gate before and after its nonlinearity and its gradient; the output.
    step = tokens * ((3 * model.gates + 1) * model.hidden_size * layers + LOGIT_COPIES * model.vocabulary_size)
    return FLOAT * weights, FLOAT * step


def tokens_per_step(corpus: Corpus, run: TrainingConfig, processes: int = 1) -> float:
    """Return the number of tokens held by one process at once: windows of lanes, or lines or pairs of mean length."""
    lengths = getattr(corpus, "lengths", None)
    return run.batch_size / processes / run.accumulate * (run.bptt if lengths is None else float(lengths.mean()))


def available(device: str) -> float | None:
    """Return the bytes that this process may still take: of a GPU's memory, or of the machine's; None if unknown."""
    if device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    return min((*_of_machine(), *_of_groups(), *_of_process()), default=None)


def _table(path: str) -> dict[str, float]:
    """Return the numbers of a file with lines of `name number`, or `name: number kB`; empty if it cannot be read."""
    with suppress(OSError, ValueError):
        lines = (line.replace(":", " ").split() for line in Path(path).read_text().splitlines())
        return {words[0]: float(words[1]) * (1024 if words[2:] == ["kB"] else 1) for words in lines if len(words) > 1
                and words[1].isdigit()}
    return {}


def _number(path: Path) -> float | None:
    with suppress(OSError, ValueError):
        return float(path.read_text())
    return None


def _of_machine() -> Iterator[float]:
    memory = _table("/proc/meminfo")
    if "MemAvailable" in memory:
        yield memory["MemAvailable"] + memory.get("SwapFree", 0.0)


def _of_groups() -> Iterator[float]:
    """Yield what the control groups of this process leave, such as a container's."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds and "memory" not in kinds.split(","):
                continue
            root, limit, usage, cache = _VERSION_1 if kinds else _VERSION_2
            group = Path(root + path)
            for folder in (group, *group.parents):
                most, used = _number(folder / limit), _number(folder / usage)
                if most is not None and used is not None:
                    yield most - used + _table(str(folder / "memory.stat")).get(cache, 0.0)


def _of_process() -> Iterator[float]:
    """Yield what `ulimit -v` leaves."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    size = _table("/proc/self/status").get("VmSize")
    if limit != resource.RLIM_INFINITY and size is not None:
        yield limit - size


def require_memory(model: ModelConfig, run: TrainingConfig, corpus: Corpus, *, device: str, processes: int = 1) -> None:
    """Raise CharlmError with both figures if a run cannot fit into memory."""
    weights, step = needed(model, run, tokens_per_step(corpus, run, processes))
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if processes > 1 and device == "cpu" else 1
    there = available(device)
    if there is None or neighbours * (weights + step) <= there:
        return
    flags = "--hidden or --layers" if weights > step else "--batch-size, --bptt or --hidden"
    advice = "" if weights > step else ", or raise --accumulate"
    raise CharlmError(f"out of memory: this run needs about {neighbours * (weights + step) / _GIGA:.1f} GB, and "
                      f"{max(there, 0) / _GIGA:.1f} GB are available; lower {flags}{advice}")
