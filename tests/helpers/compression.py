"""Models that were never trained, of every tokenizer that a model of text can have, and compressed files of them."""

import functools
import io

import numpy as np

from charlm.compression.archive import Compressor, Decompressor, Settings
from charlm.compression.predictor import Predictor
from charlm.config import ModelConfig
from charlm.modelfile import Model
from charlm.text.tokenizers.registry import train
from tests.helpers.models import random_weights
from tests.helpers.texts import VERSES

DIGEST = b"a model!"


@functools.cache
def model_of(tokenizer="char", task="text", **options):
    """Return a model with random weights that knows the letters of VERSES."""
    known = train(tokenizer, [VERSES.replace("\n", "") if task == "lines" else VERSES],
                  vocabulary_size=None if tokenizer in ("char", "byte") else 290)
    config = ModelConfig(known.size + (task == "lines"), **{"hidden_size": 8, "num_layers": 2, "embedding_size": 4}
                         | options)
    return Model(config, known, random_weights(config, scale=0.5), {}, task)


def compress(data, model, *, lanes=1, adaptive=False):
    """Return the compressed file of some bytes."""
    predictor = Predictor(model, lanes=lanes, adaptive=adaptive)
    return b"".join(Compressor(predictor, Settings(DIGEST, lanes, adaptive)).pieces(io.BytesIO(data).read))


def decompress(file, model):
    """Return the bytes of a compressed file."""
    decompressor = Decompressor(io.BytesIO(file).read)
    settings = decompressor.settings
    return b"".join(decompressor.blocks(Predictor(model, lanes=settings.lanes, adaptive=settings.adaptive)))


def random_bytes(count, seed=0):
    """Return bytes of which each is equally likely."""
    return np.random.default_rng(seed).bytes(count)
