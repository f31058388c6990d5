"""A model as a file: configuration, tokenizers and weights in one container, read exactly or refused.

`describe` turns a model into metadata and tensors, `rebuild` is its inverse; a checkpoint stores the same two and more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlm.config import SOURCE_TOKENIZERS, TARGET_TOKENIZERS, TOKENIZERS, AdaptationSettings, ModelConfig
from charlm.container import Header, checksum, open_container, peek_metadata, pieces, read_header, read_tensor
from charlm.contract import Tensors, Tokenizer
from charlm.distribution import parse_quantiles
from charlm.errors import CharlmError, ModelFileError
from charlm.history import History, check_forms, forms_among
from charlm.provenance import Provenance
from charlm.storage import write_durably
from charlm.tasks import DEFAULT, TASKS, Task, stored_task
from charlm.text.labels import Labels
from charlm.text.line_hashes import TENSOR as HASHES
from charlm.text.line_hashes import LineHashes
from charlm.text.remembered import TENSOR as REMEMBERED
from charlm.text.remembered import Remembered, remembered_metadata
from charlm.text.special_tokens import vocabulary_sizes
from charlm.text.tokenizers.registry import from_tensors, tensor_shapes

METADATA = {"task", "model", "tokenizer", "source_tokenizer", "labels", "adaptation", "training", "provenance",
            "history"}
OPTIONAL = {"line_quantiles", "remembered"}
_SOURCE = "source."                     # prefix of the source tokenizer's tensor names
_DTYPES = {np.dtype(np.float32): "F32", np.dtype(np.uint32): "U32", np.dtype(np.uint8): "U8"}

Forms = Mapping[str, tuple[str, tuple[int, ...]]]       # name -> (dtype as safetensors spells it, shape)


@dataclass(frozen=True)
class Model:
    """A model in memory: architecture, training metadata, tokenizers and weights."""

    config: ModelConfig
    tokenizer: Tokenizer                # of the text that it writes
    weights: Tensors                    # float32, named and shaped as config.parameter_shapes()
    training: dict[str, Any]            # plain JSON values, for `info`
    task: str = DEFAULT
    separate_source: Tokenizer | None = None        # tokenizer of the sources of pairs
    labels: Labels | None = None
    line_hashes: LineHashes | None = None           # of the lines that it was trained on
    history: History | None = None                  # of its run
    provenance: Provenance = Provenance()
    adaptation: AdaptationSettings = AdaptationSettings()       # of `--adapt`
    line_quantiles: tuple[float, ...] = ()          # of the bits per character of held-out lines; see `distribution`
    remembered: Remembered | None = None            # filter of the training text

    @property
    def source_tokenizer(self) -> Tokenizer:
        """The tokenizer of the text that the encoder reads."""
        return self.separate_source or self.tokenizer


def describe(model: Model) -> tuple[dict[str, Any], Tensors]:
    """Return a model as metadata of plain JSON values and as tensors."""
    source = model.separate_source
    metadata = {"task": TASKS[model.task].stored_as, "model": model.config.to_json(),
                "tokenizer": {"kind": model.tokenizer.kind}, "source_tokenizer": source and {"kind": source.kind},
                "labels": model.labels and model.labels.to_json(), "adaptation": asdict(model.adaptation),
                "training": model.training, "provenance": model.provenance.to_json(),
                "history": model.history is not None,
                **({"line_quantiles": [*model.line_quantiles]} if model.line_quantiles else {})}
    tensors = {**model.weights, **model.tokenizer.tensors()}
    if model.line_hashes:
        tensors[HASHES] = model.line_hashes.tensor
    if source:
        tensors |= {_SOURCE + name: values for name, values in source.tensors().items()}
    if model.history:
        tensors |= model.history.tensors()
    if model.remembered:
        metadata["remembered"] = model.remembered.to_json()
        tensors[REMEMBERED] = model.remembered.tensor
    return metadata, tensors


def content_digest(model: Model) -> str:
    """Return the checksum that the model's file would have without its provenance and times: equal for equal runs."""
    past = model.history and model.history.without_seconds()
    return checksum(*describe(replace(model, provenance=Provenance(), history=past)))


def save(path: str, model: Model) -> None:
    """Write a model durably. Raises StorageError, and CharlmError if a weight is not finite."""
    for name, values in model.weights.items():
        if not np.isfinite(values).all():
            raise CharlmError(f"{name} is not finite; nothing was written")
    write_durably(path, *pieces(*describe(model)))


