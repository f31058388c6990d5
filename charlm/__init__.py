"""charlm: character language models for the shell, and from Python.

    model = charlm.load("names.charlm")

Importing the package costs nothing: no NumPy, no torch. The rooms are `text`, `inference`, `nn`,
`training`, `reports` and `cli`; `config`, `records` and `errors` stand below them all, `api` above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlm.version import __version__

if TYPE_CHECKING:
    from charlm.model import LanguageModel

__all__ = ["__version__", "load"]


def load(path: str) -> LanguageModel:
    """A model from its file, ready to sample, score, classify, translate or fill (`charlm.model`).

    Raises ModelFileError for anything that is not exactly a model.
    """
    from charlm.model import load as load_model
    return load_model(path)
