"""Small models and checkpoints that are written without any training."""

from dataclasses import asdict

import numpy as np

from charlm.checkpoint import Checkpoint
from charlm.config import ModelConfig
from charlm.modelfile import Model
from charlm.tasks import TASKS
from charlm.text.tokenizers.registry import train


def random_weights(config, seed=0, scale=1.0):
    """Return normally distributed weights for a network, by name."""
    rng = np.random.default_rng(seed)
    return {name: (scale * rng.standard_normal(shape)).astype(np.float32)
            for name, shape in config.parameter_shapes().items()}


def constant_model(value):
    """Return a small model of running text whose weights all have this value."""
    config = ModelConfig(5, cell="rnn", num_layers=1, embedding_size=3, hidden_size=4)
    weights = {name: np.full(shape, value, np.float32) for name, shape in config.parameter_shapes().items()}
    return Model(config, train("char", ["abc\n"], vocabulary_size=None), weights, {})


def numbered_checkpoint(number, floats=20):
    """Return a checkpoint that holds its number, and a tensor of this many floats."""
    return Checkpoint({}, {"number": number}, {"a": np.full(floats, number, np.float32)})


def parts_of(model):
    """Return the metadata and tensors of a model file, as `container.pack` takes them."""
    source, labels = model.separate_source, model.labels
    metadata = {"task": TASKS[model.task].stored_as, "model": model.config.to_json(),
                "tokenizer": {"kind": model.tokenizer.kind},
                "source_tokenizer": source and {"kind": source.kind},
                "labels": labels and [[*pair] for pair in zip(labels.names, labels.counts, strict=True)],
                "adaptation": asdict(model.adaptation), "training": model.training}
    sources = {f"source.{name}": values for name, values in source.tensors().items()} if source else {}
    hashes = {} if model.line_hashes is None else {"lines.hashes": model.line_hashes.tensor}
    return metadata, {**model.weights, **model.tokenizer.tensors(), **sources, **hashes}
