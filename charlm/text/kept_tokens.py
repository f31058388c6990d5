"""Tokens of a text that are kept between runs (--cache-dir), in one file for each text, tokenizer and split.

A file's name is derived from the digest of the text and from everything else that its tokens depend on, so the tokens
of a changed corpus are never reused. The file consists of MAGIC, the ids of both parts, and a table of contents with
checksums of everything. A file that does not match its name or its checksums is replaced. Nothing else is ever deleted.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from charlm.contract import Tokenizer
from charlm.errors import CharlmError, StorageError
from charlm.text.token_cache import TokenCache, smallest_dtype
from charlm.text.tokenizers import registry
from charlm.text.tokenizers.registry import Extendable
from charlm.version import __version__

MAGIC = b"charlm tokens 1\n"
ENDING = ".tokens"
_TAIL = 24                              # bytes: the length of the table, and its BLAKE2b-128
_MAX_TABLE = 1 << 26


class KeptCorpus(NamedTuple):
    """The fields of a text corpus."""

    tokenizer: Tokenizer
    train: TokenCache
    validation: TokenCache
    train_characters: int
    validation_characters: int
    digest: str
    remarks: tuple[str, ...]


def path_of(directory: str, digest: str, *, tokenizer: str | Tokenizer | Extendable, vocabulary_size: int | None,
            validation: float | None) -> str:
    """Return the path of a text's tokens. `digest` covers all texts; `validation` is a fraction or None."""
    known = tokenizer.known if isinstance(tokenizer, Extendable) else tokenizer
    described = [known, ""] if isinstance(known, str) else [known.kind, _digest(json.dumps(_plain(known)).encode())]
    settings = [__version__, *described, isinstance(tokenizer, Extendable), vocabulary_size, validation]
    return os.path.join(directory, f"{digest}-{_digest(json.dumps(settings).encode())[:16]}{ENDING}")


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _plain(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return a tokenizer as JSON values."""
    return {name: [values.dtype.str, base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")]
            for name, values in tokenizer.tensors().items()}


@contextlib.contextmanager
def kept_file(path: str) -> Iterator[BinaryIO]:
    """Open a file that gets its name only when it is complete, so that no run sees an incomplete file of another.

    Raises StorageError. Nothing is left behind after an error or, if the system supports O_TMPFILE, after a kill.
    """
    part = f"{path}-{secrets.token_hex(6)}.part"
    try:
        descriptor = _nameless(os.path.dirname(path))
        named = descriptor is None
        if descriptor is None:
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        file = os.fdopen(descriptor, "w+b")
        file.write(MAGIC)
        yield file
        file.flush()
        os.fsync(descriptor)
        if not named:                   # with `src_dir_fd`, os.link follows the link in /proc
            os.link(f"/proc/self/fd/{descriptor}", part, src_dir_fd=descriptor, follow_symlinks=True)
        os.replace(part, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(part)
        if isinstance(error, OSError):
            raise StorageError(f"{path}: cannot be written ({error.strerror}); name another directory with "
                               "--cache-dir") from None
        raise


def _nameless(directory: str) -> int | None:
    """Return the descriptor of a new file without a name, or None if the system does not support that."""
    if not os.path.exists("/proc/self/fd"):
        return None
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o600)
    except (OSError, AttributeError):
        return None


def write_table(file: BinaryIO, kept: KeptCorpus) -> None:
    """Append the table of contents to the tokens of a corpus."""
    table = {"tokenizer": kept.tokenizer.kind, "tensors": _plain(kept.tokenizer),
             "parts": [[part.offset, len(part), part.checksum] for part in (kept.train, kept.validation)],
             "characters": [kept.train_characters, kept.validation_characters], "digest": kept.digest,
             "remarks": kept.remarks}
    data = json.dumps(table).encode()
    file.seek(0, os.SEEK_END)
    file.write(data + len(data).to_bytes(8, "little") + hashlib.blake2b(data, digest_size=16).digest())


def load(path: str, digest: str) -> KeptCorpus | None:
    """Return the corpus in a file, or None if the file is missing or damaged."""
    try:
        with contextlib.ExitStack() as opened:
            file = opened.enter_context(open(path, "rb"))
            kept = _parse(file, digest)
            opened.pop_all()            # keep it open, because the caches read from it
            return kept
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError, CharlmError):
        return None


def _parse(file: BinaryIO, digest: str) -> KeptCorpus:
    """Return the corpus in a file. Raises one of many errors if it is damaged."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _TAIL, 0))
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:8], "little")
    if not 0 < length <= min(_MAX_TABLE, size - _TAIL):
        raise ValueError("no table of contents")
    file.seek(size - _TAIL - length)
    data = file.read(length)
    if hashlib.blake2b(data, digest_size=16).digest() != tail[8:]:
        raise ValueError("damaged table of contents")
    table = json.loads(data)
    tensors = {name: np.frombuffer(base64.b64decode(text), dtype) for name, (dtype, text) in table["tensors"].items()}
    tokenizer = registry.from_tensors(table["tokenizer"], tensors)
    dtype = smallest_dtype(tokenizer.size)
    train, validation = (TokenCache.from_file(file, offset, count, dtype) for offset, count, _ in table["parts"])
    if table["digest"] != digest or [train.checksum, validation.checksum] != [part[2] for part in table["parts"]]:
        raise ValueError("damaged tokens")
    characters, held_out = table["characters"]
    return KeptCorpus(tokenizer, train, validation, characters, held_out, digest, tuple(table["remarks"]))
