"""On a GPU: the logits and scores of the CPU."""

import numpy as np
import pytest

from charlm.config import ModelConfig
from charlm.inference.network import Network as NumpyNetwork
from charlm.model import LanguageModel
from charlm.modelfile import Model
from charlm.nn.numpy_adapter import NumpyAdapter
from charlm.text.tokenizers.registry import train
from tests.helpers.models import random_weights

DEVICE = "cuda"
VOCABULARY_SIZE = 7
DECODERS = [{}, {"cell": "gru"}, {"cell": "rnn"}, {"encoder": "bidirectional", "window": 3, "attention": True}]
WORDS = ["the quick brown fox", "jumps", "", "over the lazy dog and sleeps"]


def make_both(**shape):
    """Return a NumPy network and one on the GPU with the same random weights."""
    config = ModelConfig(VOCABULARY_SIZE, embedding_size=5, hidden_size=8, **shape)
    weights = random_weights(config, seed=4, scale=0.5)
    return NumpyNetwork(config, weights), NumpyAdapter(config, weights, DEVICE)


@pytest.mark.parametrize("shape", DECODERS, ids=str)
def test_gpu_logits_of_running_text_equal_numpy_logits(shape):
    shape = shape | ({"source_vocabulary_size": VOCABULARY_SIZE} if "encoder" in shape else {})
    tokens = np.random.default_rng(5).integers(0, VOCABULARY_SIZE, (3, 8))
    expected, logits = (network.step(tokens, network.start(3))[0] for network in make_both(**shape))
    assert np.abs(logits - expected).max() < 1e-4


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("encoder", ["shared", "stacked", "bidirectional"])
def test_gpu_logits_after_a_source_equal_numpy_logits(cell, encoder):
    rng = np.random.default_rng(5)
    source, lengths, tokens = rng.integers(0, 6, (2, 4)), np.array([4, 2]), rng.integers(0, VOCABULARY_SIZE, (2, 5))
    networks = make_both(cell=cell, encoder=encoder, attention=True, source_vocabulary_size=6)
    expected, logits = (network.step(tokens, network.encode(source, lengths))[0] for network in networks)
    assert np.abs(logits - expected).max() < 1e-4


def test_scores_of_a_wide_model_on_the_gpu_equal_numpy_scores():
    tokenizer = train("char", ["".join(WORDS) + "\n"], vocabulary_size=None)
    config = ModelConfig(tokenizer.size, hidden_size=256)
    stored = Model(config, tokenizer, random_weights(config, scale=0.06), {})
    cpu, gpu = (np.array([score.bits for score in LanguageModel(stored, device=device).scores(WORDS)])
                for device in ("cpu", DEVICE))
    assert cpu.max() > 100 and np.abs(gpu - cpu).max() < 1e-3
