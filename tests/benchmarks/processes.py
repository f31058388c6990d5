"""Whole processes: `charlm sample`, `charlm score` and the help texts against a process that imports torch.

Run it by hand: `python tests/benchmarks/processes.py`. It never fails on time.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable

import numpy as np
from timing import ALPHABET, Row, compare, parse_arguments, print_table, time_interleaved

from charlm.config import ModelConfig
from charlm.modelfile import Model, save
from charlm.text.line_hashes import LineHashes
from charlm.text.special_tokens import eos_id, vocabulary_sizes
from charlm.text.tokenizers.char import CharTokenizer

CHARLM = (sys.executable, "-m", "charlm")
IMPORT_TORCH = (sys.executable, "-c", "import torch")
HELP = ("--help", *(f"{verb} --help" for verb in ("train", "sample", "translate", "eval", "info")))
HIDDEN_SIZES = {"text": 256, "lines": 128}      # what a book, or all names of a country, get by default
NAME_LENGTH = 7                                 # characters
SAMPLED_NAMES, QUICK_SAMPLED_NAMES, SCORED_NAMES = 10_000, 100, 1000


def save_random_model(path: str, task: str) -> None:
    """Save a model of two layers with random weights; the lines that it samples are as short as names."""
    tokenizer = CharTokenizer(np.array(sorted(map(ord, ALPHABET))))
    size, _ = vocabulary_sizes(task, tokenizer, tokenizer)
    config = ModelConfig(size, hidden_size=HIDDEN_SIZES[task])
    rng = np.random.default_rng(0)
    weights = {name: rng.uniform(-0.06, 0.06, shape).astype(np.float32)
               for name, shape in config.parameter_shapes().items()}
    if task == "lines":
        weights["head.bias"][eos_id(tokenizer)] = np.log(tokenizer.size / NAME_LENGTH)
    known = LineHashes(np.zeros(0, np.uint64)) if task == "lines" else None
    save(path, Model(config, tokenizer, weights, {}, task, line_hashes=known))


def write_names(path: str, count: int) -> None:
    """Write lines of NAME_LENGTH random letters."""
    letters = random.Random(0).choices(ALPHABET.replace("\n", ""), k=count * NAME_LENGTH)
    with open(path, "w", encoding="ascii") as file:
        file.writelines("".join(letters[start:start + NAME_LENGTH]) + "\n"
                        for start in range(0, len(letters), NAME_LENGTH))


def runner(command: tuple[str, ...], directory: str) -> Callable[[], object]:
    """Return a function that runs a command without its output; it raises CalledProcessError if the command fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHARLM_")}
    return lambda: subprocess.run(command, cwd=directory, env=environment, check=True, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure_all(directory: str, repeats: int, warmup: int, names: int) -> list[Row]:
    """Return one row per command."""
    save_random_model(os.path.join(directory, "text.charlm"), "text")
    save_random_model(os.path.join(directory, "names.charlm"), "lines")
    write_names(os.path.join(directory, "names.txt"), SCORED_NAMES)
    targets = {"sample -m text.charlm -n 500": "<= 0.35", "score -m names.charlm names.txt": "<= 0.6",
               f"sample -m names.charlm -N {names}": "<= 1.5"} | dict.fromkeys(HELP, "<= 0.12")
    calls = {"import torch": runner(IMPORT_TORCH, directory)}
    calls |= {command: runner((*CHARLM, *command.split()), directory) for command in targets}
    times = time_interleaved(calls, repeats=repeats, warmup=warmup)
    baseline = times.pop("import torch")
    return [compare(f"charlm {command}: over `import torch`", targets[command], series, baseline)
            for command, series in times.items()]


def main() -> None:
    """Measure and print the table."""
    arguments = parse_arguments(__doc__, repeats=20, quick_repeats=1)
    names = QUICK_SAMPLED_NAMES if arguments.quick else SAMPLED_NAMES
    with tempfile.TemporaryDirectory() as directory:
        rows = measure_all(directory, arguments.repeats, 0 if arguments.quick else 1, names)
    print_table(rows, f"rounds: {arguments.repeats}; names.txt: {SCORED_NAMES:,} lines of {NAME_LENGTH} characters")


if __name__ == "__main__":
    main()
