"""The end of a run: findings about its model on held-out text, which are stored with it.

These are the settings with which it adapts best, and quantiles of the surprisal of single lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from charlm.adaptation.search import find_settings, take, token_budget
from charlm.config import AdaptationSettings
from charlm.contract import IntArray
from charlm.inference.network import Network
from charlm.modelfile import Model, load, save
from charlm.tasks import TASKS
from charlm.text.corpora import Corpus
from charlm.text.line_corpus import LineCorpus
from charlm.text.text_corpus import TextCorpus
from charlm.training.held_out_lines import line_quantiles
from charlm.training.worker import Commit


def store_findings(path: str, corpus: Corpus, commit: Commit) -> None:
    """Find the adaptation settings and the line quantiles of a stored model, and store them with it.

    A model that does not score text has neither. `commit` is called before the file is replaced.
    """
    model = load(path)
    if "score" not in TASKS[model.task].verbs:
        return
    found = replace(model, adaptation=_settings(model, corpus), line_quantiles=line_quantiles(model, corpus))
    if (found.adaptation, found.line_quantiles) != (model.adaptation, model.line_quantiles):
        commit()
        save(path, found)


def _settings(model: Model, corpus: Corpus) -> AdaptationSettings:
    """Return the settings that suit the model best, or its present ones if there is too little text to decide."""
    tokens = 0 if TASKS[model.task].reads_source else token_budget(model.config)
    rows = take(_held_out(corpus, tokens), tokens) if tokens else []
    return find_settings(Network(model.config, model.weights), rows) if rows else model.adaptation


def _held_out(corpus: Corpus, tokens: int) -> Iterator[IntArray]:
    """Yield rows of held-out ids, each after the id that begins it."""
    if isinstance(corpus, TextCorpus):
        yield np.concatenate([[corpus.tokenizer.start_id], corpus.validation.slice(0, tokens)])
    if isinstance(corpus, LineCorpus):
        yield from (corpus.validation[index] for index in range(len(corpus.validation)))
