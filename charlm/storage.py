"""Writing a file so that a reader, a crash or a power cut sees the old one or the new one, whole.

Not here: what is in the file (container.py, modelfile.py).
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile

from charlm.errors import StorageError


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


def write_durably(path: str, data: bytes) -> None:
    """Replace `path` by `data`: temporary file beside it, fsync, rename, fsync of the folder.

    A symbolic link is followed: what it points to is replaced. Raises StorageError; then no temporary
    file remains and the old file, if any, is untouched, unless only the folder's fsync failed.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".charlm-", suffix=".tmp")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o666 & ~_umask())
        os.replace(temporary, target)
        temporary = None
        _sync_directory(folder)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror}); "
                           "free some space or name another file with -o") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


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
