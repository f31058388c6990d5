"""A model as a file: configuration, tokenizer and weights in one container, exact or refused.

Not here: the container's form and checksum (container.py), safe writing (storage.py).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

import numpy as np

from charlm.config import ModelConfig
from charlm.container import Header, pack, read_header, read_tensor
from charlm.errors import CharlmError, ModelFileError
from charlm.storage import write_durably
from charlm.text.kinds import rebuild, tensor_shapes
from charlm.text.tokenizer import Tokenizer

_PARTS = {"checksum", "format", "model", "tokenizer", "training"}


@dataclass(frozen=True)
class Model:
    """A model in memory: what it is, how it was trained, its tokenizer and its weights."""

    config: ModelConfig
    tokenizer: Tokenizer
    weights: dict[str, np.ndarray]      # float32, named and shaped as config.parameter_shapes()
    training: dict                      # plain JSON values, for `info`


def save(path: str, model: Model) -> None:
    """Write durably. Raises StorageError; refuses weights that are not finite."""
    for name, values in model.weights.items():
        if not np.isfinite(values).all():
            raise CharlmError(f"{name} is not finite; nothing was written")
    metadata = {"model": model.config.to_json(), "tokenizer": {"kind": model.tokenizer.kind},
                "training": model.training}
    write_durably(path, pack(metadata, {**model.weights, **model.tokenizer.tensors()}))


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


def _open_without_waiting(path: str, flags: int) -> int:
    """Open even a FIFO at once, instead of waiting for somebody to write into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _load(file) -> Model:
    header = read_header(file)
    config, kind = _described(header)
    _check_tensors(header, config, kind)
    weights = {name: read_tensor(file, header, name) for name in config.parameter_shapes()}
    tokenizer = rebuild(kind, {name: read_tensor(file, header, name)
                               for name in tensor_shapes(kind)})
    if tokenizer.size != config.vocabulary_size:
        raise ModelFileError(f"its tokenizer has {tokenizer.size} ids, its network "
                             f"{config.vocabulary_size}")
    return Model(config, tokenizer, weights, header.metadata["training"])


def _described(header: Header) -> tuple[ModelConfig, str]:
    """The configuration and the tokenizer's kind, from metadata with exactly the known parts."""
    metadata = header.metadata
    if set(metadata) != _PARTS or not isinstance(metadata["training"], dict):
        raise ModelFileError("its metadata has missing or unknown parts")
    tokenizer = metadata["tokenizer"]
    if not isinstance(tokenizer, dict) or set(tokenizer) != {"kind"} \
            or not isinstance(tokenizer["kind"], str):
        raise ModelFileError("it does not say which tokenizer it has")
    try:
        return ModelConfig.from_json(metadata["model"]), tokenizer["kind"]
    except CharlmError as error:
        raise ModelFileError(str(error)) from None


def _check_tensors(header: Header, config: ModelConfig, kind: str) -> None:
    """Names, shapes and dtypes must be the configuration's, before memory is taken for them."""
    shapes, extra = config.parameter_shapes(), tensor_shapes(kind)
    if set(header.entries) != set(shapes) | set(extra):
        raise ModelFileError("its tensors are not those of its configuration")
    for name, entry in header.entries.items():
        if name in shapes:
            fits = (entry.dtype, entry.shape) == ("F32", shapes[name])
        else:
            fits = (entry.dtype, len(entry.shape)) == extra[name]
        if not fits:
            raise ModelFileError(f"tensor {name} has the wrong type or shape")
