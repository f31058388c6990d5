"""A model's weights for a larger vocabulary: known ids keep their rows, new ids start at the mean of all rows."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from charlm.config import ModelConfig
from charlm.errors import UsageError
from charlm.modelfile import Model
from charlm.tasks import TASKS
from charlm.text.corpora import Corpus
from charlm.text.special_tokens import eos_id, label_id, mask_id

_MAY_DIFFER = ("vocabulary_size", "source_vocabulary_size", "labels", "window")


def initial_weights(model: Model, corpus: Corpus, config: ModelConfig) -> dict[str, np.ndarray]:
    """Return the weights to continue the model's training with. Raises UsageError for another architecture."""
    if any(getattr(config, name) != value for name, value in asdict(model.config).items() if name not in _MAY_DIFFER):
        raise UsageError(f"--init-from: the model is {model.config.describe()}; its architecture cannot be changed")
    output_ids = _output_ids(model, corpus)
    new_ids = {"embedding.weight": np.concatenate([output_ids, _label_ids(model, corpus)]),
               "head.weight": output_ids, "head.bias": output_ids,
               "encoder.embedding.weight": _source_ids(model, corpus)}
    return {name: _enlarged(values, new_ids[name], config.parameter_shapes()[name][0]) if name in new_ids else values
            for name, values in model.weights.items()}


def _enlarged(values: np.ndarray, new_ids: np.ndarray, size: int) -> np.ndarray:
    """Return `size` rows: row i of the values at new_ids[i], their mean everywhere else."""
    rows = np.repeat(values.mean(axis=0, dtype=np.float64)[None].astype(np.float32), size, axis=0)
    rows[new_ids] = values
    return rows


def _output_ids(model: Model, corpus: Corpus) -> np.ndarray:
    """Return the new id of everything that the model's decoder can write."""
    end = [eos_id(corpus.tokenizer)] if TASKS[model.task].ends_with_eos else []
    return np.concatenate([model.tokenizer.id_mapping(corpus.tokenizer), end]).astype(np.int64)


def _label_ids(model: Model, corpus: Corpus) -> np.ndarray:
    """Return the new id of every label of the model."""
    if not (model.labels and corpus.labels):
        return np.zeros(0, np.int64)
    return np.array([label_id(corpus.tokenizer, corpus.labels.index(name)) for name in model.labels.names], np.int64)


def _source_ids(model: Model, corpus: Corpus) -> np.ndarray:
    """Return the new id of everything that the model's encoder can read."""
    special = [eos_id(corpus.tokenizer), mask_id(corpus.tokenizer)][:TASKS[model.task].extra_source_ids]
    return np.concatenate([model.source_tokenizer.id_mapping(corpus.source_tokenizer), special]).astype(np.int64)
