"""A checkpoint as a file: a model, as modelfile.py describes it, and all else that its run resumes from.

There are two generations beside the output, `<output>.checkpoint-a` and `-b`. The older one is overwritten, so one
rename commits everything and the newer one exists until then. training/run.py says what a run consists of.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from charlm.container import open_container, pieces, read_header, read_tensor
from charlm.errors import ModelFileError
from charlm.storage import remove_durably, remove_leftovers, require_writable, write_durably

ENDINGS = (".checkpoint-a", ".checkpoint-b")
_METADATA = {"checksum", "format", "generation", "model", "run"}
_MAX_GENERATION = 1 << 53


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run resumes from."""

    model: dict                         # the metadata of the model as it is now
    run: dict                           # the run's own metadata: plain JSON values
    tensors: dict[str, np.ndarray]      # float32, uint32 or uint8; those of the model begin with `model.`


def _read(path: str) -> tuple[int, Checkpoint]:
    """Return the generation and the checkpoint. Raises ModelFileError."""
    with open_container(path) as file:
        header = read_header(file)
        generation, model, run = (header.metadata.get(name) for name in ("generation", "model", "run"))
        if set(header.metadata) != _METADATA or not isinstance(model, dict) or not isinstance(run, dict) \
                or type(generation) is not int or not 0 < generation < _MAX_GENERATION:
            raise ModelFileError("it is not a checkpoint of this version of charlm")
        return generation, Checkpoint(model, run, {name: read_tensor(file, header, name) for name in header.entries})


class Checkpoints:
    """The two generations of an output's checkpoint."""

    def __init__(self, output: str):
        self._paths = [os.path.realpath(output) + ending for ending in ENDINGS]
        self._generation = 0            # of the newest one
        self._next = 0                  # which of the paths is written next
        self._superseded = False        # whether the existing ones belong to a run that another one replaces

    @property
    def paths(self) -> list[str]:
        """Return the paths of the two files."""
        return list(self._paths)

    def require_writable(self) -> None:
        """Raise StorageError now if `save` would fail later."""
        for path in self._paths:
            require_writable(path)

    def exist(self) -> bool:
        """Return whether there is any checkpoint."""
        return any(map(os.path.lexists, self._paths))

    def resumable(self) -> bool:
        """Return whether there is any checkpoint of this run, not of one that it replaces."""
        return not self._superseded and self.exist()

    def newest(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """Return the newest intact checkpoint, or None if none exists. Raises ModelFileError if all are damaged."""
        found, refused = [], []
        for slot, path in enumerate(self._paths):
            try:
                found.append((*_read(path), slot))
            except ModelFileError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    refused.append(error)
        if refused and not found:
            raise refused[0]
        if not found:
            return None
        self._generation, newest, slot = max(found, key=lambda one: one[0])
        self._next = 1 - slot
        if refused:
            warn(f"{refused[0]}; resuming from the other checkpoint")
        return newest

    def supersede(self) -> None:
        """Start another run. The superseded checkpoints are deleted only after its first one is safely on disk."""
        with contextlib.suppress(ModelFileError):
            self.newest(lambda warning: None)
        self._superseded = True

    def save(self, checkpoint: Checkpoint) -> None:
        """Overwrite the older generation. Raises StorageError and then leaves the newer one intact."""
        metadata = {"generation": self._generation + 1, "model": checkpoint.model, "run": checkpoint.run}
        write_durably(self._paths[self._next], *pieces(metadata, checkpoint.tensors))
        self._generation += 1
        self._next = 1 - self._next
        if self._superseded:
            remove_durably(self._paths[self._next])
            self._superseded = False

    def remove(self) -> None:
        """Remove both, the older one first. Raises StorageError."""
        for path in (self._paths[self._next], self._paths[1 - self._next]):
            remove_durably(path)

    def remove_leftovers(self) -> None:
        """Remove temporary files of killed processes; only the holder of the output's lock may do so."""
        for path in self._paths:
            remove_leftovers(path)
