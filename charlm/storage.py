"""Durable file writes: after a crash or a power cut, readers see either the old file or the new one, complete.

Every access to the disk is a single call into `os`, so that tests can make each of them fail.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable

from charlm.errors import StorageError

_MAX_NAME_BYTES = 64                    # of a file's name inside the name of its temporary file
Buffer = bytes | bytearray | memoryview
_TOKEN_DIGITS = 12                      # hexadecimal digits that distinguish temporary files of one file


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary_path(target: str, token: str) -> str:
    """Return a path beside the target that depends only on its name and the token; a long name is hashed."""
    directory, name = os.path.split(target)
    if len(os.fsencode(name)) > _MAX_NAME_BYTES:
        name = f"{name[:_MAX_NAME_BYTES // 4]}~{hashlib.blake2b(os.fsencode(name), digest_size=8).hexdigest()}"
    return os.path.join(directory, f".{name}-{token}.charlm-tmp")


def _write_new(path: str, pieces: Iterable[Buffer]) -> None:
    """Write all the pieces to a file that must not exist yet, and sync it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for piece in pieces:
            remaining = memoryview(piece)
            while remaining:
                remaining = remaining[os.write(descriptor, remaining):]
        mask = os.umask(0)              # the only way to read it is to set it
        os.umask(mask)
        os.fchmod(descriptor, 0o666 & ~mask)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: str, *pieces: Buffer) -> None:
    """Replace `path` by the joined pieces; see `write_stream_durably`."""
    write_stream_durably(path, pieces)


def write_stream_durably(path: str, pieces: Iterable[Buffer]) -> None:
    """Replace `path` by the joined pieces: write and fsync a temporary file beside it, rename it, fsync the directory.

    A symbolic link is followed: the file it points to is replaced. Raises StorageError; the old file, if any, is then
    untouched, unless only the fsync of the directory failed. No temporary file remains. Other errors of `pieces` pass.
    """
    target = os.path.realpath(path)
    temporary = _temporary_path(target, secrets.token_hex(_TOKEN_DIGITS // 2))
    try:
        try:
            _write_new(temporary, pieces)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_directory(os.path.dirname(target))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror}); "
                           "free some space or name another file with -o") from None


def remove_durably(path: str) -> None:
    """Remove a file if it exists, and sync its directory. Raises StorageError."""
    target = os.path.realpath(path)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
            _sync_directory(os.path.dirname(target))
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed ({error.strerror})") from None


def remove_leftovers(path: str) -> None:
    """Remove temporary files of `path` that a killed process left behind. The caller must hold the lock."""
    pattern = glob.escape(_temporary_path(os.path.realpath(path), "\0")).replace("\0", "[0-9a-f]" * _TOKEN_DIGITS)
    for leftover in glob.glob(pattern):
        with contextlib.suppress(OSError):
            os.unlink(leftover)


def require_writable(path: str) -> None:
    """Raise StorageError now if `write_durably(path)` would fail later."""
    directory, name = os.path.split(os.path.realpath(path))
    if os.path.isdir(path) or path.endswith(os.sep) or not name:
        raise StorageError(f"{path}: is a directory; name a file with -o")
    try:
        with contextlib.suppress(FileNotFoundError):
            # stat also fails for a name that no file can have, such as one that is too long.
            if not stat.S_ISREG(os.stat(os.path.join(directory, name)).st_mode):
                raise StorageError(f"{path}: is not a regular file; name one with -o")
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror}); name another file with -o") from None
