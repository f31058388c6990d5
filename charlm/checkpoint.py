"""Where a run stands, in a file that it can go on from: the container of models, with all else a run has.

Two generations lie beside the output, as `<output>.checkpoint-a` and `-b`. The older one is written over,
so one rename commits everything and the newer one is there until it is done. Not here: what a run has
(training/), how a file reaches the disk (storage.py).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from charlm.container import pack, read_header, read_tensor
from charlm.errors import ModelFileError
from charlm.storage import open_without_waiting, remove_durably, remove_leftovers, require_writable, write_durably

ENDINGS = (".checkpoint-a", ".checkpoint-b")
_PARTS = {"checksum", "format", "generation", "run"}
_MOST_GENERATIONS = 1 << 53


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run goes on from."""

    run: dict                           # plain JSON values
    tensors: dict[str, np.ndarray]      # float32, uint32 or uint8


def _read(path: str) -> tuple[int, Checkpoint]:
    """The generation and the checkpoint. Raises ModelFileError, FileNotFoundError."""
    try:
        with open(path, "rb", opener=open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelFileError("not a regular file")
            header = read_header(file)
            generation, run = header.metadata.get("generation"), header.metadata.get("run")
            if set(header.metadata) != _PARTS or not isinstance(run, dict) \
                    or type(generation) is not int or not 0 < generation < _MOST_GENERATIONS:
                raise ModelFileError("it is no checkpoint")
            return generation, Checkpoint(run, {name: read_tensor(file, header, name)
                                                for name in header.entries})
    except FileNotFoundError:
        raise
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"{path}: cannot be read ({reason})") from None


class Checkpoints:
    """The two generations of an output's checkpoint."""

    def __init__(self, output: str):
        self._paths = [os.path.realpath(output) + ending for ending in ENDINGS]
        self._generation = 0            # of the newest one
        self._next = 0                  # which of the paths is written next
        self._given_up = False          # whether what is there is of a run that another one replaces

    def require_writable(self) -> None:
        """Raise StorageError now if `save` could not work later."""
        for path in self._paths:
            require_writable(path)

    def exist(self) -> bool:
        return any(map(os.path.lexists, self._paths))

    def newest(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """The newest one that is whole, None when there is none at all.

        One that is damaged is told of where the other one serves. Raises ModelFileError when none does.
        """
        found, refused = [], []
        for place, path in enumerate(self._paths):
            try:
                found.append((*_read(path), place))
            except FileNotFoundError:
                continue
            except ModelFileError as error:
                refused.append((error, place))
        if not found:
            if refused:
                raise refused[0][0]
            return None
        self._generation, newest, place = max(found, key=lambda one: one[0])
        self._next = 1 - place
        if refused:
            warn(f"{refused[0][0]}; going on from the other checkpoint")
        return newest

    def give_up(self) -> None:
        """The next one saved begins another run: only when it is whole does the run before lose its own."""
        with contextlib.suppress(ModelFileError):
            self.newest(lambda warning: None)
        self._given_up = True

    def save(self, checkpoint: Checkpoint) -> None:
        """Write it over the older one. Raises StorageError; then the newest one is still there."""
        data = pack({"generation": self._generation + 1, "run": checkpoint.run}, checkpoint.tensors)
        write_durably(self._paths[self._next], data)
        self._generation += 1
        self._next = 1 - self._next
        if self._given_up:
            remove_durably(self._paths[self._next])
            self._given_up = False

    def remove(self) -> None:
        """Both, the older one first. Raises StorageError."""
        for path in (self._paths[self._next], self._paths[1 - self._next]):
            remove_durably(path)

    def remove_leftovers(self) -> None:
        """What killed processes left of saving; only for who may write the output."""
        for path in self._paths:
            remove_leftovers(path)
