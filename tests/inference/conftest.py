"""Networks with random weights, made without torch."""

import numpy as np
import pytest

from charlm.config import ModelConfig
from charlm.inference.network import Network


@pytest.fixture
def random_network():
    """A function from a vocabulary size to a small network, the same each time."""
    def build(vocabulary_size, *, scale=1.0, seed=0, **options):
        config = ModelConfig(vocabulary_size, **{"hidden_size": 12, "embedding_size": 6} | options)
        generator = np.random.default_rng(seed)
        return Network(config, {
            name: (scale * generator.standard_normal(shape) / shape[-1] ** 0.5).astype(np.float32)
            for name, shape in config.parameter_shapes().items()})
    return build
