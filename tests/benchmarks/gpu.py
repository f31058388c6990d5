"""Training and scoring on a GPU against the same on the CPU, in characters per second.

Run it by hand on a machine with a GPU: `python tests/benchmarks/gpu.py`. Without one it prints "no GPU" and exits with
status 0. It never fails on time.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("GOMP_SPINCOUNT", "1000")     # as the command does, and before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from timing import ALPHABET, Row, Series, compare, parse_arguments, print_table, write_text  # noqa: E402

from charlm.config import ModelConfig, TrainingConfig  # noqa: E402
from charlm.model import LanguageModel  # noqa: E402
from charlm.modelfile import Model  # noqa: E402
from charlm.text.reading import Text  # noqa: E402
from charlm.text.text_corpus import TextCorpus, build_text_corpus  # noqa: E402
from charlm.text.tokenizers.char import CharTokenizer  # noqa: E402
from charlm.training.trainer import Trainer  # noqa: E402

RUNS = ((256, 32), (512, 64))           # hidden size, batch size; of two LSTM layers
UPDATES, QUICK_UPDATES = 20, 1          # per round; fewer on the CPU, where an update takes longer
CORPUS_BYTES, LINES, LINE_LENGTH = 1_000_000, 1024, 100
BUDGET = 8.0                            # seconds after which a measurement starts no further round


def rate(name: str, work: Callable[[], int], repeats: int) -> Series:
    """Return characters per second of at most `repeats` rounds, at least two; `work` returns its characters."""
    work()                              # warms up caches and kernels
    values, start = [], time.perf_counter()
    while len(values) < repeats and (len(values) < 2 or time.perf_counter() - start < BUDGET):
        begin = time.perf_counter()
        characters = work()
        values.append(characters / (time.perf_counter() - begin))
    return Series(name, values, "characters/s")


def row(benchmark: str, target: str, gpu: Series, cpu: Series) -> Row:
    """Compare two series that are not interleaved: by the GPU's rounds over the CPU's median."""
    return compare(f"{benchmark} (x CPU)", target, gpu, Series(cpu.name, [cpu.median()] * len(gpu.values), cpu.unit))


def random_corpus() -> TextCorpus:
    """Return a corpus of random text."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "corpus.txt")
        write_text(path, CORPUS_BYTES)
        return build_text_corpus([Text(path)])


def training_rate(corpus: TextCorpus, hidden: int, batch_size: int, device: str, updates: int, repeats: int) -> Series:
    """Measure updates of `charlm train` with its default optimizer."""
    run = TrainingConfig(1_000_000, batch_size=batch_size)
    trainer = Trainer(corpus, ModelConfig(corpus.tokenizer.size, hidden_size=hidden), run, device=device)
    steps = iter(range(run.steps))

    def work() -> int:
        for _ in range(updates):
            trainer.update(next(steps))
        if device == "cuda":
            torch.cuda.synchronize()
        return updates * batch_size * run.bptt

    return rate("GPU" if device == "cuda" else "CPU", work, repeats)


def scoring_rate(hidden: int, device: str, lines: int, repeats: int) -> Series:
    """Measure what `charlm score --device DEVICE` computes for random lines: NumPy on the CPU, torch on a GPU."""
    tokenizer = CharTokenizer(np.array(sorted(map(ord, ALPHABET))))
    config, rng = ModelConfig(tokenizer.size, hidden_size=hidden), np.random.default_rng(0)
    weights = {name: rng.uniform(-0.06, 0.06, shape).astype(np.float32)
               for name, shape in config.parameter_shapes().items()}
    model = LanguageModel(Model(config, tokenizer, weights, {}), device=device)
    letters = np.array(list(ALPHABET.replace("\n", "")))
    texts = ["".join(row) for row in rng.choice(letters, (lines, LINE_LENGTH))]
    return rate("GPU" if device == "cuda" else "NumPy",
                lambda: sum(score.characters for score in model.scores(texts)), repeats)


def main() -> None:
    """Measure and print the table."""
    arguments = parse_arguments(__doc__, repeats=7, quick_repeats=2)
    if not torch.cuda.is_available():
        print("no GPU")
        sys.exit()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)      # as `charlm train` does
    corpus, rows = random_corpus(), []
    updates, lines = (QUICK_UPDATES, LINES // 16) if arguments.quick else (UPDATES, LINES)
    for hidden, batch_size in RUNS:
        gpu = training_rate(corpus, hidden, batch_size, "cuda", updates, arguments.repeats)
        cpu = training_rate(corpus, hidden, batch_size, "cpu", max(updates // 4, 1), arguments.repeats)
        rows.append(row(f"train lstm 2x{hidden}, batch {batch_size}", ">= 1", gpu, cpu))
    for hidden, _ in RUNS:
        gpu, cpu = (scoring_rate(hidden, device, lines, arguments.repeats) for device in ("cuda", "cpu"))
        rows.append(row(f"score lstm 2x{hidden}, {lines} lines", ">= 1", gpu, cpu))
    print_table(rows, f"GPU: {torch.cuda.get_device_name()}, torch {torch.__version__}",
                f"CPU: {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads of torch")


if __name__ == "__main__":
    main()
