"""Whole processes: `charlm sample`, `charlm score` and the help texts against a process that imports torch.

Run it by hand: `python tests/benchmarks/processes.py`. It never fails on time.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile

import numpy as np
from timing import ALPHABET, Row, arguments, compare, interleaved, show

from charlm.config import ModelConfig
from charlm.modelfile import Model, save
from charlm.text.line_hashes import LineHashes
from charlm.text.special_tokens import eos_id, vocabulary_sizes
from charlm.text.tokenizers.char import CharTokenizer

CHARLM = (sys.executable, "-m", "charlm")
IMPORT_TORCH = (sys.executable, "-c", "import torch")
HELPS = ("--help", *(f"{verb} --help" for verb in ("train", "sample", "translate", "eval", "info")))
HIDDEN = {"stream": 256, "lines": 128}
LETTERS, NAMES, QUICK_NAMES, LINES = 7, 10_000, 100, 1000      # of a name, names drawn, lines scored


def random_model(path: str, task: str) -> None:
    """Store a model of two layers with random weights, as wide as the usual one of so much text: one that
    has read a book, or all names of a country. Its lines are as short as names."""
    tokenizer = CharTokenizer(np.array(sorted(map(ord, ALPHABET))))
    size, _ = vocabulary_sizes(task, tokenizer, tokenizer)
    config = ModelConfig(size, hidden_size=HIDDEN[task])
    draw = np.random.default_rng(0)
    weights = {name: draw.uniform(-0.06, 0.06, shape).astype(np.float32)
               for name, shape in config.parameter_shapes().items()}
    if task == "lines":
        weights["head.bias"][eos_id(tokenizer)] = np.log(tokenizer.size / LETTERS)
    known = LineHashes(np.zeros(0, np.uint64)) if task == "lines" else None
    save(path, Model(config, tokenizer, weights, {}, task, line_hashes=known))


def short_lines(path: str, count: int) -> None:
    letters = random.Random(0).choices(ALPHABET.replace("\n", ""), k=count * LETTERS)
    with open(path, "w", encoding="ascii") as file:
        file.writelines("".join(letters[at:at + LETTERS]) + "\n" for at in range(0, len(letters), LETTERS))


def runner(command: tuple[str, ...], folder: str):
    """Run a command in a folder to its end, its output thrown away; CalledProcessError if it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHARLM_")}
    return lambda: subprocess.run(command, cwd=folder, env=clean, check=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)


def rows(folder: str, repeats: int, warm_up: int, names: int) -> list[Row]:
    random_model(os.path.join(folder, "text.charlm"), "stream")
    random_model(os.path.join(folder, "names.charlm"), "lines")
    short_lines(os.path.join(folder, "names.txt"), LINES)
    asked = {"sample -m text.charlm -n 500": "<= 0.35", "score -m names.charlm names.txt": "<= 0.6",
             f"sample -m names.charlm -N {names}": "<= 1.5"} | dict.fromkeys(HELPS, "<= 0.12")
    calls = {"import torch": runner(IMPORT_TORCH, folder)}
    calls |= {command: runner((*CHARLM, *command.split()), folder) for command in asked}
    times = interleaved(calls, repeats=repeats, warm_up=warm_up)
    torch = times.pop("import torch")
    return [compare(f"charlm {command}: over `import torch`", asked[command], series, torch)
            for command, series in times.items()]


def main() -> None:
    given = arguments(__doc__, repeats=20, quick=1)
    with tempfile.TemporaryDirectory() as folder:
        table = rows(folder, given.repeats, 0 if given.quick else 1, QUICK_NAMES if given.quick else NAMES)
    show(table, f"rounds: {given.repeats}; names.txt: {LINES:,} lines of {LETTERS} characters")


if __name__ == "__main__":
    main()
