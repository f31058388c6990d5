"""A model as a file: configuration, tokenizer and weights in one container, exact or refused.

Not here: the container's form and checksum (container.py), safe writing (storage.py).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

import numpy as np

from charlm.config import SOURCE_TOKENIZERS, TARGET_TOKENIZERS, TASKS, TOKENIZERS, ModelConfig
from charlm.container import Header, pack, peek_metadata, read_header, read_tensor
from charlm.errors import CharlmError, ModelFileError
from charlm.storage import open_without_waiting, write_durably
from charlm.text.labels import Labels
from charlm.text.line_hashes import TENSOR as KNOWN
from charlm.text.line_hashes import LineHashes
from charlm.text.special_tokens import vocabulary_sizes
from charlm.text.tokenizers.base import Tokenizer
from charlm.text.tokenizers.registry import from_tensors, tensor_shapes

_PARTS = {"checksum", "format", "task", "model", "tokenizer", "source_tokenizer", "labels", "training"}
_SOURCE = "source."                     # before the names of the source tokenizer's tensors


@dataclass(frozen=True)
class Model:
    """A model in memory: what it is, how it was trained, its tokenizers and its weights."""

    config: ModelConfig
    tokenizer: Tokenizer                # of the text that it writes
    weights: dict[str, np.ndarray]      # float32, named and shaped as config.parameter_shapes()
    training: dict                      # plain JSON values, for `info`
    task: str = "stream"
    separate_source: Tokenizer | None = None    # of pairs' sources
    labels: Labels | None = None        # of lines, where they have any
    line_hashes: LineHashes | None = None       # of the training text of lines

    @property
    def source_tokenizer(self) -> Tokenizer:
        """Of the text that it reads."""
        return self.separate_source or self.tokenizer


def save(path: str, model: Model) -> None:
    """Write durably. Raises StorageError; refuses weights that are not finite."""
    for name, values in model.weights.items():
        if not np.isfinite(values).all():
            raise CharlmError(f"{name} is not finite; nothing was written")
    source = model.separate_source
    metadata = {"task": model.task, "model": model.config.to_json(),
                "tokenizer": {"kind": model.tokenizer.kind},
                "source_tokenizer": source and {"kind": source.kind},
                "labels": model.labels and model.labels.to_json(), "training": model.training}
    tensors = {**model.weights, **model.tokenizer.tensors()}
    if model.line_hashes:
        tensors[KNOWN] = model.line_hashes.tensor
    if source:
        tensors |= {_SOURCE + name: values for name, values in source.tensors().items()}
    write_durably(path, pack(metadata, tensors))


def load(path: str) -> Model:
    """Read a model. Raises ModelFileError naming the file, for anything that is not exactly one."""
    try:
        with open(path, "rb", opener=open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelFileError("not a regular file")
            return _load(file)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"{path}: cannot be read ({reason})") from None


def peek(path: str) -> tuple[str, bool]:
    """What a file says that it is for and whether it has labels, its checksum and all else unread.

    The task is empty when it says nothing.
    """
    try:
        with open(path, "rb", opener=open_without_waiting) as file:
            metadata = peek_metadata(file)
            return str(metadata.get("task", "stream")), bool(metadata.get("labels"))
    except (ModelFileError, OSError, ValueError):
        return "", False


@dataclass(frozen=True)
class _Description:
    """What the metadata says that the file holds."""

    task: str
    config: ModelConfig
    kind: str                           # of the tokenizer
    source_kind: str | None             # of a source tokenizer of its own
    labels: Labels | None

    @property
    def other_tensors(self) -> dict[str, tuple[str, int]]:
        """Name, dtype and number of dimensions of what is stored beside the weights."""
        forms = dict(tensor_shapes(self.kind))
        if self.source_kind is not None:
            forms |= {_SOURCE + name: form for name, form in tensor_shapes(self.source_kind).items()}
        return forms | {KNOWN: ("U32", 1)} if self.task == "lines" else forms


def _load(file) -> Model:
    header = read_header(file)
    what = _described(header)
    _check_tensors(header, what)
    weights = {name: read_tensor(file, header, name) for name in what.config.parameter_shapes()}

    def tokenizer(kind: str, prefix: str) -> Tokenizer:
        return from_tensors(kind, {name: read_tensor(file, header, prefix + name)
                              for name in tensor_shapes(kind)})

    model = Model(what.config, tokenizer(what.kind, ""), weights, header.metadata["training"],
                  what.task, what.source_kind and tokenizer(what.source_kind, _SOURCE), what.labels,
                  LineHashes.from_tensor(read_tensor(file, header, KNOWN)) if what.task == "lines" else None)
    _check_sizes(model)
    return model


def check_consistency(model: Model) -> None:
    """Task, network, tokenizers and labels must belong to one model. Raises ModelFileError."""
    source = model.separate_source
    _check_parts(_Description(model.task, model.config, model.tokenizer.kind, source and source.kind,
                              model.labels))
    _check_sizes(model)


def _check_parts(what: _Description) -> None:
    """Each part must be one that the task has; sizes cannot be known before tokenizers are read."""
    pairs = what.task == "pairs"
    if (what.source_kind is not None) != pairs:
        raise ModelFileError("its task and its tokenizers do not belong together")
    _check_kind(what.kind, TARGET_TOKENIZERS if pairs else TOKENIZERS)
    if pairs:
        _check_kind(what.source_kind, SOURCE_TOKENIZERS)
    if what.labels is not None and what.task != "lines":
        raise ModelFileError("its task knows no labels")
    _check_source(what.task, what.config)


def _check_sizes(model: Model) -> None:
    """The network must know exactly the ids that its task and tokenizers have."""
    config = model.config
    sizes = vocabulary_sizes(model.task, model.tokenizer, model.source_tokenizer)
    if config.labels != len(model.labels or ()):
        raise ModelFileError(f"it has {len(model.labels or ())} labels, its network {config.labels}")
    known = config.vocabulary_size, config.source_vocabulary_size if config.has_source else sizes[1]
    if known != sizes:
        raise ModelFileError(f"its tokenizers have {sizes} ids, its network {known}")


def _upgraded(metadata: dict) -> dict:
    """Metadata of an older format as the present one spells it."""
    if metadata["format"] == 1 and isinstance(metadata.get("model"), dict):
        model = {"source_vocabulary_size": 0, "attention": False, "window": 0, **metadata["model"]}
        metadata = {"task": "stream", "source_tokenizer": None, **metadata, "model": model}
    if metadata["format"] < 3 and isinstance(metadata.get("model"), dict):
        metadata = {"labels": None, **metadata, "model": {"labels": 0, **metadata["model"]}}
    return metadata


def _described(header: Header) -> _Description:
    """What the metadata says, from exactly the known parts."""
    metadata = _upgraded(header.metadata)
    if set(metadata) != _PARTS or not isinstance(metadata["training"], dict):
        raise ModelFileError("its metadata has missing or unknown parts")
    if metadata["task"] not in TASKS:
        raise ModelFileError(f"its task is none of {', '.join(TASKS)}")
    try:
        config = ModelConfig.from_json(metadata["model"])
    except CharlmError as error:
        raise ModelFileError(str(error)) from None
    source, labels = metadata["source_tokenizer"], metadata["labels"]
    what = _Description(metadata["task"], config, _kind(metadata["tokenizer"]),
                        None if source is None else _kind(source),
                        Labels.from_json(labels) if labels is not None and metadata["task"] == "lines" else labels)
    _check_parts(what)
    return what


def _check_source(task: str, config: ModelConfig) -> None:
    """Pairs and gaps are read by an encoder, a stream by one at wish, lines by none."""
    reads = task in ("pairs", "fill") or task == "stream" and config.encoder != "shared"
    if config.has_source != reads or bool(config.window) != (task == "stream" and reads):
        raise ModelFileError("its task and its network do not belong together")


def _kind(tokenizer: object) -> object:
    """What a tokenizer's metadata says that it is."""
    if not isinstance(tokenizer, dict) or set(tokenizer) != {"kind"}:
        raise ModelFileError("it does not say which tokenizer it has")
    return tokenizer["kind"]


def _check_kind(kind: object, kinds: tuple[str, ...]) -> None:
    if kind not in kinds:
        raise ModelFileError(f"it has none of the tokenizers of its task, {', '.join(kinds)}")


def _check_tensors(header: Header, what: _Description) -> None:
    """Names, shapes and dtypes must be the configuration's, before memory is taken for them."""
    shapes, extra = what.config.parameter_shapes(), what.other_tensors
    if set(header.entries) != set(shapes) | set(extra):
        raise ModelFileError("its tensors are not those of its configuration")
    for name, entry in header.entries.items():
        if name in shapes:
            fits = (entry.dtype, entry.shape) == ("F32", shapes[name])
        else:
            fits = (entry.dtype, len(entry.shape)) == extra[name]
        if not fits:
            raise ModelFileError(f"tensor {name} has the wrong type or shape")
