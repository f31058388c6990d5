"""The quality of models of pairs and gaps, trained through the command.

Trainings are shorter than by default, and the expected quality is lower. Real data is found as in test_quality.py.
"""

import random
from pathlib import Path

import pytest

from charlm.config import SamplingConfig
from charlm.inference.infilling import Infiller
from charlm.inference.matmul import matmul
from charlm.inference.network import Network
from charlm.modelfile import load
from tests.helpers.runners import run_process

pytestmark = pytest.mark.slow

CORPORA = Path(__file__).parents[2] / "corpora"
GAP = (1, 8)                            # characters
LIMIT = 1500                            # seconds


def split(name, folder, *, test=0.1):
    """Write a corpus of pairs as two files, and return the paths of the test set and the training set."""
    lines = (CORPORA / name).read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(0).shuffle(lines)
    cut = int(len(lines) * test)
    paths = folder / "test.tsv", folder / "train.tsv"
    for path, part in zip(paths, (lines[:cut], lines[cut:]), strict=True):
        path.write_text("".join(part), encoding="utf-8")
    return paths


def errors_after_training(train, test, folder, *flags):
    """Train a model and return its word error rate on unseen pairs."""
    run_process("train", train, "-o", "m.charlm", "--quiet", *flags, cwd=folder, timeout=LIMIT).check()
    return run_process("eval", "-m", "m.charlm", test, "--jsonl", cwd=folder,
                       timeout=LIMIT).check().records[0]["word_error_rate"]


def test_unseen_numbers_are_spelled_out(tmp_path):
    test, train = split("numbers.tsv", tmp_path)
    assert errors_after_training(train, test, tmp_path, "--epochs", 12) <= 0.01


def test_the_rule_of_the_weather_is_found(tmp_path):
    test, train = split("weather.tsv", tmp_path)
    assert errors_after_training(train, test, tmp_path, "--epochs", 12) <= 0.01


@pytest.mark.parametrize("language, limit", [("hun", 0.06)])
def test_sounds_are_derived_from_spellings(tmp_path, real_data, language, limit):
    files = {part: real_data(f"g2p/{language}_{part}.tsv") for part in ("train", "dev", "test")}
    assert errors_after_training(files["train"], files["test"], tmp_path, "--validation", files["dev"],
                                 "--epochs", 6) <= limit


def gaps_in(lines, *, count):
    """Return (before, gap, after) of lines with enough text on both sides."""
    rng = random.Random(1)
    cuts = []
    while len(cuts) < count:
        line, size = rng.choice(lines), rng.randint(*GAP)
        if len(line) >= 40:
            start = rng.randrange(10, len(line) - size - 10)
            cuts.append((line[:start], line[start:start + size], line[start + size:]))
    return cuts


def exact_fills(path, cuts, *, right):
    """Return the number of gaps that a model fills exactly, with or without the text after them."""
    model = load(str(path))
    filler = Infiller(Network(model.config, model.weights, matmul=matmul), model.tokenizer)
    texts = [(before, after if right else "") for before, _, after in cuts]
    filled = filler.fill(texts, SamplingConfig(temperature=0), seed=0, line_numbers=range(len(texts)))
    return sum(fills[0][0] == gap for fills, (_, gap, _) in zip(filled, cuts, strict=True))


def test_gaps_are_filled_better_from_both_sides_than_from_the_left(tmp_path, real_data):
    text = real_data("tinyshakespeare.txt").read_text(encoding="utf-8")
    cut = len(text) * 9 // 10
    (tmp_path / "train.txt").write_text(text[:cut], encoding="utf-8")
    run_process("train", "train.txt", "--fill", "-o", "m.charlm", "--quiet", "--epochs", 0.6, cwd=tmp_path,
                timeout=LIMIT).check()
    cuts = gaps_in(text[cut:].splitlines(), count=1000)
    both, left = (exact_fills(tmp_path / "m.charlm", cuts, right=right) for right in (True, False))
    assert both >= 1.5 * max(left, 1) and both > 40
