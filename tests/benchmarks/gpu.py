"""A GPU: training against a bare cuDNN loop, scoring and sampling against the CPU, equal logits, a killed run.

Run it by hand on a machine with a GPU:

    python tests/benchmarks/gpu.py --seconds 90         # the table
    python tests/benchmarks/gpu.py --quick              # shows that it runs, in half a minute
    python -m pytest -m gpu tests/gpu                   # what must hold, without times

Without a GPU it prints "no GPU" and exits with status 0. It never fails on time: what does not fit into --seconds is
left out, and named. A bare loop is an embedding, torch's nn.LSTM of two layers and a head, trained by AdamW.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

os.environ.setdefault("GOMP_SPINCOUNT", "1000")     # as the command does, and before torch is imported

import killed_run  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from plain_lstm import PlainLSTM  # noqa: E402
from timing import ALPHABET, Row, Series, compare, parse_arguments, print_table, time_interleaved  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from charlm.config import ModelConfig, SamplingConfig, TrainingConfig  # noqa: E402
from charlm.inference.generation import generate  # noqa: E402
from charlm.inference.network import Network as NumpyNetwork  # noqa: E402
from charlm.model import LanguageModel  # noqa: E402
from charlm.modelfile import Model  # noqa: E402
from charlm.nn.numpy_adapter import NumpyAdapter  # noqa: E402
from charlm.text.reading import Text  # noqa: E402
from charlm.text.text_corpus import TextCorpus, build_text_corpus  # noqa: E402
from charlm.text.tokenizers.char import CharTokenizer  # noqa: E402
from charlm.training.optimizers import BETAS  # noqa: E402
from charlm.training.trainer import Trainer  # noqa: E402

HIDDEN, QUICK_HIDDEN = (256, 512, 1024, 2048), (32,)
BATCH_SIZE, BPTT, UPDATES = 64, 64, 4   # updates in a round
SECONDS = 90.0                          # in all
TRAINING_SECONDS = 5.0                  # of the rounds of one hidden size
KILLED_RUN_SECONDS = 30.0               # kept for the killed run
INFERENCE, QUICK_INFERENCE = (256, 1024), (32,)
LINES, LINE_LENGTH, SAMPLED, SAMPLES = 512, 100, 200, 64
HAS_PRECISION = any(field.name == "precision" for field in dataclasses.fields(TrainingConfig))
PRECISIONS = ("float32", "bfloat16") if HAS_PRECISION else ("float32",)
TYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class BareLoop:
    """The training loop that anyone would write around nn.LSTM on a GPU."""

    def __init__(self, corpus: TextCorpus, model: ModelConfig, precision: str, device: str):
        self._device, self._type, self._state = device, TYPES[precision], None
        self.output_type = torch.float32                # of the recurrent layers, which autocast chooses
        self._model = PlainLSTM(model).to(device)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=1e-3, betas=BETAS, fused=True)
        self._scaler = torch.amp.GradScaler(device, enabled=precision == "float16" and device == "cuda")
        ids = torch.from_numpy(corpus.train.slice(0, len(corpus.train)))
        length = len(ids) // BATCH_SIZE
        self._lanes = ids[:length * BATCH_SIZE].view(BATCH_SIZE, length).T.contiguous().to(device)

    def update(self, step: int) -> None:
        """Train on one window of every lane."""
        start = step * BPTT % (len(self._lanes) - BPTT - 1)
        inputs, targets = self._lanes[start:start + BPTT], self._lanes[start + 1:start + BPTT + 1]  # (T, B)
        with torch.autocast(self._device, self._type, enabled=self._type is not None):
            x, state = self._model.lstm(self._model.embedding(inputs), self._state)
            loss = F.cross_entropy(self._model.head(x).flatten(0, 1), targets.flatten())
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._state, self.output_type = tuple(part.detach() for part in state), x.dtype


def updates(update: Callable[[int], object], device: str) -> Callable[[], None]:
    """Return a function that makes the next UPDATES updates and waits for them."""
    step = 0

    def call() -> None:
        nonlocal step
        for _ in range(UPDATES):
            update(step)
            step += 1
        if device == "cuda":
            torch.cuda.synchronize()
    return call


def that_run(calls: dict[str, Callable[[], object]]) -> dict[str, Callable[[], object]]:
    """Return the calls that do not fail, after the first call of each; name the others."""
    found = {}
    for name, call in calls.items():
        try:
            call()
            found[name] = call
        except RuntimeError as error:                   # such as a type that cuDNN lacks
            print(f"{name} fails: {str(error).splitlines()[0]}", flush=True)
    return found


def time_for(calls: dict[str, Callable[[], object]], seconds: float, repeats: int) -> dict[str, Series]:
    """Time calls in turn, for `seconds` or `repeats` rounds, whichever ends sooner."""
    first = time_interleaved(calls, repeats=1, warmup=2)
    round_seconds = sum(series.median() for series in first.values()) / 1000
    return time_interleaved(calls, repeats=max(min(int(seconds / round_seconds), repeats), 1), warmup=0)


def training_rows(corpus: TextCorpus, hidden: int, device: str, repeats: int) -> Iterator[Row]:
    """Compare charlm's updates with the bare loop's, and the bare loop's precisions with each other."""
    model = ModelConfig(corpus.tokenizer.size, hidden_size=hidden)
    bare = {name: BareLoop(corpus, model, name, device) for name in (TYPES if device == "cuda" else ("float32",))}
    calls = {f"bare {name}": updates(loop.update, device) for name, loop in bare.items()}
    for precision in PRECISIONS:
        for optimizer in ("muon", "adamw"):
            run = TrainingConfig(1_000_000, batch_size=BATCH_SIZE, bptt=BPTT, optimizer=optimizer, dropout=0.0,
                                 **({"precision": precision} if HAS_PRECISION else {}))
            calls[f"{optimizer} {precision}"] = updates(Trainer(corpus, model, run, device=device).update, device)
    characters = UPDATES * BATCH_SIZE * BPTT
    rates = {name: series.rate(characters, "characters/s")
             for name, series in time_for(that_run(calls), TRAINING_SECONDS, repeats).items()}
    pairs = [(f"{optimizer} {precision}", f"bare {precision}", target) for precision in PRECISIONS
             for optimizer, target in (("muon", ">= 0.5"), ("adamw", ">= 0.9"))]
    pairs += [(f"bare {name}", "bare float32", ">= 1") for name in bare if name != "float32"]
    print(f"bare loops of 2x{hidden} computed in", {name: str(loop.output_type) for name, loop in bare.items()})
    for subject, baseline, target in pairs:
        if subject in rates and baseline in rates:
            yield compare(f"train 2x{hidden}: {subject} over {baseline}", target, rates[subject], rates[baseline])


