"""All cuts and all single flipped bits of a checkpoint of 60 KB and of a model of 20 KB: not one is taken.

Not here: small ones (test_checkpoint.py, test_modelfile.py), a sample through the command (test_hostile_models.py).
"""

import os

import numpy as np
import pytest

from charlm.checkpoint import Checkpoint, Checkpoints
from charlm.config import ModelConfig
from charlm.modelfile import Model, load, save
from charlm.text.tokenizers.registry import train

pytestmark = pytest.mark.slow


def test_every_damage_to_a_checkpoint_of_60_kb_is_refused(tmp_path, every_damage):
    output = str(tmp_path / "m")
    weights = np.random.default_rng(0).standard_normal(15_000).astype(np.float32)
    checkpoints = Checkpoints(output)
    checkpoints.save(Checkpoint({"standing": {"step": 3}}, {"weights": weights}))
    path = output + ".checkpoint-a"
    assert 60_000 <= os.path.getsize(path) < 61_000
    every_damage(path, lambda: checkpoints.newest(pytest.fail))


def test_every_damage_to_a_model_of_20_kb_is_refused(tmp_path, every_damage):
    config = ModelConfig(5, cell="rnn", num_layers=2, embedding_size=16, hidden_size=38)
    random = np.random.default_rng(0)
    weights = {name: random.standard_normal(shape).astype(np.float32) for name, shape in config.parameter_shapes().items()}
    path = str(tmp_path / "m")
    save(path, Model(config, train("char", ["abc\n"], vocabulary_size=None), weights, {}))
    assert 20_000 <= os.path.getsize(path) < 25_000
    every_damage(path, lambda: load(path))
