"""Cores: the commands that answer lines, on all cores against one, as whole processes.

Run it by hand on an idle machine: `python tests/benchmarks/cores.py`, about a minute. It never fails on time. The time
to start a process and read a model, measured on an empty file, is subtracted: cores cannot shorten it, and the files
are small enough for it to matter.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable

import numpy as np
from processes import CHARLM, runner
from timing import ALPHABET, Row, Series, compare, parse_arguments, print_table, time_interleaved

from charlm.config import ModelConfig
from charlm.inference.parallel import available_cores
from charlm.modelfile import Model, save
from charlm.tasks import TASKS
from charlm.text.labels import Labels
from charlm.text.line_hashes import LineHashes
from charlm.text.special_tokens import eos_id, vocabulary_sizes
from charlm.text.tokenizers.char import CharTokenizer

HIDDEN_SIZE, QUICK_HIDDEN_SIZE = 256, 16
LINES = {"long": 800, "many": 5000, "short": 2000, "few": 600, "gaps": 330}     # a second of work, `few` less
QUICK_SHARE = 0.1                                   # of the lines
LETTERS = ALPHABET.replace("\n", "")
FLAGS = ("AMX_BF16", "AVX512F", "AVX2")             # of /proc/cpuinfo, the best one first
COMMANDS = {                                        # target: what the second core gives, and how long the lines are
    "score -m text.charlm long.txt": ">= 1.8", "score -m lines.charlm many.txt": ">= 1.8",
    "score -m lines.charlm few.txt": ">= 1.0", "classify -m labels.charlm short.txt": ">= 1.8",
    "translate -m pairs.charlm short.txt": ">= 1.5", "fill -m fill.charlm gaps.txt": ">= 1.5",
    "eval -m lines.charlm long.txt": ">= 1.5", "eval -m text.charlm --window 64 long.txt": ">= 1.5"}
START = "score -m text.charlm none.txt"


def save_random_model(path: str, task: str, hidden_size: int, num_layers: int = 2) -> None:
    """Save a model with random weights, whose targets and fills are about seven characters long."""
    row, tokenizer = TASKS[task], CharTokenizer(np.array(sorted(map(ord, ALPHABET))))
    labels = Labels(("first", "second", "third"), (3, 2, 1)) if row.has_labels else None
    size, source_size = vocabulary_sizes(task, tokenizer, tokenizer)
    source = {"source_vocabulary_size": source_size, "encoder": "bidirectional"} if row.reads_source else {}
    config = ModelConfig(size, num_layers=num_layers, hidden_size=hidden_size, labels=len(labels or ()), **source)
    rng = np.random.default_rng(0)
    weights = {name: rng.uniform(-0.06, 0.06, shape).astype(np.float32)
               for name, shape in config.parameter_shapes().items()}
    if row.ends_with_eos:
        weights["head.bias"][eos_id(tokenizer)] = np.log(tokenizer.size / 7)
    save(path, Model(config, tokenizer, weights, {"target_ratio": 1.0}, task,
                     separate_source=tokenizer if row.has_source_tokenizer else None, labels=labels,
                     line_hashes=LineHashes(np.zeros(0, np.uint64)) if row.by_line else None))


def write_lines(path: str, count: int, shortest: int, longest: int, *, gap: bool = False) -> None:
    """Write lines of random letters, each with a gap in the middle if `gap`."""
    rng = random.Random(0)
    with open(path, "w", encoding="ascii") as file:
        for _ in range(count):
            text = "".join(rng.choices(LETTERS, k=rng.randint(shortest, longest)))
            file.write((f"{text[:len(text) // 2]}___{text[len(text) // 2:]}" if gap else text) + "\n")


def processor() -> str:
    """Return the processor's name and the best vector instructions that it has."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            fields = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
    except OSError:
        return "unknown processor"
    values = {name.strip(): value.strip() for name, value in fields.items()}
    has = values.get("flags", "").upper().split()
    best = next((flag for flag in FLAGS if flag in has), "no AVX2")
    return f"{values.get('model name', 'unknown processor')}, {best}"


def write_files(directory: str, share: float) -> None:
    """Write the files of lines with this share of their full length, and an empty one."""
    for name, count in LINES.items():
        lengths = {"long": (20, 100), "gaps": (20, 60)}.get(name, (4, 10))
        write_lines(os.path.join(directory, f"{name}.txt"), round(count * share), *lengths, gap=name == "gaps")
    write_lines(os.path.join(directory, "none.txt"), 0, 0, 0)


def measure_all(directory: str, cores: int, repeats: int) -> list[Row]:
    """Return one row per command: the milliseconds on one core over those on `cores`, both beyond the start."""
    def run(command: str, number: int) -> Callable[[], object]:
        return runner((*CHARLM, *command.split(), "--threads", str(number)), directory)

    rows = []
    for command, target in COMMANDS.items():
        calls = {f"{number} cores": run(command, number) for number in (1, cores)}
        start, *times = time_interleaved({"start": run(START, 1), **calls}, repeats=repeats, warmup=0).values()
        rows.append(compare(f"charlm {command}", target, *(beyond(start, series) for series in times)))
    return rows


def beyond(start: Series, series: Series) -> Series:
    """Return what each round took longer than the start in it, at least a millisecond."""
    pairs = zip(start.values, series.values, strict=True)
    return Series(series.name, [max(value - first, 1.0) for first, value in pairs])


def main() -> None:
    """Measure and print the table."""
    arguments = parse_arguments(__doc__, repeats=3, quick_repeats=1)
    cores = max(arguments.threads or available_cores(), 2)
    share, hidden_size = (QUICK_SHARE, QUICK_HIDDEN_SIZE) if arguments.quick else (1.0, HIDDEN_SIZE)
    with tempfile.TemporaryDirectory() as directory:
        for task in TASKS:
            save_random_model(os.path.join(directory, f"{task}.charlm"), task, hidden_size)
        write_files(directory, share)
        rows = measure_all(directory, cores, arguments.repeats)
    print_table(rows, f"{processor()}; cores: {cores}, rounds: {arguments.repeats}, hidden size: {hidden_size}; "
                      "lines of 20 to 100 characters (long), 20 to 60 (gaps) or 4 to 10")


if __name__ == "__main__":
    main()
