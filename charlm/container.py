"""The container of model files: safetensors with one JSON string of metadata and one checksum over the whole file.

    8 bytes     length of the header, little endian
    header      {"__metadata__": {"charlm": JSON}, name: {dtype, shape, data_offsets} ...}
    data        the tensors, contiguous, in the order of their offsets

The JSON begins with "checksum": the BLAKE2b-256 digest (RFC 7693), in hexadecimal, of the whole file with these 64
digits as zeros. Plain safetensors would accept nearly every flipped bit in the data.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeGuard

import numpy as np
from numpy.typing import NDArray

from charlm.errors import CharlmError, ModelFileError

FORMAT = 4
MAX_HEADER = 1 << 20                    # bytes
_KEY = "charlm"
_PREFIX = b'{"__metadata__":{"charlm":"{\\"checksum\\":\\"'
_ZERO_DIGEST = b"0" * 64
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U32": np.dtype("<u4"), "U8": np.dtype("u1")}
_CHUNK_SIZE = 1 << 20                   # bytes hashed at a time
_MAX_DIMENSIONS = 8


@dataclass(frozen=True)
class TensorEntry:
    """One tensor as the header describes it: `dtype` in safetensors' spelling, offsets into the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """A well-formed header of a file whose checksum has been verified."""

    metadata: dict[str, Any]
    entries: dict[str, TensorEntry]
    data_begin: int


