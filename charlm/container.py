"""The container of models: safetensors, one JSON string of metadata, one checksum over all.

    8 bytes     length of the header, little endian
    header      {"__metadata__": {"charlm": JSON}, name: {dtype, shape, data_offsets} ...}
    data        the tensors, contiguous, in the order of their offsets

The JSON begins with "checksum": BLAKE2b-256 over the whole file with these 64 digits as zeros. Plain
safetensors would accept nearly every flipped bit in the data.

Not here: which tensors a model has (modelfile.py), how a file reaches the disk (storage.py).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from charlm.errors import CharlmError, ModelFileError

FORMAT = 3
MAX_HEADER = 1 << 20
_KEY = "charlm"
_MARK = b'{"__metadata__":{"charlm":"{\\"checksum\\":\\"'
_ZEROS = b"0" * 64
_DTYPES = {"F32": np.dtype("<f4"), "U32": np.dtype("<u4"), "U8": np.dtype("u1")}
_HASHED_AT_ONCE = 1 << 20
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class TensorEntry:
    """One tensor as the header describes it: `dtype` in safetensors' spelling, offsets in the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """A header whose own form is sound; its checksum has been verified."""

    metadata: dict
    entries: dict[str, TensorEntry]
    data_begin: int


def pack(metadata: dict, tensors: dict[str, np.ndarray]) -> bytes:
    """The container as bytes; equal inputs give equal bytes. Raises CharlmError for a huge header."""
    from safetensors.numpy import save
    text = json.dumps({"checksum": _ZEROS.decode(), "format": FORMAT, **metadata},
                      separators=(",", ":"), ensure_ascii=True)
    data = bytearray(save(tensors, metadata={_KEY: text}))
    if int.from_bytes(data[:8], "little") > MAX_HEADER:
        raise CharlmError(f"the model's description is longer than {MAX_HEADER} bytes; "
                          "nothing was written")
    start = 8 + len(_MARK)
    if data[8:start] != _MARK or data[start:start + 64] != _ZEROS:
        raise RuntimeError("safetensors wrote its metadata in another place than expected")
    data[start:start + 64] = hashlib.blake2b(data, digest_size=32).hexdigest().encode()
    return bytes(data)


def _refuse(reason: str) -> ModelFileError:
    return ModelFileError(f"not a charlm model: {reason}")


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _refuse("it ends too early")
    return data


def _verify_checksum(file: BinaryIO, start: int) -> None:
    """Hash the file in pieces with the 64 digits at `start` as zeros."""
    file.seek(0)
    digest = hashlib.blake2b(_read_exactly(file, start), digest_size=32)
    stored = _read_exactly(file, 64)
    digest.update(_ZEROS)
    while chunk := file.read(_HASHED_AT_ONCE):
        digest.update(chunk)
    if digest.hexdigest().encode() != stored:
        raise ModelFileError("damaged: its checksum does not match; copy or train it again")


def _unique(pairs: list[tuple[str, object]]) -> dict:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key twice")
    return values


def _parse(text: bytes | str, what: str) -> dict:
    """JSON that begins as a table, and so is one."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise _refuse(f"its {what} is not JSON") from None


def _natural(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _entry(name: str, values: object) -> TensorEntry:
    """One tensor's description, every part checked; its extent must be its shape's."""
    sound = (isinstance(values, dict) and set(values) == {"dtype", "shape", "data_offsets"}
             and isinstance(values["dtype"], str) and values["dtype"] in _DTYPES)
    if sound:
        shape, offsets = values["shape"], values["data_offsets"]
        sound = (isinstance(shape, list) and len(shape) <= _MOST_DIMENSIONS
                 and all(map(_natural, shape))
                 and isinstance(offsets, list) and len(offsets) == 2 and all(map(_natural, offsets))
                 and offsets[1] - offsets[0] == math.prod(shape) * _DTYPES[values["dtype"]].itemsize)
    if not sound:
        raise _refuse(f"tensor {name[:60]!r} is described wrongly")
    return TensorEntry(values["dtype"], tuple(shape), *offsets)


def _read_header_bytes(file: BinaryIO) -> tuple[bytes, int]:
    """The header, not yet looked into, and the size of the file."""
    size = os.fstat(file.fileno()).st_size
    if size < 8 + len(_MARK) + 64:
        raise _refuse(f"{size} bytes are too few")
    length = int.from_bytes(_read_exactly(file, 8), "little")
    if not len(_MARK) + 64 < length <= min(MAX_HEADER, size - 8):
        raise _refuse("its header has an impossible length")
    header = _read_exactly(file, length)
    if not header.startswith(_MARK):
        raise _refuse("it carries no charlm metadata and checksum")
    return header, size


def _parse_header(header: bytes) -> tuple[dict, dict]:
    """The metadata, and what else stands in the header."""
    table = _parse(header, "header")
    outer = table.pop("__metadata__")
    if not isinstance(outer, dict) or set(outer) != {_KEY} or not isinstance(outer[_KEY], str):
        raise _refuse("its metadata has unknown entries")
    return _parse(outer[_KEY], "metadata"), table


def peek_metadata(file: BinaryIO) -> dict:
    """The metadata as it stands there, nothing verified: good for a guess at what a file is."""
    return _parse_header(_read_header_bytes(file)[0])[0]


def read_header(file: BinaryIO) -> Header:
    """Check size, header length and checksum, then the form of the header and of every entry.

    Raises ModelFileError. Memory stays within a few times the header's own megabyte.
    """
    header, size = _read_header_bytes(file)
    _verify_checksum(file, 8 + len(_MARK))
    metadata, table = _parse_header(header)
    version = metadata.get("format")
    if not _natural(version) or version < 1:
        raise _refuse("it states no format version")
    if version > FORMAT:
        raise ModelFileError(f"format {version} is newer than format {FORMAT}, the newest that this "
                             "charlm reads; upgrade charlm")
    entries = {name: _entry(name, values) for name, values in table.items()}
    end = 0
    for entry in sorted(entries.values(), key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != end:
            raise _refuse("its tensors overlap or leave gaps")
        end = entry.end
    if 8 + len(header) + end != size:
        raise _refuse("its size is not that of its tensors")
    return Header(metadata, entries, 8 + len(header))


def read_tensor(file: BinaryIO, header: Header, name: str) -> np.ndarray:
    """One tensor, in memory of its own. Raises ModelFileError for values that are not finite."""
    entry = header.entries[name]
    file.seek(header.data_begin + entry.begin)
    tensor = np.frombuffer(bytearray(_read_exactly(file, entry.end - entry.begin)),
                           _DTYPES[entry.dtype]).reshape(entry.shape)
    if entry.dtype == "F32" and not np.isfinite(tensor).all():
        raise _refuse(f"tensor {name[:60]!r} holds values that are not finite")
    return tensor
