"""A disk that fails: stands in for `os` where charlm touches files, and fails the n-th touch.

    for disk in every_fault("EIO", for_good=True):      # n = 1, 2, 3 ... until nothing failed
        with disk.under(storage, checkpoint):
            ...

Not here: what is lost when the power goes (power.py), what must be found afterwards (test_faults.py).
"""

import contextlib
import errno
import fcntl
import io
import os

import pytest

ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EACCES": errno.EACCES}
# A write may be cut short, an error may be told although the deed was done, and the process may end.
KINDS = (*ERRORS, "short write", "EIO, but done", "end")
TOUCHES = ("open", "write", "fchmod", "fsync", "replace", "unlink", "close", "fstat", "stat", "ftruncate", "pwrite", "pread")


class Ended(BaseException):
    """The process is no more."""


class Disk:
    """Does what `os` does, and fails at the n-th touch of the disk: once, or from then on."""

    def __init__(self, kind, at, *, for_good):
        self._kind, self._at, self._for_good = kind, at, for_good
        self._open = set()
        self._ended = False
        self.touches = []
        self.failed = []

    def __getattr__(self, name):
        real = getattr(os, name)
        return (lambda *arguments: self.touch(name, real, *arguments)) if name in TOUCHES else real

    def touch(self, name, real, *arguments):
        """One touch of the disk, which may fail."""
        self.touches.append(name)
        number = len(self.touches)
        if self._ended or number == self._at or self._for_good and number > self._at > 0:
            return self._fail(name, real, *arguments)
        return self._do(name, real, *arguments)

    def _fail(self, name, real, *arguments):
        if self._kind == "end":
            self.failed.append(name)
            self._ended = True
            raise Ended
        if self._kind == "short write":
            if name == "write" and len(arguments[1]) > 1:
                self.failed.append(name)
                return real(arguments[0], arguments[1][:len(arguments[1]) // 2])
            return self._do(name, real, *arguments)
        self.failed.append(name)
        if name == "close" or self._kind not in ERRORS:     # the system closes it whatever it says
            result = self._do(name, real, *arguments)
            if name == "open":                              # nobody will ever know its number
                self._do("close", os.close, result)
        number = ERRORS.get(self._kind, errno.EIO)
        raise OSError(number, os.strerror(number))

    def _do(self, name, real, *arguments):
        result = real(*arguments)
        if name == "open":
            self._open.add(result)
        elif name == "close":
            self._open.discard(arguments[0])
        return result

    def forget(self, descriptor):
        """Somebody else closes it."""
        self._open.discard(descriptor)

    def open_file(self, path, mode="r", *, opener=None):
        """Stands in for the built-in `open`, for reading."""
        assert mode == "rb"
        return io.BufferedReader(_Read(self, path, opener))

    @contextlib.contextmanager
    def under(self, *modules):
        """While active these modules touch this disk. Afterwards nothing is left open, as of a process that ended."""
        with pytest.MonkeyPatch.context() as patch:
            for module in modules:
                if hasattr(module, "os"):
                    patch.setattr(module, "os", self)
                if hasattr(module, "fcntl"):
                    patch.setattr(module, "fcntl", _Locks(self))
                patch.setattr(module, "open", self.open_file, raising=False)
            try:
                yield
            finally:
                leaked = len(self._open)
                for descriptor in self._open:
                    os.close(descriptor)
                self._open.clear()
        assert self._ended or not leaked, "a file was left open"


class _Read(io.FileIO):
    """A file that is read from such a disk."""

    def __init__(self, disk, path, opener):
        self._disk, self._told = disk, True
        try:
            disk.touch("open for reading", lambda: super(_Read, self).__init__(path, "rb", opener=opener))
        except OSError:
            self.close()
            raise
        self._told = False

    def readinto(self, buffer):
        return self._disk.touch("read", super().readinto, buffer)

    def seek(self, *arguments):
        return self._disk.touch("seek", super().seek, *arguments)

    def close(self):
        if not self.closed:
            self._disk.forget(self.fileno())
        super().close()
        if not self._told:
            self._told = True
            self._disk.touch("close for reading", lambda: None)


class _Locks:
    """Stands in for `fcntl`."""

    def __init__(self, disk):
        self._disk = disk

    def __getattr__(self, name):
        real = getattr(fcntl, name)
        return (lambda *arguments: self._disk.touch(name, real, *arguments)) if name == "flock" else real


def every_fault(kind, *, for_good):
    """Disks that fail at the first touch, at the second ... until one was not touched often enough to fail."""
    for at in range(1, 10_000):
        disk = Disk(kind, at, for_good=for_good)
        yield disk
        if not disk.failed and len(disk.touches) < at:
            return
    raise AssertionError("it touches the disk for ever")
