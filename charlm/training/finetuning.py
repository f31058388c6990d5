"""Weights of a model for a vocabulary that has grown: old ids keep theirs, new ones start at their mean."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from charlm.config import ModelConfig
from charlm.errors import UsageError
from charlm.modelfile import Model
from charlm.text.growing import moved_ids
from charlm.text.special import boundary, gap, label_id
from charlm.text.tokenizer import Tokenizer
from charlm.training.choices import AnyCorpus


def initial_weights(model: Model, corpus: AnyCorpus, config: ModelConfig) -> dict[str, np.ndarray]:
    """The weights that a network of this configuration starts from to go on learning on this corpus.

    Raises UsageError when it differs from the model in more than its vocabulary.
    """
    written = _written_ids(model, corpus)
    begun = np.concatenate([written, _label_ids(model, corpus)])
    read = written if model.task == "stream" else _read_ids(model, corpus)
    shapes = config.parameter_shapes()
    if set(shapes) != set(model.weights):
        raise UsageError(f"--init-from: the model is {model.config.describe()}; give no other architecture")
    weights = {}
    for name, values in model.weights.items():
        ids = {"embedding.weight": begun, "head.weight": written, "head.bias": written,
               "encoder.embedding.weight": read}.get(name)
        weights[name] = values if ids is None else _spread(values, ids, shapes[name][0])
        if weights[name].shape != shapes[name]:
            raise UsageError(f"--init-from: the model is {model.config.describe()}; give no other architecture")
    return weights


def _spread(values: np.ndarray, ids: np.ndarray, size: int) -> np.ndarray:
    """Rows of old ids at their new places, the mean of all between them."""
    rows = np.repeat(values.mean(axis=0, dtype=np.float64)[None].astype(np.float32), size, axis=0)
    rows[ids] = values
    return rows


def _written_ids(model: Model, corpus: AnyCorpus) -> np.ndarray:
    """The new id of everything that the model's decoder writes."""
    ids = [moved_ids(model.tokenizer, corpus.tokenizer)]
    if model.task != "stream":
        ids.append(np.array([boundary(corpus.tokenizer)]))
    return np.concatenate(ids)


def _label_ids(model: Model, corpus: AnyCorpus) -> np.ndarray:
    """The new id of every label of the model."""
    names = model.labels.names if model.labels else ()
    return np.array([label_id(corpus.tokenizer, corpus.labels.number(name)) for name in names], np.int64)


def _read_ids(model: Model, corpus: AnyCorpus) -> np.ndarray:
    """The new id of everything that the model's encoder knows."""
    ids = moved_ids(model.source_tokenizer, corpus.source_tokenizer)
    special: dict[str, list[Callable[[Tokenizer], int]]] = {"fill": [boundary, gap]}
    return np.concatenate([ids, [number(corpus.tokenizer) for number in special.get(model.task, [])]]).astype(np.int64)
