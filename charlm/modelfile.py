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
from charlm.storage import write_durably
from charlm.text.kinds import rebuild, tensor_shapes
from charlm.text.special import vocabulary_sizes
from charlm.text.tokenizer import Tokenizer

_PARTS = {"checksum", "format", "task", "model", "tokenizer", "source_tokenizer", "training"}
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
                "source_tokenizer": source and {"kind": source.kind}, "training": model.training}
    tensors = {**model.weights, **model.tokenizer.tensors()}
    if source:
        tensors |= {_SOURCE + name: values for name, values in source.tensors().items()}
    write_durably(path, pack(metadata, tensors))


def load(path: str) -> Model:
    """Read a model. Raises ModelFileError naming the file, for anything that is not exactly one."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelFileError("not a regular file")
            return _load(file)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"{path}: cannot be read ({reason})") from None


def claimed_task(path: str) -> str | None:
    """What a file says that it is for, its checksum and all else unread; None when it says nothing."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            return peek_metadata(file).get("task", "stream")
    except (ModelFileError, OSError, ValueError):
        return None


def _open_without_waiting(path: str, flags: int) -> int:
    """Open even a FIFO at once, instead of waiting for somebody to write into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@dataclass(frozen=True)
class _Description:
    """What the metadata says that the file holds."""

    task: str
    config: ModelConfig
    kind: str                           # of the tokenizer
    source_kind: str | None             # of a source tokenizer of its own


def _load(file) -> Model:
    header = read_header(file)
    what = _described(header)
    _check_tensors(header, what)
    weights = {name: read_tensor(file, header, name) for name in what.config.parameter_shapes()}

    def tokenizer(kind: str, prefix: str) -> Tokenizer:
        return rebuild(kind, {name: read_tensor(file, header, prefix + name)
                              for name in tensor_shapes(kind)})

    model = Model(what.config, tokenizer(what.kind, ""), weights, header.metadata["training"],
                  what.task, what.source_kind and tokenizer(what.source_kind, _SOURCE))
    _check_sizes(model)
    return model


def _check_sizes(model: Model) -> None:
    """The network must know exactly the ids that its task and tokenizers have."""
    config = model.config
    sizes = vocabulary_sizes(model.task, model.tokenizer, model.source_tokenizer)
    known = config.vocabulary_size, config.source_vocabulary_size if config.has_source else sizes[1]
    if known != sizes:
        raise ModelFileError(f"its tokenizers have {sizes} ids, its network {known}")


def _upgraded(metadata: dict) -> dict:
    """Metadata of an older format as the present one spells it."""
    if metadata["format"] == 1 and isinstance(metadata.get("model"), dict):
        model = {"source_vocabulary_size": 0, "attention": False, "window": 0, **metadata["model"]}
        return {"task": "stream", "source_tokenizer": None, **metadata, "model": model}
    return metadata


def _described(header: Header) -> _Description:
    """What the metadata says, from exactly the known parts."""
    metadata = _upgraded(header.metadata)
    if set(metadata) != _PARTS or not isinstance(metadata["training"], dict):
        raise ModelFileError("its metadata has missing or unknown parts")
    if metadata["task"] not in TASKS:
        raise ModelFileError(f"its task is none of {', '.join(TASKS)}")
    pairs, source = metadata["task"] == "pairs", metadata["source_tokenizer"]
    if (source is not None) != pairs:
        raise ModelFileError("its task and its tokenizers do not belong together")
    try:
        config = ModelConfig.from_json(metadata["model"])
    except CharlmError as error:
        raise ModelFileError(str(error)) from None
    if config.has_source != (metadata["task"] != "stream" or config.encoder != "shared") \
            or bool(config.window) != (metadata["task"] == "stream" and config.has_source):
        raise ModelFileError("its task and its network do not belong together")
    kinds = TARGET_TOKENIZERS if pairs else TOKENIZERS
    return _Description(metadata["task"], config, _kind(metadata["tokenizer"], kinds),
                        None if source is None else _kind(source, SOURCE_TOKENIZERS))


def _kind(tokenizer: object, kinds: tuple[str, ...]) -> str:
    if not isinstance(tokenizer, dict) or set(tokenizer) != {"kind"} or tokenizer["kind"] not in kinds:
        raise ModelFileError(f"it has none of the tokenizers of its task, {', '.join(kinds)}")
    return tokenizer["kind"]


def _check_tensors(header: Header, what: _Description) -> None:
    """Names, shapes and dtypes must be the configuration's, before memory is taken for them."""
    shapes, extra = what.config.parameter_shapes(), tensor_shapes(what.kind)
    if what.source_kind is not None:
        extra |= {_SOURCE + name: form for name, form in tensor_shapes(what.source_kind).items()}
    if set(header.entries) != set(shapes) | set(extra):
        raise ModelFileError("its tensors are not those of its configuration")
    for name, entry in header.entries.items():
        if name in shapes:
            fits = (entry.dtype, entry.shape) == ("F32", shapes[name])
        else:
            fits = (entry.dtype, len(entry.shape)) == extra[name]
        if not fits:
            raise ModelFileError(f"tensor {name} has the wrong type or shape")
