"""Pairs and gaps are learned as well as they should be, through the command.

Real data is looked for as in test_quality.py. Lengths are in passes, so that no result depends on how
fast the machine is; they are shorter than charlm's own, and so are the demands.
"""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from charlm.config import SamplingConfig
from charlm.inference.matmul import matmul
from charlm.inference.infilling import Infiller
from charlm.inference.network import Network
from charlm.modelfile import load

pytestmark = pytest.mark.slow

CORPORA = Path(__file__).parents[2] / "corpora"
GAP = (1, 8)                            # characters


def charlm(*arguments, folder):
    done = subprocess.run([sys.executable, "-m", "charlm", *map(str, arguments)], capture_output=True,
                          text=True, timeout=1500, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def split(name, folder, *, test=0.1):
    """A corpus of pairs as two files, to learn from and to test on, by line."""
    lines = (CORPORA / name).read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    cut = int(len(lines) * test)
    paths = folder / "test.tsv", folder / "train.tsv"
    for path, some in zip(paths, (lines[:cut], lines[cut:])):
        path.write_text("".join(some), encoding="utf-8")
    return paths


def errors_after_training(train, test, folder, *flags):
    """Word error rate of a model on pairs that it has never seen."""
    charlm("train", train, "-o", "m.charlm", "--quiet", *flags, folder=folder)
    return json.loads(charlm("eval", "-m", "m.charlm", test, "--jsonl", folder=folder))["word_error_rate"]


def test_unseen_numbers_are_spelled_out(tmp_path):
    test, train = split("numbers.tsv", tmp_path)
    assert errors_after_training(train, test, tmp_path, "--epochs", 12) <= 0.01


def test_the_rule_of_the_weather_is_found(tmp_path):
    test, train = split("weather.tsv", tmp_path)
    assert errors_after_training(train, test, tmp_path, "--epochs", 12) <= 0.01


@pytest.mark.parametrize("language, most", [("hun", 0.06)])
def test_sounds_are_read_off_spellings(tmp_path, real_data, language, most):
    files = {part: real_data(f"g2p/{language}_{part}.tsv") for part in ("train", "dev", "test")}
    assert errors_after_training(files["train"], files["test"], tmp_path, "--validation", files["dev"],
                                 "--epochs", 6) <= most


def gaps_in(lines, *, count):
    """(before, gap, after) of lines long enough to say something on both sides."""
    chance = random.Random(1)
    cuts = []
    while len(cuts) < count:
        line, size = chance.choice(lines), chance.randint(*GAP)
        if len(line) >= 40:
            start = chance.randrange(10, len(line) - size - 10)
            cuts.append((line[:start], line[start:start + size], line[start + size:]))
    return cuts


def exact_fills(path, cuts, *, right):
    """How many gaps a model fills exactly, with or without the text after them."""
    model = load(str(path))
    filler = Infiller(Network(model.config, model.weights, matmul=matmul), model.tokenizer)
    texts = [(before, after if right else "") for before, _, after in cuts]
    filled = filler.fill(texts, SamplingConfig(temperature=0), seed=0, line_numbers=range(len(texts)))
    return sum(fills[0][0] == gap for fills, (_, gap, _) in zip(filled, cuts))


def test_gaps_are_filled_better_from_both_sides_than_from_the_left(tmp_path, real_data):
    text = real_data("tinyshakespeare.txt").read_text(encoding="utf-8")
    cut = len(text) * 9 // 10
    (tmp_path / "train.txt").write_text(text[:cut], encoding="utf-8")
    charlm("train", "train.txt", "--fill", "-o", "m.charlm", "--quiet", "--epochs", 0.6, folder=tmp_path)
    cuts = gaps_in(text[cut:].splitlines(), count=1000)
    both, left = (exact_fills(tmp_path / "m.charlm", cuts, right=right) for right in (True, False))
    assert both >= 1.5 * max(left, 1) and both > 40
