"""Models of real texts are as good as they should be, trained through the command.

Real texts may be missing; then their tests are skipped. Lengths are in passes, not minutes, so that no
result depends on how fast the machine is.
"""

import bz2
import gzip
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CORPORA = Path(__file__).parents[2] / "corpora"


def train(corpus, folder, *flags):
    """Train through the command; what `info` says of the model."""
    model = folder / "model.charlm"
    for arguments in (["train", corpus, "-o", model, "--quiet", *flags], ["info", model, "--jsonl"]):
        done = subprocess.run([sys.executable, "-m", "charlm", *map(str, arguments)],
                              capture_output=True, text=True, timeout=1500, cwd=folder)
        assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def bits_of_bzip2(path):
    text = path.read_bytes()
    return 8 * len(bz2.compress(text, 9)) / len(text.decode("utf-8"))


def test_two_passes_over_tinyshakespeare_beat_published_recurrent_models(tmp_path, real_data):
    model = train(real_data("tinyshakespeare.txt"), tmp_path, "--epochs", 2)
    assert model["validation_characters"] == 111_540
    assert model["nats_per_token"] < 1.548          # minGRU of Feng et al. 2024, its own best


def test_a_bidirectional_encoder_of_the_past_beats_gzip_before_half_a_pass(tmp_path, real_data):
    path = real_data("tinyshakespeare.txt")
    model = train(path, tmp_path, "--epochs", 0.4, "--bidirectional", "--hidden", 128)
    text = path.read_bytes()
    assert model["bits_per_character"] < 8 * len(gzip.compress(text, 9)) / len(text)


@pytest.mark.parametrize("name, epochs", [("basque.txt", 1), ("chinese-poetry.txt", 0.5)])
def test_real_text_is_modelled_better_than_bzip2_compresses_it(tmp_path, real_data, name, epochs):
    path = real_data(name)
    model = train(path, tmp_path, "--epochs", epochs)
    assert model["bits_per_character"] < bits_of_bzip2(path)


def test_our_own_prose_is_modelled_better_than_bzip2_compresses_it(tmp_path):
    path = CORPORA / "ferrywoman.txt"
    model = train(path, tmp_path, "--epochs", 5)
    assert model["bits_per_character"] < bits_of_bzip2(path)
    assert math.isclose(model["perplexity"], math.exp(model["nats_per_token"]))
