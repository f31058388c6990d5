"""Which model a command uses, and opening it for inference."""

from __future__ import annotations

import glob
import os
import shlex
from typing import TYPE_CHECKING

from charlm.cli.boundary import say
from charlm.errors import ModelFileError, UsageError

if TYPE_CHECKING:
    from charlm.inference.network import Network
    from charlm.inference.translation import Translator
    from charlm.modelfile import Model

USES = {"stream": "charlm sample", "pairs": "charlm translate", "fill": "charlm fill"}


def find_model(path: str | None, *, task: str | None = None) -> str:
    """The given path, else the newest `*.charlm` in this folder, named on stderr.

    Where there are models of several tasks, the newest of this task.
    """
    if path:
        return path
    found = sorted((name for name in glob.glob("*.charlm") if os.path.isfile(name)),
                   key=lambda name: (os.stat(name).st_mtime_ns, name), reverse=True)
    if not found:
        raise UsageError("no model here; train one with `charlm train CORPUS`, or name one with -m")
    newest = found[0]
    if task is not None and len(found) > 1:
        from charlm.modelfile import claimed_task
        newest = next((name for name in found if claimed_task(name) == task), newest)
    say(f"using {newest}")
    return newest


def load_model(path: str | None, *, task: str | None = None) -> Model:
    """The model. Raises ModelFileError when it is none of this task, UsageError when there is none."""
    from charlm.modelfile import load
    found = find_model(path, task=task)
    model = load(found)
    if task not in (None, model.task):
        use = f"{USES[model.task]} -m {shlex.quote(found)}"
        raise ModelFileError(f"{found} is a {model.task} model; it works with `{use}`")
    return model


def open_model(path: str | None, *, task: str | None = None) -> tuple[Model, Network]:
    """The model and its NumPy network."""
    from charlm.inference.network import Network
    model = load_model(path, task=task)
    return model, Network(model.config, model.weights)


def translator_of(model: Model) -> Translator:
    """A pairs model at work, many rows at once."""
    from charlm.inference.cells import all_rows
    from charlm.inference.network import Network
    from charlm.inference.translation import LengthLimit, Translator
    return Translator(Network(model.config, model.weights, product=all_rows), model.tokenizer,
                      model.source_tokenizer, LengthLimit.read(model.training))


def open_translator(path: str | None) -> Translator:
    return translator_of(load_model(path, task="pairs"))