def load(path: str) -> Model:
    """Read a model. Raises ModelFileError naming the file for anything that is not exactly a model."""
    with open_container(path) as file:
        header = read_header(file)
        return rebuild(*_described(header), lambda name: read_tensor(file, header, name))


@dataclass(frozen=True)
class Summary:
    """A model file without its tensors."""

    task: str
    size: int                           # bytes of the file
    training: dict[str, Any]
    provenance: Provenance


def summarize(path: str) -> Summary:
    """Return the metadata of a model file, after verifying its checksum but without loading a tensor.

    Raises ModelFileError.
    """
    with open_container(path) as file:
        metadata, forms = _described(read_header(file))
        parts = _parse(metadata)
        _check_tensors(forms, parts)
        return Summary(parts.task.name, file.seek(0, os.SEEK_END), metadata["training"], parts.provenance)


def _described(header: Header) -> tuple[dict[str, Any], Forms]:
    """Return the metadata in the current format, and the dtypes and shapes of the tensors."""
    metadata = _upgrade(header.metadata)
    return ({name: value for name, value in metadata.items() if name not in ("checksum", "format")},
            {name: (entry.dtype, entry.shape) for name, entry in header.entries.items()})


def peek(path: str) -> Task | None:
    """Return the task that a file claims to be for, its checksum and contents unread; None if it claims none."""
    try:
        with open_container(path) as file:
            metadata = peek_metadata(file)
            return stored_task(metadata.get("task", TASKS[DEFAULT].stored_as), labelled=bool(metadata.get("labels")))
    except ModelFileError:
        return None


def stated_checksum(path: str) -> bytes:
    """Return the checksum that a model file states, which `load` verifies. Raises ModelFileError if it states none."""
    with open_container(path) as file:
        try:
            return bytes.fromhex(peek_metadata(file)["checksum"])
        except (KeyError, TypeError, ValueError):
            raise ModelFileError("it states no checksum") from None


