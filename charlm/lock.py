"""One writer an output: a lock that the system takes back however its holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from charlm.errors import InUseError, StorageError

SUFFIX = ".lock"
_LOOKS, _BETWEEN_LOOKS = 20, 0.01       # seconds; for the number of a process that has not written it yet


def _path(output: str) -> str:
    folder, name = os.path.split(os.path.realpath(output))
    return os.path.join(folder, f".{name}{SUFFIX}")


def _same_file(descriptor: int, path: str) -> bool:
    """Whether the path still names what was opened: its last holder may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    """The process that has the lock, as it wrote it; the one that took it just now needs a moment for that."""
    for _ in range(_LOOKS):
        with contextlib.suppress(OSError):
            if number := os.pread(descriptor, 20, 0).decode("ascii", "replace").strip():
                return f" (process {number})"
        time.sleep(_BETWEEN_LOOKS)
    return ""


def _taken(path: str, output: str) -> int:
    """A descriptor that holds the lock. Raises InUseError naming the process that has it."""
    while True:
        with contextlib.ExitStack() as otherwise:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            otherwise.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InUseError(f"{output}: a training{_holder(descriptor)} is writing it; "
                                 "wait for it, or name another file with -o") from None
            if _same_file(descriptor, path):
                otherwise.pop_all()
                return descriptor


def _release(descriptor: int, path: str) -> None:
    """Remove the file while it is still held, so that nobody holds a lock that has no name."""
    with contextlib.suppress(OSError):
        if _same_file(descriptor, path):
            os.unlink(path)
    with contextlib.suppress(OSError):
        os.close(descriptor)


@contextlib.contextmanager
def locked(output: str) -> Iterator[None]:
    """Hold the lock of an output. Raises InUseError when another process does, StorageError."""
    path, descriptor = _path(output), None
    try:
        try:
            descriptor = _taken(path, output)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise StorageError(f"{output}: cannot be locked ({error.strerror}); "
                               "name another file with -o") from None
        yield
    finally:
        if descriptor is not None:
            _release(descriptor, path)
