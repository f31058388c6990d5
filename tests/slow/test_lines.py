"""The quality of models of lines and labels trained through the command, and the memory of scoring.

Trainings are shorter than by default, and the expected quality is lower. Real data is found as in test_quality.py.
"""

import random

import pytest

from charlm.config import ModelConfig
from charlm.modelfile import Model, save
from charlm.text.tokenizers.char import CharTokenizer
from tests.helpers.models import random_weights
from tests.helpers.runners import measure_memory, run_process

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
LIMIT = 1500                            # seconds
ALPHABET = "\n abcdefghijklmnopqrstuvwxyz"


def split(path, folder, *, test):
    """Write the lines of a file as two files, and return the paths of the test set and the training set."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    cut = int(len(lines) * test)
    paths = folder / "test", folder / "train"
    for part, lines_of_part in zip(paths, (lines[:cut], lines[cut:]), strict=True):
        part.write_text("".join(lines_of_part), encoding="utf-8")
    return paths


def train_and_evaluate(train, test, folder, *flags):
    """Train a model and return the record of `charlm eval` for unseen lines."""
    run_process("train", train, "-o", "m.charlm", "--quiet", *flags, cwd=folder, timeout=LIMIT).check()
    return run_process("eval", "-m", "m.charlm", test, "--jsonl", cwd=folder, timeout=LIMIT).check().records[0]


def test_unseen_names_have_a_low_loss(tmp_path, real_data):
    test, train = split(real_data("names.txt"), tmp_path, test=0.1)
    assert train_and_evaluate(train, test, tmp_path, "--lines", "--epochs", 5)["nats_per_token"] <= 1.99


def test_unseen_surnames_are_classified_and_new_ones_are_sampled(tmp_path, real_data):
    test, train = split(real_data("surnames.tsv"), tmp_path, test=0.2)
    measured = train_and_evaluate(train, test, tmp_path, "--labels", "--epochs", 8)
    assert measured["label_error_rate"] <= 0.2
    found = run_process("sample", "-m", "m.charlm", "--label", "Russian", "-N", 100, "--unique", "--novel", "--seed", 1,
                        cwd=tmp_path).check().text.splitlines()
    known = {line.split("\t")[1] for line in train.read_text(encoding="utf-8").splitlines()}
    assert len(set(found) - known) == 100 and sum(name.endswith(("v", "n", "y", "ko", "i")) for name in found) > 60


@pytest.fixture
def tiny_model(tmp_path):
    """A model of running text whose steps are as cheap as possible; its quality does not matter."""
    import numpy as np
    tokenizer = CharTokenizer(np.array(sorted(map(ord, ALPHABET))))
    config = ModelConfig(vocabulary_size=tokenizer.size, cell="rnn", num_layers=1, hidden_size=8, embedding_size=8)
    save(str(tmp_path / "tiny.charlm"), Model(config, tokenizer, random_weights(config, scale=0.1), {}))
    return tmp_path / "tiny.charlm"


def peak(arguments, pieces, folder):
    """Return the peak memory in megabytes of the command reading these pieces from a pipe, and its output."""
    with open(folder / "out", "wb") as out:
        memory = measure_memory(*arguments, feed=lambda stdin: stdin.writelines(pieces), stdout=out, cwd=folder)
    return memory / MEGABYTE, (folder / "out").read_bytes()


LINES = "".join(f"{'the quick brown fox jumps over a lazy dog ' * 5}"[:20 + number * 37 % 180] + "\n"
                for number in range(1000)).encode()


@pytest.mark.parametrize("verb", [["score"], ["filter", "--keep", "1%"]])
def test_memory_does_not_grow_with_the_text_read_through_a_pipe(tiny_model, tmp_path, verb):
    peaks = [peak([*verb, "-m", tiny_model], [LINES] * (size * MEGABYTE // len(LINES)), tmp_path)[0] for size in (2,
        40)]
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
