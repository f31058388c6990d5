"""Which model a command uses, and opening it for inference."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

from charlm.cli.boundary import say
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.inference.network import Network
    from charlm.modelfile import Model


def find_model(path: str | None) -> str:
    """The given path, else the newest `*.charlm` in this folder, named on stderr."""
    if path:
        return path
    found = [(os.stat(name).st_mtime_ns, name) for name in glob.glob("*.charlm")
             if os.path.isfile(name)]
    if not found:
        raise UsageError("no model here; train one with `charlm train CORPUS`, or name one with -m")
    newest = max(found)[1]
    say(f"using {newest}")
    return newest


def open_model(path: str | None) -> tuple[Model, Network]:
    """The model and its NumPy network. Raises ModelFileError, or UsageError when there is none."""
    from charlm.inference.network import Network
    from charlm.modelfile import load
    model = load(find_model(path))
    return model, Network(model.config, model.weights)
