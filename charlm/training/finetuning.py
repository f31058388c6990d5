"""Weights of a model for a vocabulary that has grown: old ids keep theirs, new ones start at their mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from charlm.config import ModelConfig
from charlm.errors import UsageError
from charlm.modelfile import Model
from charlm.text.special_tokens import eos_id, label_id, mask_id
from charlm.text.tokenizers.base import Tokenizer
from charlm.text.tokenizers.registry import id_mapping
from charlm.training.options import AnyCorpus

_GROWING = ("vocabulary_size", "source_vocabulary_size", "labels", "window")


def initial_weights(model: Model, corpus: AnyCorpus, config: ModelConfig) -> dict[str, np.ndarray]:
    """The weights that a network of this configuration starts from to go on learning on this corpus.

    Raises UsageError when it differs from the model in more than its vocabulary and the length of its windows.
    """
    if any(getattr(config, name) != value for name, value in asdict(model.config).items() if name not in _GROWING):
        raise UsageError(f"--init-from: the model is {model.config.describe()}; give no other architecture")
    written = _written_ids(model, corpus)
    begun = np.concatenate([written, _label_ids(model, corpus)])
    moved = {"embedding.weight": begun, "head.weight": written, "head.bias": written,
             "encoder.embedding.weight": _read_ids(model, corpus)}
    return {name: _spread(values, moved[name], config.parameter_shapes()[name][0]) if name in moved else values
            for name, values in model.weights.items()}


def _spread(values: np.ndarray, ids: np.ndarray, size: int) -> np.ndarray:
    """Rows of old ids at their new places, the mean of all between them."""
    rows = np.repeat(values.mean(axis=0, dtype=np.float64)[None].astype(np.float32), size, axis=0)
    rows[ids] = values
    return rows


def _written_ids(model: Model, corpus: AnyCorpus) -> np.ndarray:
    """The new id of everything that the model's decoder writes."""
    ids = [id_mapping(model.tokenizer, corpus.tokenizer)]
    if model.task != "stream":
        ids.append(np.array([eos_id(corpus.tokenizer)]))
    return np.concatenate(ids)


def _label_ids(model: Model, corpus: AnyCorpus) -> np.ndarray:
    """The new id of every label of the model."""
    names = model.labels.names if model.labels else ()
    return np.array([label_id(corpus.tokenizer, corpus.labels.index(name)) for name in names], np.int64)


def _read_ids(model: Model, corpus: AnyCorpus) -> np.ndarray:
    """The new id of everything that the model's encoder knows."""
    ids = id_mapping(model.source_tokenizer, corpus.source_tokenizer)
    special: dict[str, list[Callable[[Tokenizer], int]]] = {"fill": [eos_id, mask_id]}
    return np.concatenate([ids, [number(corpus.tokenizer) for number in special.get(model.task, [])]]).astype(np.int64)