def random_model(hidden: int, cell: str = "lstm") -> Model:
    """Return a model of running text with random weights."""
    tokenizer = CharTokenizer(np.array(sorted(map(ord, ALPHABET))))
    config, rng = ModelConfig(tokenizer.size, hidden_size=hidden, cell=cell), np.random.default_rng(0)
    return Model(config, tokenizer, {name: rng.uniform(-0.06, 0.06, shape).astype(np.float32)
                                     for name, shape in config.parameter_shapes().items()}, {})


def networks(model: Model, device: str) -> dict[str, object]:
    """Return the network of the command line and the one on the device."""
    return {"NumPy": NumpyNetwork(model.config, model.weights),
            "torch": NumpyAdapter(model.config, model.weights, device)}


def scoring_row(hidden: int, device: str, repeats: int, lines: int) -> Row:
    """Compare `charlm score --device cuda` with `--device cpu` on random lines."""
    stored = random_model(hidden)
    letters = np.array(list(ALPHABET.replace("\n", "")))
    texts = ["".join(row) for row in np.random.default_rng(0).choice(letters, (lines, LINE_LENGTH))]
    models = {"NumPy": LanguageModel(stored), "GPU": LanguageModel(stored, device=device)}
    calls = {name: functools.partial(model.scores, texts) for name, model in models.items()}
    rates = {name: series.rate(lines * (LINE_LENGTH + 1), "characters/s")
             for name, series in time_for(calls, 3.0, repeats).items()}
    return compare(f"score 2x{hidden}, {lines} lines", ">= 1", rates["GPU"], rates["NumPy"])


