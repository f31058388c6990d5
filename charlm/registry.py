"""The code that serves each task: one entry per task in each table.

An entry is `module:name`, imported when it is first asked for, so that no torch is loaded where only a corpus or an
evaluator is needed. A new task adds its row to `charlm.tasks`, its own files, and its entries here.
"""

from __future__ import annotations

import importlib
from typing import Any


def _table(prefix: str, **entries: str) -> dict[str, str]:
    return {task: prefix + entry for task, entry in entries.items()}


# (texts, CorpusRequest) -> corpus
CORPORA = _table("charlm.text.corpora:", text="read_text_corpus", lines="read_line_corpus",
                 labels="read_labelled_corpus", pairs="read_pair_corpus", fill="read_text_corpus")
# corpus -> Defaults
DEFAULTS = _table("charlm.training.defaults:", text="text_defaults", lines="line_defaults", labels="line_defaults",
                  pairs="pair_defaults", fill="text_defaults")
# (corpus, TrainingConfig, Network, ProcessGroup) -> Objective
OBJECTIVES = _table("charlm.training.objectives.", text="text:TextObjective", lines="lines:LinesObjective",
                    labels="lines:LinesObjective", pairs="pairs:PairsObjective", fill="infill:InfillObjective")
# (LanguageModel, EvaluationRequest) -> metrics by name
EVALUATORS = _table("charlm.evaluators:", text="evaluate_text", lines="evaluate_lines", labels="evaluate_lines",
                    pairs="evaluate_translations", fill="evaluate_fills")
# (LanguageModel, corpus) -> a few lines of text
PREVIEWS = _table("charlm.previews:", text="preview_text", lines="preview_lines", labels="preview_lines",
                  pairs="preview_translations", fill="preview_fills")

TABLES = (CORPORA, DEFAULTS, OBJECTIVES, EVALUATORS, PREVIEWS)


def implementation(table: dict[str, str], task: str) -> Any:
    """Import and return what a table names for a task."""
    module, _, name = table[task].partition(":")
    return getattr(importlib.import_module(module), name)
