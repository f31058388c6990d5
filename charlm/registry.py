"""The code that serves each task: one entry per task in each table.

An entry is `module:name`, imported when it is first asked for, so that no torch is loaded where only a corpus or an
evaluator is needed. A new task adds its row to `charlm.tasks`, its own files, and its entries here.
"""

from __future__ import annotations

import importlib
from typing import Any

CORPORA = {                             # (texts, CorpusRequest) -> corpus
    "text": "charlm.text.corpora:read_text_corpus",
    "lines": "charlm.text.corpora:read_line_corpus",
    "labels": "charlm.text.corpora:read_labelled_corpus",
    "pairs": "charlm.text.corpora:read_pair_corpus",
    "fill": "charlm.text.corpora:read_gap_corpus"}

DEFAULTS = {                            # corpus -> Defaults
    "text": "charlm.training.defaults:text_defaults",
    "lines": "charlm.training.defaults:line_defaults",
    "labels": "charlm.training.defaults:line_defaults",
    "pairs": "charlm.training.defaults:pair_defaults",
    "fill": "charlm.training.defaults:fill_defaults"}

OBJECTIVES = {                          # (corpus, TrainingConfig, Network, ProcessGroup) -> Objective
    "text": "charlm.training.objectives.text:TextObjective",
    "lines": "charlm.training.objectives.lines:LinesObjective",
    "labels": "charlm.training.objectives.lines:LinesObjective",
    "pairs": "charlm.training.objectives.pairs:PairsObjective",
    "fill": "charlm.training.objectives.infill:InfillObjective"}

EVALUATORS = {                          # (LanguageModel, EvaluationRequest) -> metrics by name
    "text": "charlm.evaluators:evaluate_text",
    "lines": "charlm.evaluators:evaluate_lines",
    "labels": "charlm.evaluators:evaluate_lines",
    "pairs": "charlm.evaluators:evaluate_translations",
    "fill": "charlm.evaluators:evaluate_fills"}

BREAKDOWNS = {                          # (LanguageModel, EvaluationRequest, training text or None) -> Table
    "text": "charlm.breakdowns:loss_of_text",
    "lines": "charlm.breakdowns:loss_of_lines",
    "labels": "charlm.breakdowns:confusions",
    "pairs": "charlm.breakdowns:substitutions",
    "fill": "charlm.breakdowns:no_breakdown"}

PREVIEWS = {                            # (LanguageModel, corpus) -> a few lines of text
    "text": "charlm.previews:preview_text",
    "lines": "charlm.previews:preview_lines",
    "labels": "charlm.previews:preview_lines",
    "pairs": "charlm.previews:preview_translations",
    "fill": "charlm.previews:preview_fills"}

TABLES = (CORPORA, DEFAULTS, OBJECTIVES, EVALUATORS, BREAKDOWNS, PREVIEWS)


def implementation(table: dict[str, str], task: str) -> Any:
    """Import and return what a table names for a task."""
    module, _, name = table[task].partition(":")
    return getattr(importlib.import_module(module), name)