def sampling_row(hidden: int, device: str, repeats: int, samples: int, length: int) -> Row:
    """Compare sampling with NumPy, which is all that `charlm sample` does, with torch's network on the device."""
    model = random_model(hidden)

    def call(network: object) -> Callable[[], object]:
        return lambda: list(generate(network, model.tokenizer, np.zeros(1, np.int32), SamplingConfig(), length=length,
                                     seed=0, samples=range(samples)))

    calls = {name: call(network) for name, network in networks(model, device).items()}
    rates = {name: series.rate(samples * length, "characters/s")
             for name, series in time_for(calls, 1.5, repeats).items()}
    return compare(f"sample 2x{hidden}, {samples} at once", ">= 1", rates["torch"], rates["NumPy"])


def equality_row(cell: str, device: str) -> Row:
    """Return the largest difference between logits on the device and NumPy's."""
    model = random_model(128, cell)
    tokens = np.random.default_rng(1).integers(0, model.tokenizer.size, (8, 64))
    one, other = (network.step(tokens, network.start(8))[0] for network in networks(model, device).values())
    return Row(f"logits of {cell} 2x128: largest difference", "<= 0.0001", f"{np.abs(one - other).max():.2g}", "-",
               f"largest logit {np.abs(one).max():.3g}")


def measure(arguments: argparse.Namespace, device: str, end: float) -> Iterator[Row]:
    """Yield all rows that fit in before `end`, of time.monotonic()."""
    quick, repeats = arguments.quick, arguments.repeats
    corpus = build_text_corpus([Text(str(killed_run.TEXT))])
    yield from (equality_row(cell, device) for cell in ("lstm", "gru", "rnn"))
    torch.backends.cudnn.allow_tf32 = True              # torch's default, which the rows of equality turned off
    steps = [(f"train 2x{hidden}", lambda hidden=hidden: [*training_rows(corpus, hidden, device, repeats)])
             for hidden in (QUICK_HIDDEN if quick else HIDDEN)]
    for hidden in QUICK_INFERENCE if quick else INFERENCE:
        steps += [(f"score 2x{hidden}", lambda hidden=hidden: [
                      scoring_row(hidden, device, repeats, LINES // 8 if quick else LINES)]),
                  (f"sample 2x{hidden}", lambda hidden=hidden: [
                      sampling_row(hidden, device, repeats, samples, 10 if quick else SAMPLED)
                      for samples in (1, SAMPLES)])]
    for name, step in steps:
        if time.monotonic() + KILLED_RUN_SECONDS > end:
            print(f"no time for {name}", flush=True)
            continue
        yield from step()
    with tempfile.TemporaryDirectory() as folder:
        yield killed_run.measure(folder, device, quick=quick)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for time and device."""
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"time in all; default {SECONDS:g}")
    parser.add_argument("--device", default="cuda", help="cpu shows that the benchmark runs without a GPU")


def main() -> None:
    """Measure and print the table."""
    began = time.monotonic()
    arguments = parse_arguments(__doc__, repeats=15, quick_repeats=2, more=add_flags)
    device = arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        print("no GPU")
        sys.exit()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)      # as `charlm train` does
    rows = []
    for row in measure(arguments, device, began + arguments.seconds):
        print(f"{time.monotonic() - began:5.1f} s  {'  '.join(row.cells())}", flush=True)
        rows.append(row)
    name = torch.cuda.get_device_name() if device == "cuda" else "none"
    print_table(rows, f"GPU: {name}, torch {torch.__version__}",
                f"CPU: {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads of torch",
                f"batch {BATCH_SIZE}, windows of {BPTT}; charlm's precisions: {', '.join(PRECISIONS)}")


if __name__ == "__main__":
    main()
