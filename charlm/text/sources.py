"""The files that names on the command line stand for: folders, globs, files and standard input (`-`)."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from charlm.errors import CorpusError, UsageError

STDIN = "-"
_OWN = ".charlm"                        # in the names of models and checkpoints
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Sources:
    """Files in the order in which they are read, and whether a record has to name its file."""

    paths: tuple[str, ...]
    named: bool                         # whether there are several, or they come from a folder or a glob

    @property
    def size(self) -> int | None:
        """The bytes of all files on disk, or None if one of them is a pipe."""
        sizes = [*map(_size, self.paths)]
        return None if None in sizes else sum(filter(None, sizes))


def _size(path: str) -> int | None:
    """Return the size of a file in bytes, 0 if it cannot be read, or None for a pipe."""
    try:
        status = os.fstat(sys.stdin.fileno()) if path == STDIN else os.stat(path)
    except (OSError, ValueError, AttributeError):           # including a closed or replaced sys.stdin
        return None if path == STDIN else 0
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def expand(names: Sequence[str]) -> Sources:
    """Return the files that names stand for. Files and `-` stand for themselves, whether they exist or not.

    A folder stands for all regular files below it. A name with `*`, `?` or `[`, unless a file has that name, stands for
    the files that match it, with `**` for any depth. Both are in code point order, without hidden files and charlm's
    own models and checkpoints. Raises CorpusError if there are none, UsageError if `-` is given twice.
    """
    if names.count(STDIN) > 1:
        raise UsageError("- (standard input) is given more than once; it can be read only once")
    paths: list[str] = []
    for name in names:
        paths += _expanded(name) if _stands_for_others(name) else [name]
    return Sources(tuple(paths), len(paths) > 1 or any(map(_stands_for_others, names)))


def held_out_files(held_out: float | str | None) -> tuple[str, ...]:
    """Return the files of a separate held-out text; none if a share of the text is held out."""
    return expand([held_out]).paths if isinstance(held_out, str) else ()


def _stands_for_others(name: str) -> bool:
    return os.path.isdir(name) or not os.path.lexists(name) and not _WILDCARDS.isdisjoint(name)


def _expanded(name: str) -> list[str]:
    if os.path.isdir(name):
        found, nothing = set(_below(name)), "has no files that could be read as text"
    else:
        matches = glob.iglob(name, recursive=True)
        found = {path for match in matches for path in (_below(match) if os.path.isdir(match) else _usable([match]))}
        nothing = "matches no file"
    if not found:
        raise CorpusError(f"{name}: {nothing}")
    return sorted(found)


def _below(folder: str) -> Iterator[str]:
    """Yield the files below a folder. Raises CorpusError for a folder that cannot be read."""
    def refuse(error: OSError) -> None:
        raise CorpusError(f"{error.filename}: cannot be read ({error.strerror})")

    for path, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from _usable(os.path.join(path, name) for name in files)


def _usable(paths: Iterable[str]) -> Iterator[str]:
    """Yield the regular files that are neither hidden nor charlm's own."""
    for path in paths:
        name = os.path.basename(path)
        if not name.startswith(".") and not _is_own(name) and os.path.isfile(path):
            yield path


def _is_own(name: str) -> bool:
    """Return True if a file has the name of a model or a checkpoint.

    >>> _is_own("verse.charlm"), _is_own("verse.charlm.checkpoint-a"), _is_own("charlm.txt")
    (True, True, False)
    """
    stem, ending = os.path.splitext(name)
    return _OWN in (ending, os.path.splitext(stem)[1])
