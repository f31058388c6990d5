"""A disk whose power is cut: records what is done to a folder, and builds every folder that may be found then.

    recorder = Recorder(folder)
    with recorder.under(storage):
        ...
    for found in recorder.possible():       # after every number of operations, all that may be there
        found.build(elsewhere)

What was not yet synced may be there, or not, or in part: data is lost, zeroed, cut or zero in places; of changes to the
folder any subset is there, so a later one without an earlier one, or the name that a rename gives without the data.
"""

import contextlib
import itertools
import os
from dataclasses import dataclass

import pytest

PIECES = 5                              # a file is written in so many


@dataclass(frozen=True)
class Found:
    """A folder as it may be found, and what had been promised by then."""

    files: dict                         # name: bytes
    promised: int                       # calls that had come back
    begun: int                          # calls that had begun

    def build(self, folder):
        """Make that folder, whatever was in it before."""
        for name in os.listdir(folder):
            os.unlink(folder / name)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


class Recorder:
    """Stands in for `os`: does what it does, and writes down what that does to one folder."""

    def __init__(self, folder):
        self._folder = os.path.realpath(folder)
        self._before = {path.name: path.read_bytes() for path in folder.iterdir()}
        self._opened = {}               # descriptor: number of a file, or None for the folder itself
        self._pieces = {}               # descriptor: bytes that are taken at once
        self._files = itertools.count()
        self.operations = []

    def __getattr__(self, name):
        return getattr(os, name)

    @contextlib.contextmanager
    def under(self, *modules):
        with pytest.MonkeyPatch.context() as patch:
            for module in modules:
                patch.setattr(module, "os", self)
            yield

    @contextlib.contextmanager
    def call(self):
        """One call of charlm, which promises something when it comes back."""
        self.operations.append(("begin",))
        yield
        self.operations.append(("return",))

    def _name(self, path):
        folder, name = os.path.split(path)
        assert os.path.realpath(folder) == self._folder, "charlm touched another folder"
        return name

    def open(self, path, flags, mode=0o777):
        descriptor = os.open(path, flags, mode)
        if os.path.realpath(path) == self._folder:
            self._opened[descriptor] = None
        else:
            assert flags & os.O_EXCL, "what is there already is not written into"
            self._opened[descriptor] = number = next(self._files)
            self.operations.append(("name", self._name(path), number))
        return descriptor

    def write(self, descriptor, data):
        piece = self._pieces.setdefault(descriptor, len(data) // PIECES + 1)
        written = os.write(descriptor, data[:piece])
        self.operations.append(("write", self._opened[descriptor], bytes(data[:written])))
        return written

    def fsync(self, descriptor):
        number = self._opened[descriptor]
        self.operations.append(("sync folder",) if number is None else ("sync", number))

    def close(self, descriptor):
        del self._opened[descriptor]
        self._pieces.pop(descriptor, None)
        os.close(descriptor)

    def replace(self, source, target):
        os.replace(source, target)
        self.operations.append(("rename", self._name(source), self._name(target)))

    def unlink(self, path):
        os.unlink(path)
        self.operations.append(("forget", self._name(path)))

    def possible(self):
        """Every folder that may be found after each of the operations."""
        for done in range(len(self.operations) + 1):
            yield from after(self._before, self.operations[:done])


def after(before, operations):
    """Every folder that may be found when the power is cut after these operations."""
    return _Disk(before, operations).found()


class _Disk:
    """What is on the disk for certain after some operations, and what may be."""

    def __init__(self, before, operations):
        self._names = {name: name for name in before}       # for certain: name to file
        self._data = {name: [data] for name, data in before.items()}    # file: the pieces that were written
        self._certain = dict.fromkeys(before, 1)            # file: how many of them are there
        self._maybe = []                                    # changes of names: (name, file or None)
        self._now = dict(self._names)                       # as a running program sees it
        self._promised = self._begun = 0
        for name, *arguments in operations:
            getattr(self, "_" + name.replace(" ", "_"))(*arguments)

    def _begin(self):
        self._begun += 1

    def _return(self):
        self._promised += 1

    def _change(self, name, file):
        self._maybe.append((name, file))
        self._now[name] = file

    def _name(self, name, file):
        self._data[file], self._certain[file] = [], 0
        self._change(name, file)

    def _write(self, file, data):
        self._data[file].append(data)

    def _sync(self, file):
        self._certain[file] = len(self._data[file])

    def _sync_folder(self):
        self._names, self._maybe = dict(self._now), []

    def _rename(self, source, target):
        self._change(target, self._now[source])
        self._change(source, None)

    def _forget(self, name):
        self._change(name, None)

    def found(self):
        for kept in itertools.product((True, False), repeat=len(self._maybe)):
            names = dict(self._names)
            names.update(change for change, is_kept in zip(self._maybe, kept) if is_kept)
            there = {name: file for name, file in names.items() if file is not None}
            unsure = [file for file in sorted({*there.values()}, key=str) if self._certain[file] < len(self._data[file])]
            for versions in itertools.product(*(list(self._versions(file)) for file in unsure)):
                data = {file: b"".join(self._data[file]) for file in there.values()} | dict(zip(unsure, versions))
                yield Found({name: data[file] for name, file in there.items()}, self._promised, self._begun)

    def _versions(self, file):
        """What may be of a file that was written in pieces, of which the last ones are not synced."""
        pieces = self._data[file]
        certain, unsure = b"".join(pieces[:self._certain[file]]), pieces[self._certain[file]:]
        for count in range(len(unsure), -1, -1):            # so many of them reached the disk at all
            for zeroed in itertools.product((False, True), repeat=count):
                data = certain + b"".join(bytes(len(piece)) if is_zeroed else piece
                                          for piece, is_zeroed in zip(unsure, zeroed))
                yield data
                if count and len(unsure[count - 1]) > 1:    # the last of them only in part
                    yield data[:-(len(unsure[count - 1]) // 2)]
