"""Compressed files, recognized by their suffix; .zst needs Python 3.14 or the extra `charlm[zst]`."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from charlm.errors import CorpusError


def _find_zstd() -> Any:
    """Return the zstd module of Python 3.14, or its backport for older versions, or None."""
    for name in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return importlib.import_module(name)
    return None


zstd = _find_zstd()


def _open_zstd(source: str, mode: str) -> BinaryIO:
    """Open a .zst file. Raises CorpusError if no module for it is installed."""
    if zstd is None:
        raise CorpusError(f"{source}: reading .zst needs another package; install it with: pip install 'charlm[zst]'")
    stream: BinaryIO = zstd.open(source, mode)
    return stream


COMPRESSED: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": _open_zstd}
DAMAGED = (EOFError, OSError, lzma.LZMAError, zlib.error, *([zstd.ZstdError] if zstd else []))


def inner_name(path: str) -> str:
    """Return a path without the ending of a compressed file.

    >>> inner_name("lexicon.tsv.GZ"), inner_name("lexicon.tsv")
    ('lexicon.tsv', 'lexicon.tsv')
    """
    stem, ending = os.path.splitext(path)
    return stem if ending.lower() in COMPRESSED else path
