"""Whole processes: `charlm sample` and the help texts against a process that imports torch.

Run it by hand: `python tests/benchmarks/processes.py`. It never fails on time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import numpy as np
from timing import ALPHABET, Row, arguments, compare, interleaved, show

from charlm.config import ModelConfig
from charlm.modelfile import Model, save
from charlm.text.characters import CharacterTokenizer

CHARLM = (sys.executable, "-m", "charlm")
IMPORT_TORCH = (sys.executable, "-c", "import torch")
SAMPLE = ("sample", "-n", "500")
HELPS = (("--help",), *((verb, "--help") for verb in ("train", "sample", "translate", "eval", "info")))


def random_model(path: str) -> None:
    """Store a model of two layers of 256 with a vocabulary of 65 and random weights."""
    tokenizer = CharacterTokenizer(np.array(sorted(map(ord, ALPHABET))))
    config = ModelConfig(vocabulary_size=tokenizer.size)
    draw = np.random.default_rng(0)
    weights = {name: draw.uniform(-0.06, 0.06, shape).astype(np.float32)
               for name, shape in config.parameter_shapes().items()}
    save(path, Model(config, tokenizer, weights, {}))


def runner(command: tuple[str, ...], folder: str):
    """Run a command in a folder to its end, its output thrown away; CalledProcessError if it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHARLM_")}
    return lambda: subprocess.run(command, cwd=folder, env=clean, check=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)


def rows(folder: str, repeats: int, warm_up: int) -> list[Row]:
    random_model(os.path.join(folder, "random.charlm"))
    calls = {"import torch": runner(IMPORT_TORCH, folder)}
    for verb in (SAMPLE, *HELPS):
        calls[" ".join(verb)] = runner(CHARLM + verb, folder)
    times = interleaved(calls, repeats=repeats, warm_up=warm_up)
    torch = times.pop("import torch")
    return [compare(f"charlm {name}: over `import torch`", "<= 0.35" if name.startswith("sample -n")
                    else "<= 0.12", series, torch) for name, series in times.items()]


def main() -> None:
    given = arguments(__doc__, repeats=20, quick=1)
    with tempfile.TemporaryDirectory() as folder:
        table = rows(folder, given.repeats, 0 if given.quick else 1)
    show(table, f"rounds: {given.repeats}")


if __name__ == "__main__":
    main()
