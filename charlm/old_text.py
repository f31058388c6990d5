"""A comparison, on the text of an old model, of that model and the one that `--init-from` made of it.

A model file names no corpus, but holds the digest of one. A file beside the model that bears its name and has that
digest is its corpus, and the held-out part follows from its sizes.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from charlm.errors import CharlmError
from charlm.evaluators import EvaluationRequest
from charlm.model import LanguageModel
from charlm.modelfile import Model
from charlm.registry import EVALUATORS, implementation
from charlm.tasks import TASKS
from charlm.text import line_corpus, pair_corpus
from charlm.text.reading import Text
from charlm.text.spool import LineSpool, Spool
from charlm.text.tokenizers.base import NEWLINE
from charlm.text.tsv import read_pairs

MAX_CHARACTERS = 20_000                 # of the held-out part that are measured


class _HeldOut(Text):
    """The beginning of a held-out part, read like another text."""

    def __init__(self, source: str, pieces: list[str]):
        super().__init__(source)
        self._chunks = iter(pieces)


def comparison(path: str, before: Model, after: Model) -> str:
    """Return one line with the bits per character of the old text before and after, or "" if it is not there."""
    for file in _candidates(path):
        if pieces := _held_out(file, before):
            rates = [_bits(model, _HeldOut(file, pieces)) for model in (before, after)]
            return (f"held-out part of {file}, from which {path} learned: {rates[0]:.4f} bits per character before, "
                    f"{rates[1]:.4f} after this run")
    return ""


def _candidates(path: str) -> list[str]:
    """Return the files that may be a model's corpus: they bear its name, beside it or in the working directory."""
    stem = os.path.splitext(os.path.basename(path))[0]
    found = [name for folder in (os.path.dirname(path), "") for name in
             sorted(glob.glob(os.path.join(glob.escape(folder), f"{glob.escape(stem)}.*")))]
    return [name for name in dict.fromkeys(found) if ".charlm" not in os.path.basename(name) and os.path.isfile(name)]


def _bits(model: Model, held_out: _HeldOut) -> float:
    metrics = implementation(EVALUATORS, model.task)(
        LanguageModel(model), EvaluationRequest([held_out], lambda warning: None, beam=1))
    return float(metrics["bits_per_character"])


def _held_out(file: str, model: Model) -> list[str]:
    """Return the beginning of the held-out part if a file is the model's corpus, read as by default."""
    task = TASKS[model.task]
    pieces = _lines(file, model) if task.by_line or task.has_source_tokenizer else _text(file, model)
    try:
        return list(_first(pieces))
    except CharlmError:
        return []


def _text(file: str, model: Model) -> Iterator[str]:
    spool, start = Spool(Text(file)), model.training.get("train_characters")
    if spool.digest == model.training.get("corpus_digest") and isinstance(start, int):
        yield from spool.part(start, start + MAX_CHARACTERS)


def _lines(file: str, model: Model) -> Iterator[str]:
    pairs = TASKS[model.task].has_source_tokenizer
    if pairs:
        spool = LineSpool(read_pairs(Text(file)), key=0)
        mask = spool.held_out(None, pair_corpus.HELD_OUT, pair_corpus.MAX_HELD_OUT)
    else:
        labelled = TASKS[model.task].has_labels and bool(model.labels)
        spool = LineSpool(line_corpus.read_lines(Text(file), labelled=labelled), key=1, labelled=labelled)
        if "blank_lines_left_out" in model.training:
            spool = spool.without_blank()
        mask = spool.held_out(None, line_corpus.HELD_OUT, line_corpus.MAX_HELD_OUT)
    recorded = model.training.get("validation_pairs" if pairs else "validation_lines")
    if spool.digest == model.training.get("corpus_digest") and mask.sum() == recorded:
        for first, second in spool.select(mask):
            yield (f"{first}\t{second}" if spool.labelled else second) + NEWLINE


def _first(pieces: Iterator[str]) -> Iterator[str]:
    """Yield pieces until they have MAX_CHARACTERS."""
    total = 0
    for piece in pieces:
        yield piece
        total += len(piece)
        if total >= MAX_CHARACTERS:
            return
