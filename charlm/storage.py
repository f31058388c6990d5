"""Writing a file so that a reader, a crash or a power cut sees the old one or the new one, whole.

Every touch of the disk is one call of `os`, so that tests can make any of them fail.
Not here: what is in the file (container.py, modelfile.py, checkpoint.py), who may write it (lock.py).
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import secrets
import stat
import tempfile

from charlm.errors import StorageError

_NAME = 64                              # bytes of a file's name in that of its temporary one, at most
_DIGITS = 12                            # of what tells temporary files of one file apart


def _umask() -> int:
    mask = os.umask(0)                  # the only way to read it is to set it
    os.umask(mask)
    return mask


def _sync_directory(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary(target: str, token: str) -> str:
    """Beside the target, named after it and nothing else; long names are told apart by a hash."""
    folder, name = os.path.split(target)
    if len(os.fsencode(name)) > _NAME:
        name = f"{name[:_NAME // 4]}~{hashlib.blake2b(os.fsencode(name), digest_size=8).hexdigest()}"
    return os.path.join(folder, f".{name}-{token}.charlm-tmp")


def _write_new(path: str, data: bytes) -> None:
    """All the data into a file that was not there, down to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left):]
        os.fchmod(descriptor, 0o666 & ~_umask())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_without_waiting(path: str, flags: int) -> int:
    """Open even a FIFO at once, instead of waiting for somebody to write into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def write_durably(path: str, data: bytes) -> None:
    """Replace `path` by `data`: temporary file beside it, fsync, rename, fsync of the folder.

    A symbolic link is followed: what it points to is replaced. Raises StorageError; then the old file, if
    any, is untouched, unless only the folder's fsync failed, and no temporary file remains.
    """
    target = os.path.realpath(path)
    temporary = _temporary(target, secrets.token_hex(_DIGITS // 2))
    try:
        _write_new(temporary, data)
        os.replace(temporary, target)
        temporary = None
        _sync_directory(os.path.dirname(target))
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror}); "
                           "free some space or name another file with -o") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def remove_durably(path: str) -> None:
    """Remove a file, if it is there. Raises StorageError."""
    target = os.path.realpath(path)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
            _sync_directory(os.path.dirname(target))
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed ({error.strerror})") from None


def remove_leftovers(path: str) -> None:
    """Temporary files of `path` that a killed process left; only for who may write it."""
    pattern = glob.escape(_temporary(os.path.realpath(path), "\0")).replace("\0", "[0-9a-f]" * _DIGITS)
    for left in glob.glob(pattern):
        with contextlib.suppress(OSError):
            os.unlink(left)


def require_writable(path: str) -> None:
    """Raise StorageError now if `write_durably(path)` could not work later."""
    folder, name = os.path.split(os.path.realpath(path))
    if os.path.isdir(path) or path.endswith(os.sep) or not name:
        raise StorageError(f"{path}: is a folder; name a file with -o")
    try:
        with contextlib.suppress(FileNotFoundError):
            # Asking refuses names that no file can have, too.
            if not stat.S_ISREG(os.stat(os.path.join(folder, name)).st_mode):
                raise StorageError(f"{path}: is no regular file; name one with -o")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror}); "
                           "name another file with -o") from None
