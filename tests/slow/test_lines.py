"""Lines and labels are learned as well as they should be, and scoring keeps its memory, through the command.

Real data is looked for as in test_quality.py. Lengths are in passes, shorter than charlm's own, and so
are the demands.
"""

import json
import os
import random
import subprocess
import sys

import pytest

from charlm.config import ModelConfig
from charlm.modelfile import Model, save
from charlm.text.tokenizers.char import CharTokenizer

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
UNIT = 1 if sys.platform == "darwin" else 1024          # bytes of one in ru_maxrss
ALPHABET = "\n abcdefghijklmnopqrstuvwxyz"


def charlm(*arguments, folder):
    done = subprocess.run([sys.executable, "-m", "charlm", *map(str, arguments)], capture_output=True,
                          text=True, timeout=1500, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def split(path, folder, *, test):
    """The lines of a file as two files, to learn from and to test on."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    cut = int(len(lines) * test)
    paths = folder / "test", folder / "train"
    for name, some in zip(paths, (lines[:cut], lines[cut:])):
        name.write_text("".join(some), encoding="utf-8")
    return paths


def measured_after_training(train, test, folder, *flags):
    """What `eval` says of lines that the model has never seen."""
    charlm("train", train, "-o", "m.charlm", "--quiet", *flags, folder=folder)
    return json.loads(charlm("eval", "-m", "m.charlm", test, "--jsonl", folder=folder))


def test_unseen_names_are_expected(tmp_path, real_data):
    test, train = split(real_data("names.txt"), tmp_path, test=0.1)
    assert measured_after_training(train, test, tmp_path, "--lines", "--epochs", 5)["nats_per_token"] <= 1.99


def test_unseen_surnames_are_told_apart_and_some_are_invented(tmp_path, real_data):
    test, train = split(real_data("surnames.tsv"), tmp_path, test=0.2)
    said = measured_after_training(train, test, tmp_path, "--labels", "--epochs", 8)
    assert said["label_error_rate"] <= 0.2
    found = charlm("sample", "-m", "m.charlm", "--label", "Russian", "-N", 100, "--unique", "--novel", "--seed", 1,
                   folder=tmp_path).splitlines()
    known = {line.split("\t")[1] for line in train.read_text(encoding="utf-8").splitlines()}
    assert len(set(found) - known) == 100 and sum(name.endswith(("v", "n", "y", "ko", "i")) for name in found) > 60


@pytest.fixture
def tiny_model(tmp_path):
    """A stream model with the cheapest of steps; how good it is does not matter here."""
    import numpy as np
    tokenizer = CharTokenizer(np.array(sorted(map(ord, ALPHABET))))
    config = ModelConfig(vocabulary_size=tokenizer.size, cell="rnn", num_layers=1, hidden_size=8, embedding_size=8)
    draw = np.random.default_rng(0)
    weights = {name: draw.uniform(-0.1, 0.1, shape).astype(np.float32)
               for name, shape in config.parameter_shapes().items()}
    save(str(tmp_path / "tiny.charlm"), Model(config, tokenizer, weights, {}))
    return tmp_path / "tiny.charlm"


def peak(arguments, pieces, folder):
    """Peak memory in megabytes of the command reading these pieces from a pipe, and the end of its output."""
    with open(folder / "out", "wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "charlm", *map(str, arguments)], stdin=subprocess.PIPE,
                                   stdout=out, cwd=folder)
        for piece in pieces:
            process.stdin.write(piece)
        process.stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * UNIT / MEGABYTE, (folder / "out").read_bytes()


LINES = "".join(f"{'the quick brown fox jumps over a lazy dog ' * 5}"[:20 + number * 37 % 180] + "\n"
                for number in range(1000)).encode()


@pytest.mark.parametrize("verb", [["score"], ["filter", "--keep", "1%"]])
def test_memory_does_not_grow_with_what_is_read_through_a_pipe(tiny_model, tmp_path, verb):
    peaks = [peak([*verb, "-m", tiny_model], [LINES] * (size * MEGABYTE // len(LINES)), tmp_path)[0] for size in (2, 40)]
    assert peaks[1] - peaks[0] <= 50


@pytest.mark.parametrize("flags", [[], ["--carry"]])
def test_a_line_of_five_megabytes_is_scored_in_bounded_memory(tiny_model, tmp_path, flags):
    small, short = peak(["score", "-m", tiny_model, *flags], [b"abc\n"], tmp_path)
    large, long = peak(["score", "-m", tiny_model, *flags], [b"lazy dog ab" * 500_000, b"\nabc\n"], tmp_path)
    whole, last = long.splitlines()
    assert int(whole.split(b"\t")[2]) == 5_500_001
    assert large - small <= 400
    if not flags:
        assert last == short.removesuffix(b"\n")
