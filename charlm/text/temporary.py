"""Temporary files of a corpus: their directory, a check for enough disk space, and an announcement of large ones."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from charlm.errors import StorageError

LARGE = 100_000_000                     # size in bytes from which a file is announced
_GIGA = 1e9


def _ignore(text: str) -> None:
    """Report nothing."""


def anonymous_file(directory: str | None = None) -> BinaryIO:
    """Open an unnamed file in a directory, by default TMPDIR or /var/tmp, because /tmp is often a small RAM disk."""
    try:
        return tempfile.TemporaryFile(dir=directory or _roomy())
    except OSError as error:
        raise StorageError(f"no room for a temporary file ({error}); set TMPDIR") from None


def _roomy() -> str | None:
    return None if os.environ.get("TMPDIR") or not os.access("/var/tmp", os.W_OK) else "/var/tmp"


def write_all(file: BinaryIO, pieces: Iterable[bytes]) -> None:
    """Append pieces to a private file and flush it. Raises StorageError for a full disk; errors of `pieces` pass."""
    for data in pieces:
        _disk(file.write, data)
    _disk(file.flush)


def _disk(operation: Callable[..., Any], *arguments: bytes) -> None:
    try:
        operation(*arguments)
    except OSError as error:
        raise StorageError(f"temporary files: {error.strerror}; set TMPDIR to a larger disk") from None


@dataclass(frozen=True)
class TemporaryFiles:
    """The temporary files for reading one corpus."""

    directory: str | None = None        # --cache-dir, where the tokens of a text are also kept; None: TMPDIR
    report: Callable[[str], None] = _ignore

    def prepare(self) -> None:
        """Create the directory, if one is given. Raises StorageError."""
        if self.directory is None:
            return
        try:
            os.makedirs(self.directory, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.directory):
                pass
        except OSError as error:
            raise StorageError(f"{self.directory}: cannot be written ({error.strerror}); name another directory with "
                               "--cache-dir") from None

    def open(self) -> BinaryIO:
        """Open an unnamed file."""
        return anonymous_file(self.directory)

    def announce(self, what: str, size: float) -> None:
        """Report the size of a large file that is about to be written. Raises StorageError if the disk is too small."""
        folder = self.directory or _roomy() or tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
        if size > free:
            raise StorageError(f"{what} needs {_gigabytes(size)} in {folder}, but {_gigabytes(free)} are free; set "
                               "--cache-dir or TMPDIR to a larger disk")
        if size > LARGE:
            self.report(f"{what} takes {_gigabytes(size)} in {folder} …")


IN_TMPDIR = TemporaryFiles()


def _gigabytes(size: float) -> str:
    """Return a number of bytes in gigabytes.

    >>> _gigabytes(9_640_000_000), _gigabytes(120_000_000)
    ('9.6 GB', '0.12 GB')
    """
    return f"{size / _GIGA:.1f} GB" if size >= _GIGA else f"{size / _GIGA:.2f} GB"
