"""All cuts and all flipped bits of a checkpoint of 60 KB and of a model of 20 KB are refused.

Not here: small files (test_checkpoint.py, test_modelfile.py), some damage through the command (test_hostile_models.py).
"""

import os

import numpy as np
import pytest

from charlm.checkpoint import Checkpoint, Checkpoints
from charlm.config import ModelConfig
from charlm.modelfile import Model, load, save
from charlm.text.tokenizers.registry import train
from tests.helpers.damage import assert_every_damage_is_refused
from tests.helpers.models import random_weights

pytestmark = pytest.mark.slow


def test_every_damage_to_a_checkpoint_of_60_kb_is_refused(tmp_path):
    output = str(tmp_path / "m")
    weights = np.random.default_rng(0).standard_normal(15_000).astype(np.float32)
    checkpoints = Checkpoints(output)
    checkpoints.save(Checkpoint({}, {"step": 3}, {"weights": weights}))
    path = output + ".checkpoint-a"
    assert 60_000 <= os.path.getsize(path) < 61_000
    assert_every_damage_is_refused(path, lambda: checkpoints.newest(pytest.fail))


def test_every_damage_to_a_model_of_20_kb_is_refused(tmp_path):
    config = ModelConfig(5, cell="rnn", num_layers=2, embedding_size=16, hidden_size=38)
    path = str(tmp_path / "m")
    save(path, Model(config, train("char", ["abc\n"], vocabulary_size=None), random_weights(config), {}))
    assert 20_000 <= os.path.getsize(path) < 25_000
    assert_every_damage_is_refused(path, lambda: load(path))
