"""charlm: character language models for the shell, and from Python.

    model = charlm.load("names.charlm")

Importing the package costs nothing: no NumPy, no torch. The rooms are `text`, `inference`, `nn`,
`training`, `reports` and `cli`; `config`, `records` and `errors` stand below them all, `api` above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlm.api import LanguageModel

__version__ = "0.1.0"


def load(path: str) -> LanguageModel:
    """A model from its file, ready to sample, score, classify, translate or fill (`charlm.api`).

    Raises ModelFileError for anything that is not exactly a model.
    """
    from charlm.api import load as load_model
    return load_model(path)