def _upgrade(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata of an older format as the present format spells it."""
    if metadata["format"] == 1 and isinstance(metadata.get("model"), dict):
        model = {"source_vocabulary_size": 0, "attention": False, "window": 0, **metadata["model"]}
        metadata = {"task": TASKS[DEFAULT].stored_as, "source_tokenizer": None, **metadata, "model": model}
    if metadata["format"] < 3 and isinstance(metadata.get("model"), dict):
        metadata = {"labels": None, **metadata, "model": {"labels": 0, **metadata["model"]}}
    if metadata["format"] < 4:
        metadata = {"adaptation": asdict(AdaptationSettings()), "provenance": {}, "history": False, **metadata}
    return metadata


def forms_of(tensors: Tensors) -> Forms:
    """Return the dtype and shape of every tensor, as `rebuild` checks them."""
    return {name: (_DTYPES.get(values.dtype, str(values.dtype)), values.shape) for name, values in tensors.items()}


def rebuild(metadata: dict[str, Any], forms: Forms, read: Callable[[str], NDArray[Any]]) -> Model:
    """Rebuild a model from `describe`'s metadata and tensors, checked before any is read. Raises ModelFileError."""
    parts = _parse(metadata)
    _check_tensors(forms, parts)

    def tokenizer(kind: str, prefix: str) -> Tokenizer:
        return from_tensors(kind, {name: read(prefix + name) for name in tensor_shapes(kind)})

    weights = {name: read(name) for name in parts.config.parameter_shapes()}
    model = Model(parts.config, tokenizer(parts.kind, ""), weights, metadata["training"], parts.task.name,
                  None if parts.source_kind is None else tokenizer(parts.source_kind, _SOURCE), parts.labels,
                  LineHashes.from_tensor(read(HASHES)) if parts.task.by_line else None,
                  History.from_tensors({name: read(name) for name in forms_among(forms)}) if parts.has_history
                  else None,
                  parts.provenance, parts.adaptation, parts.line_quantiles,
                  Remembered.from_tensor(parts.remembered, read(REMEMBERED)) if parts.remembered else None)
    check_sizes(model)
    return model


@dataclass(frozen=True)
class _Parts:
    """The parts of a model, as its metadata names them."""

    task: Task
    config: ModelConfig
    kind: str                           # of the tokenizer
    source_kind: str | None             # of the sources' tokenizer
    labels: Labels | None
    provenance: Provenance
    has_history: bool
    adaptation: AdaptationSettings
    line_quantiles: tuple[float, ...]
    remembered: dict[str, int] | None

    def other_tensors(self, names: Collection[str]) -> dict[str, tuple[str, int]]:
        """Return the dtype and number of dimensions of each tensor among these names that is not a weight."""
        forms = dict(tensor_shapes(self.kind))
        if self.source_kind is not None:
            forms |= {_SOURCE + name: form for name, form in tensor_shapes(self.source_kind).items()}
        if self.has_history:
            forms |= {name: (dtype, 1) for name, (dtype, _) in forms_among(names).items()}
        if self.remembered:
            forms[REMEMBERED] = ("U8", 1)
        return forms | {HASHES: ("U32", 1)} if self.task.by_line else forms


def _parse(metadata: dict[str, Any]) -> _Parts:
    """Return the parts that the metadata names. Raises ModelFileError unless they belong together."""
    if set(metadata) - OPTIONAL != METADATA or not isinstance(metadata["training"], dict) \
            or not isinstance(metadata["history"], bool):
        raise ModelFileError("it is a checkpoint, which `charlm train --resume` reads; name its model"
                             if {"generation", "run"} <= set(metadata) else "its metadata has missing or unknown parts")
    labels, source = metadata["labels"], metadata["source_tokenizer"]
    task = stored_task(metadata["task"], labelled=labels is not None)
    if task is None:
        known = ", ".join(dict.fromkeys(row.stored_as for row in TASKS.values()))
        raise ModelFileError(f"its task is not one of {known}")
    if labels is not None and not task.has_labels:
        raise ModelFileError("its task has no labels")
    try:
        config = ModelConfig.from_json(metadata["model"])
        adaptation = AdaptationSettings.from_json(metadata["adaptation"])
    except CharlmError as error:
        raise ModelFileError(str(error)) from None
    if (source is not None) != task.has_source_tokenizer:
        raise ModelFileError("its task and its tokenizers do not belong together")
    reads_windows = task.reads_windows and config.encoder != "shared"
    if config.has_source != (task.reads_source or reads_windows) or bool(config.window) != reads_windows:
        raise ModelFileError("its task and its network do not belong together")
    return _Parts(task, config,
                  _kind(metadata["tokenizer"], TARGET_TOKENIZERS if task.has_source_tokenizer else TOKENIZERS),
                  None if source is None else _kind(source, SOURCE_TOKENIZERS),
                  None if labels is None else Labels.from_json(labels),
                  Provenance.from_json(metadata["provenance"]), metadata["history"], adaptation,
                  parse_quantiles(metadata.get("line_quantiles", [])),
                  remembered_metadata(metadata.get("remembered")))


def _kind(tokenizer: object, kinds: tuple[str, ...]) -> str:
    if not isinstance(tokenizer, dict) or set(tokenizer) != {"kind"} or not isinstance(tokenizer["kind"], str):
        raise ModelFileError("it does not name its tokenizer")
    if tokenizer["kind"] not in kinds:
        raise ModelFileError(f"its tokenizer is not one of its task's: {', '.join(kinds)}")
    return tokenizer["kind"]


def check_sizes(model: Model) -> None:
    """Raise ModelFileError unless the network has exactly the ids of its task, tokenizers and labels."""
    config, labels = model.config, len(model.labels or ())
    sizes = vocabulary_sizes(model.task, model.tokenizer, model.source_tokenizer)
    if config.labels != labels:
        raise ModelFileError(f"it has {labels} labels, its network {config.labels}")
    known = config.vocabulary_size, config.source_vocabulary_size if config.has_source else sizes[1]
    if known != sizes:
        raise ModelFileError(f"its tokenizers have {sizes} ids, its network {known}")


def _check_tensors(forms: Forms, parts: _Parts) -> None:
    """Check names, shapes and dtypes against the configuration, before memory is allocated for them."""
    shapes, others = parts.config.parameter_shapes(), parts.other_tensors(forms)
    if set(forms) != set(shapes) | set(others):
        raise ModelFileError("its tensors are not those of its configuration")
    for name, (dtype, shape) in forms.items():
        expected = ("F32", shapes[name]) if name in shapes else others[name]
        if (dtype, shape if name in shapes else len(shape)) != expected:
            raise ModelFileError(f"tensor {name} has the wrong type or shape")
    if parts.remembered and not forms[REMEMBERED][1][0]:
        raise ModelFileError(f"tensor {REMEMBERED} is empty")
    if parts.has_history:
        check_forms(forms)
