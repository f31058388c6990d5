"""One writer per output file: a lock that the operating system releases however its holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from charlm.errors import InUseError, StorageError

_MAX_READS, _READ_INTERVAL = 20, 0.01   # seconds; for the PID of a holder that has not written it yet


def _is_same_file(descriptor: int, path: str) -> bool:
    """Return whether `path` still names the opened file: its last holder may have removed it in the meantime."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _holder_pid(descriptor: int) -> str:
    """Return the PID in the lock file, or "" if it is empty: a new holder needs a moment to write it."""
    for _ in range(_MAX_READS):
        with contextlib.suppress(OSError):
            if pid := os.pread(descriptor, 20, 0).decode("ascii", "replace").strip():
                return pid
        time.sleep(_READ_INTERVAL)
    return ""


def _acquire(path: str, output: str) -> int:
    """Return a descriptor that holds the lock. Raises InUseError with the holder's PID."""
    while True:
        with contextlib.ExitStack() as on_failure:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            on_failure.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = _holder_pid(descriptor)
                raise InUseError(f"{output}: a training run{f' (process {pid})' if pid else ''} is writing it; "
                                 "wait for it, or name another file with -o") from None
            if _is_same_file(descriptor, path):
                on_failure.pop_all()
                return descriptor


def _release(descriptor: int, path: str) -> None:
    """Remove the file while the lock is still held, so that nobody holds a lock on a file without a name."""
    with contextlib.suppress(OSError):
        if _is_same_file(descriptor, path):
            os.unlink(path)
    with contextlib.suppress(OSError):
        os.close(descriptor)


@contextlib.contextmanager
def locked(output: str) -> Iterator[None]:
    """Hold the lock of an output file. Raises InUseError if another process holds it, StorageError if it fails."""
    directory, name = os.path.split(os.path.realpath(output))
    path, descriptor = os.path.join(directory, f".{name}.lock"), None
    try:
        try:
            descriptor = _acquire(path, output)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise StorageError(f"{output}: cannot be locked ({error.strerror}); name another file with -o") from None
        yield
    finally:
        if descriptor is not None:
            _release(descriptor, path)
