"""charlm: character language models for the shell and for Python.

    model = charlm.load("names.charlm")

Importing the package is cheap: it loads neither NumPy nor torch. Its sub-packages are `text`, `inference`, `nn`,
`training`, `reports` and `cli`; `config`, `events` and `errors` lie below them all, `model` above all but `cli`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlm.version import __version__

if TYPE_CHECKING:
    from charlm.model import LanguageModel

__all__ = ["__version__", "load"]


def load(path: str) -> LanguageModel:
    """Load a model file (see `charlm.model`). Raises ModelFileError if it is not a valid model."""
    from charlm.model import load as load_model
    return load_model(path)
