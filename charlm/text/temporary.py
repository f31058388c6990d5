"""Temporary files of a corpus: their directory, a check for enough disk space, and an announcement of large ones."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from charlm.errors import StorageError
from charlm.sizes import format_size

LARGE = 100_000_000                     # size in bytes from which a file is announced


def _ignore(text: str) -> None:
    """Report nothing."""


def anonymous_file(directory: str | None = None) -> BinaryIO:
    """Open an unnamed file in a directory, by default TMPDIR or /var/tmp, because /tmp is often a small RAM disk."""
    try:
        return tempfile.TemporaryFile(dir=directory or _roomy())
    except OSError as error:
        raise _no_room(error) from None


def _no_room(error: OSError) -> StorageError:
    return StorageError(f"no room for a temporary file ({error}); set TMPDIR")


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
        try:
            folder = self.directory or _roomy() or tempfile.gettempdir()
            free = shutil.disk_usage(folder).free
        except OSError as error:        # no directory can be written, as on a full disk
            raise _no_room(error) from None
        if size > free:
            raise StorageError(f"{what} needs {format_size(size)} in {folder}, but {format_size(free)} are free; set "
                               "--cache-dir or TMPDIR to a larger disk")
        if size > LARGE:
            self.report(f"{what} takes {format_size(size)} in {folder} …")


IN_TMPDIR = TemporaryFiles()
