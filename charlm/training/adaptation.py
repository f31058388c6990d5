"""The end of a run: the settings with which its model adapts best, found on held-out text and stored with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from charlm.adaptation.search import find_settings, take, token_budget
from charlm.contract import IntArray
from charlm.inference.network import Network
from charlm.modelfile import load, save
from charlm.tasks import TASKS
from charlm.text.corpora import Corpus
from charlm.text.line_corpus import LineCorpus
from charlm.text.text_corpus import TextCorpus
from charlm.training.worker import Commit


def store_adaptation(path: str, corpus: Corpus, commit: Commit) -> None:
    """Find the settings of a stored model and store it with them, if it can adapt and there is text enough.

    `commit` is called before the file is replaced.
    """
    model = load(path)
    tokens = token_budget(model.config) if not TASKS[model.task].reads_source else 0
    rows = take(_held_out(corpus, tokens), tokens) if tokens else []
    if rows:
        settings = find_settings(Network(model.config, model.weights), rows)
        if settings != model.adaptation:
            commit()
            save(path, replace(model, adaptation=settings))


def _held_out(corpus: Corpus, tokens: int) -> Iterator[IntArray]:
    """Yield rows of held-out ids, each after the id that begins it."""
    if isinstance(corpus, TextCorpus):
        yield np.concatenate([[corpus.tokenizer.start_id], corpus.validation.slice(0, tokens)])
    if isinstance(corpus, LineCorpus):
        yield from (corpus.validation[index] for index in range(len(corpus.validation)))
