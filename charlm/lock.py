"""One writer an output: a lock that the system takes back however its holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from charlm.errors import InUseError, StorageError

SUFFIX = ".lock"


def _path(output: str) -> str:
    folder, name = os.path.split(os.path.realpath(output))
    return os.path.join(folder, f".{name}{SUFFIX}")


def _same_file(descriptor: int, path: str) -> bool:
    """Whether the path still names what was opened: its last holder may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _taken(path: str, output: str) -> int:
    """A descriptor that holds the lock. Raises InUseError naming the process that has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise InUseError(f"{output}: a training{f' (process {holder})' if holder else ''} is writing it; "
                             "wait for it, or name another file with -o") from None
        except OSError:
            os.close(descriptor)
            raise
        if _same_file(descriptor, path):
            return descriptor
        os.close(descriptor)


@contextlib.contextmanager
def locked(output: str) -> Iterator[None]:
    """Hold the lock of an output. Raises InUseError when another process does, StorageError."""
    path = _path(output)
    try:
        descriptor = _taken(path, output)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError as error:
        raise StorageError(f"{output}: cannot be locked ({error.strerror}); "
                           "name another file with -o") from None
    try:
        yield
    finally:
        # Removed while it is still held, so that nobody holds a lock that has no name.
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(descriptor)
