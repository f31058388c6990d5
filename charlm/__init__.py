"""charlm: character language models for the shell and for Python.

    model = charlm.load("names.charlm")
    model = charlm.train("names.txt", task="lines")

Importing the package is cheap: it loads neither NumPy nor torch. Its sub-packages are `text`, `inference`, `nn`,
`training`, `reports` and `cli`; `config`, `events` and `errors` lie below them all, `model` above all but `cli`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charlm import errors, events
from charlm.version import __version__

if TYPE_CHECKING:
    from charlm.model import LanguageModel, load
    from charlm.training_api import train

__all__ = ["LanguageModel", "__version__", "errors", "events", "load", "train"]
_HOMES = {"LanguageModel": "charlm.model", "load": "charlm.model", "train": "charlm.training_api"}


def __getattr__(name: str) -> Any:
    """Import a public name on first access."""
    if name not in _HOMES:
        raise AttributeError(f"module 'charlm' has no attribute {name!r}")
    import importlib
    globals()[name] = found = getattr(importlib.import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    """Return the names of the module, including those that are not imported yet."""
    return sorted({*globals(), *__all__})
