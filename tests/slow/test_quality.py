"""The quality of models of real texts, trained through the command.

Tests of missing texts are skipped. Trainings are measured in passes, so that no result depends on the machine's speed.
"""

import bz2
import gzip
import math
from pathlib import Path

import pytest

from tests.helpers.runners import run_process

pytestmark = pytest.mark.slow

CORPORA = Path(__file__).parents[2] / "corpora"


def train(corpus, folder, *flags):
    """Train a model and return the record of `charlm info`."""
    run_process("train", corpus, "-o", "m.charlm", "--quiet", *flags, cwd=folder, timeout=1500).check()
    return run_process("info", "m.charlm", "--jsonl", cwd=folder).check().records[0]


def bits_of_bzip2(path):
    """Return the bits per character of a file compressed by bzip2."""
    text = path.read_bytes()
    return 8 * len(bz2.compress(text, 9)) / len(text.decode("utf-8"))


def test_two_passes_over_tinyshakespeare_beat_published_recurrent_models(tmp_path, real_data):
    model = train(real_data("tinyshakespeare.txt"), tmp_path, "--epochs", 2)
    assert model["validation_characters"] == 111_540
    assert model["nats_per_token"] < 1.548          # the best of minGRU (Feng et al., 2024)


def test_a_windowed_model_beats_gzip_before_half_a_pass(tmp_path, real_data):
    path = real_data("tinyshakespeare.txt")
    model = train(path, tmp_path, "--epochs", 0.4, "--bidirectional", "--hidden", 128)
    text = path.read_bytes()
    assert model["bits_per_character"] < 8 * len(gzip.compress(text, 9)) / len(text)


@pytest.mark.parametrize("name, epochs", [("basque.txt", 1), ("chinese-poetry.txt", 0.5)])
def test_real_text_is_modelled_better_than_bzip2_compresses_it(tmp_path, real_data, name, epochs):
    path = real_data(name)
    model = train(path, tmp_path, "--epochs", epochs)
    assert model["bits_per_character"] < bits_of_bzip2(path)


def test_the_prose_of_the_repository_is_modelled_better_than_by_bzip2(tmp_path):
    path = CORPORA / "ferrywoman.txt"
    model = train(path, tmp_path, "--epochs", 5)
    assert model["bits_per_character"] < bits_of_bzip2(path)
    assert math.isclose(model["perplexity"], math.exp(model["nats_per_token"]))