def pack(metadata: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> bytes:
    """Return the container as bytes; equal inputs give equal bytes. Raises CharlmError if the header is too long."""
    return b"".join(pieces(metadata, tensors))


def pieces(metadata: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> list[bytearray | memoryview]:
    """Return what `pack` joins. Large tensors are not copied, as two or three copies might not fit into memory."""
    # safetensors sorts by type, F32 before U32 before U8, then by name.
    ordered = sorted(tensors.items(), key=lambda one: (-one[1].itemsize, one[1].dtype.kind, one[0]))
    contiguous = [(name, np.asarray(values, order="C")) for name, values in ordered]
    data = [values.reshape(-1).view(np.uint8).data for _, values in contiguous]
    head = _pack_header(metadata, contiguous)
    digest = hashlib.blake2b(head, digest_size=32)
    for view in data:
        digest.update(view)
    start = 8 + len(_PREFIX)
    head[start:start + 64] = digest.hexdigest().encode()
    return _join_small([head, *data])


def _pack_header(metadata: dict[str, Any], tensors: list[tuple[str, NDArray[Any]]]) -> bytearray:
    """Return the length and the header, with a checksum of zeros, for tensors in this order."""
    text = json.dumps({"checksum": _ZERO_DIGEST.decode(), "format": FORMAT, **metadata}, separators=(",", ":"))
    entries: dict[str, Any] = {"__metadata__": {_KEY: text}}
    end = 0
    for name, values in tensors:
        begin, end = end, end + values.nbytes
        dtype = f"{values.dtype.kind.upper()}{8 * values.itemsize}"
        entries[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [begin, end]}
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > MAX_HEADER:
        raise CharlmError(f"the model's metadata is longer than {MAX_HEADER} bytes; nothing was written")
    return bytearray(len(header).to_bytes(8, "little") + header)


def _join_small(parts: list[bytearray | memoryview]) -> list[bytearray | memoryview]:
    """Join neighbours shorter than a chunk, so that few system calls write them.

    >>> _join_small([bytearray(b"ab"), memoryview(b"c")])
    [bytearray(b'abc')]
    """
    joined: list[bytearray | memoryview] = []
    for part in parts:
        if joined and isinstance(joined[-1], bytearray) and len(part) < _CHUNK_SIZE:
            joined[-1] += part
        else:
            joined.append(bytearray(part) if len(part) < _CHUNK_SIZE else part)
    return joined


def _invalid(reason: str) -> ModelFileError:
    return ModelFileError(f"not a charlm model: {reason}")


@contextlib.contextmanager
def open_container(path: str) -> Iterator[BinaryIO]:
    """Open a regular file. Whatever fails here or in the `with` block raises a ModelFileError that names the file."""
    try:
        # Opening a FIFO that has no writer would otherwise wait for one.
        with open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelFileError("not a regular file")
            yield file
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"{path}: cannot be read ({reason})") from error


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise _invalid("it ends too early")
    return data


def _verify_checksum(file: BinaryIO, start: int) -> None:
    """Hash the file in chunks, the 64 digits at `start` as zeros, and compare the digest with them."""
    file.seek(0)
    digest = hashlib.blake2b(_read_exactly(file, start), digest_size=32)
    stored = _read_exactly(file, 64)
    digest.update(_ZERO_DIGEST)
    while chunk := file.read(_CHUNK_SIZE):
        digest.update(chunk)
    if digest.hexdigest().encode() != stored:
        raise ModelFileError("damaged: its checksum does not match; copy or train it again")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("duplicate key")
    return values


def _parse_json(text: bytes | str, name: str) -> dict[str, Any]:
    """Parse text that is known to begin like a JSON object, so that whatever parses is one."""
    try:
        return dict(json.loads(text, object_pairs_hook=_without_duplicates))
    except (ValueError, RecursionError):
        raise _invalid(f"its {name} is not JSON") from None


def _is_natural(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 1 << 53


def _parse_entry(name: str, values: Any) -> TensorEntry:
    """Check and return one tensor's entry; its extent must match its shape."""
    valid = (isinstance(values, dict) and set(values) == {"dtype", "shape", "data_offsets"}
             and isinstance(values["dtype"], str) and values["dtype"] in _DTYPES)
    if valid:
        shape, offsets = values["shape"], values["data_offsets"]
        valid = (isinstance(shape, list) and len(shape) <= _MAX_DIMENSIONS and all(map(_is_natural, shape))
                 and isinstance(offsets, list) and len(offsets) == 2 and all(map(_is_natural, offsets))
                 and offsets[1] - offsets[0] == math.prod(shape) * _DTYPES[values["dtype"]].itemsize)
    if not valid:
        raise _invalid(f"tensor {name[:60]!r} is described wrongly")
    return TensorEntry(values["dtype"], tuple(shape), *offsets)


def _read_header_bytes(file: BinaryIO) -> tuple[bytes, int]:
    """Return the header, not yet parsed, and the size of the file."""
    size = os.fstat(file.fileno()).st_size
    if size < 8 + len(_PREFIX) + 64:
        raise _invalid(f"{size} bytes are too few")
    length = int.from_bytes(_read_exactly(file, 8), "little")
    if not len(_PREFIX) + 64 < length <= min(MAX_HEADER, size - 8):
        raise _invalid("its header has an impossible length")
    header = _read_exactly(file, length)
    if not header.startswith(_PREFIX):
        raise _invalid("it carries no charlm metadata and checksum")
    return header, size


def _parse_header(header: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metadata and the tensors' entries, the latter unchecked."""
    entries = _parse_json(header, "header")
    outer = entries.pop("__metadata__")
    if not isinstance(outer, dict) or set(outer) != {_KEY} or not isinstance(outer[_KEY], str):
        raise _invalid("its metadata has unknown entries")
    return _parse_json(outer[_KEY], "metadata"), entries


def peek_metadata(file: BinaryIO) -> dict[str, Any]:
    """Return the metadata without verifying the checksum: good enough to guess what a file is."""
    return _parse_header(_read_header_bytes(file)[0])[0]


def read_header(file: BinaryIO) -> Header:
    """Check and return the header, in memory of a few times MAX_HEADER. Raises ModelFileError."""
    header, size = _read_header_bytes(file)
    _verify_checksum(file, 8 + len(_PREFIX))
    metadata, raw_entries = _parse_header(header)
    version = metadata.get("format")
    if not _is_natural(version) or version < 1:
        raise _invalid("it states no format version")
    if version > FORMAT:
        raise ModelFileError(f"format {version} is newer than format {FORMAT}, the newest that this charlm reads; "
                             "upgrade charlm")
    entries = {name: _parse_entry(name, values) for name, values in raw_entries.items()}
    end = 0
    for entry in sorted(entries.values(), key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != end:
            raise _invalid("its tensors overlap or leave gaps")
        end = entry.end
    if 8 + len(header) + end != size:
        raise _invalid("its size does not match its tensors")
    return Header(metadata, entries, 8 + len(header))


def read_tensor(file: BinaryIO, header: Header, name: str) -> NDArray[Any]:
    """Return one tensor as a writable array. Raises ModelFileError for values that are not finite."""
    entry = header.entries[name]
    file.seek(header.data_begin + entry.begin)
    tensor = np.frombuffer(bytearray(_read_exactly(file, entry.end - entry.begin)),
                           _DTYPES[entry.dtype]).reshape(entry.shape)
    if entry.dtype == "F32" and not np.isfinite(tensor).all():
        raise _invalid(f"tensor {name[:60]!r} holds values that are not finite")
    return tensor
