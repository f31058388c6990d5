"""The model file that a command reads or writes: how it is found, and how it is named by default."""

from __future__ import annotations

import contextlib
import glob
import os
from typing import TYPE_CHECKING

from charlm.cli.exit_codes import message
from charlm.errors import ArchiveError, ModelFileError, UsageError
from charlm.tasks import tasks_for

if TYPE_CHECKING:
    from charlm.model import LanguageModel


def find_model(path: str | None, verb: str = "", *, besides: str | None = None) -> str:
    """Return the given path, else the newest `*.charlm` in this folder other than `besides`, named on stderr.

    Among several models, the newest that the verb works with is chosen; for verbs that expect lines of text, a pairs
    model only if there is no other. Raises UsageError if there is no model, ModelFileError for a name without its
    ending.
    """
    if path:
        if not os.path.exists(path) and os.path.isfile(f"{path}.charlm"):
            raise ModelFileError(f"{path}: there is no such file; did you mean {path}.charlm?")
        return path
    if path == "":
        raise UsageError("-m/--model is empty; name a model, or leave it out for the newest one here")
    other = besides and os.path.realpath(besides)
    found = sorted((name for name in glob.glob("*.charlm") if os.path.isfile(name) and os.path.realpath(name) != other),
                   key=lambda name: (os.stat(name).st_mtime_ns, name), reverse=True)
    if not found:
        raise UsageError("no model here; train one with `charlm train CORPUS`, or name one with -m")
    newest = found[0]
    if verb and len(found) > 1:
        from charlm.modelfile import peek
        tasks = list(tasks_for(verb))
        first = [task for task in tasks if verb not in task.last_choice]
        newest = next((name for wanted in (first, tasks) for name in found if peek(name) in wanted), newest)
    message(f"using {newest}")
    return newest


def load_model(path: str | None, verb: str = "", *, besides: str | None = None, device: str = "cpu") -> LanguageModel:
    """Load the model that `find_model` finds. Raises ModelFileError if the verb does not take its task."""
    from charlm.model import load
    found = find_model(path, verb, besides=besides)
    model = load(found, device=device)
    if verb and verb not in model.task_row.verbs:
        flags = " or ".join(f"--{task.name}" for task in tasks_for(verb))
        raise ModelFileError(f"{found} is {model.task_row.model_phrase}; it works with charlm "
                             f"{', '.join(model.task_row.verbs)}; train one for {verb} with {flags}")
    return model


def find_model_of(digest: bytes) -> str:
    """Return the `*.charlm` here whose checksum begins with a digest, and name it on stderr. Raises ArchiveError."""
    from charlm.modelfile import stated_checksum
    for name in sorted(filter(os.path.isfile, glob.glob("*.charlm"))):
        with contextlib.suppress(ModelFileError):
            if stated_checksum(name).startswith(digest):
                message(f"using {name}")
                return name
    raise ArchiveError(f"it was made with model {digest.hex()}, which is not in this directory; name it with -m")


def default_output(corpus: str) -> str:
    """Return `<corpus>.charlm` in the working directory: a file's name without its suffix, or a folder's name.

    >>> default_output("books/novel.txt.gz")
    'novel.charlm'
    """
    if os.path.isdir(corpus):
        return f"{os.path.basename(os.path.realpath(corpus)) or 'root'}.charlm"
    from charlm.text.compressed import inner_name
    name = "stdin" if corpus == "-" else inner_name(os.path.basename(corpus))
    return f"{os.path.splitext(name)[0]}.charlm"
