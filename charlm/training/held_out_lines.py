"""The surprisal of single held-out lines under a trained model, the reference of `charlm score --summary`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from charlm.config import ModelConfig
from charlm.distribution import quantiles_of
from charlm.inference.line_scoring import Scorer, make_scorer
from charlm.inference.matmul import matmul
from charlm.inference.network import Network
from charlm.inference.pair_scoring import PairReader, PairScorer
from charlm.modelfile import Model
from charlm.tasks import TASKS
from charlm.text.corpora import Corpus
from charlm.text.invalid_bytes import replace_invalid
from charlm.text.line_corpus import LineCorpus
from charlm.text.pair_corpus import PairCorpus
from charlm.text.text_corpus import TextCorpus
from charlm.text.tokenizers.base import NEWLINE, decode
from charlm.text.tsv import TAB

MAX_LINES = 2000
_COST = 4e10                            # multiplications: about a second or two
_STRETCHES = 16                         # stretches of a long text, spread evenly


def line_quantiles(model: Model, corpus: Corpus) -> tuple[float, ...]:
    """Return the quantiles of bits per character of held-out lines that are not blank, as `charlm score` scores them.

    The result is empty if there are no such lines.
    """
    scorer = _scorer(model)
    scores = scorer.score(list(_lines(corpus, _token_budget(model.config))))
    return quantiles_of(np.array([score.bits_per_character for score in scores if score.text.strip()]))


def _scorer(model: Model) -> Scorer:
    network, task = Network(model.config, model.weights, matmul=matmul), TASKS[model.task]
    if task.reads_source:
        return PairScorer(PairReader(network, model.tokenizer, model.source_tokenizer))
    return make_scorer(network, model.tokenizer, model.labels, lines=task.by_line)


def _token_budget(config: ModelConfig) -> int:
    weights = sum(int(np.prod(shape)) for shape in config.parameter_shapes().values())
    return max(int(_COST / weights), 1)


def _lines(corpus: Corpus, tokens: int) -> Iterator[str]:
    """Yield held-out lines in the form that a scorer takes: at most MAX_LINES, with about `tokens` tokens in total."""
    if isinstance(corpus, LineCorpus):
        rows, count = corpus.validation, len(corpus.validation)
        mean = float(rows.lengths.mean()) if count else 1
        for index in np.linspace(0, count - 1, min(count, MAX_LINES, max(int(tokens / mean), 1))).astype(int).tolist():
            label = int(rows[index][0]) - corpus.tokenizer.size - 1
            prefix = f"{corpus.labels.names[label]}{TAB}" if corpus.labels else ""
            yield prefix + replace_invalid(decode(corpus.tokenizer, rows[index][1:-1].tolist()))
    elif isinstance(corpus, PairCorpus):
        pairs = corpus.validation
        mean = sum(len(source) + len(target) for source, target in pairs) / max(len(pairs), 1)
        for index in np.linspace(0, len(pairs) - 1, min(len(pairs), MAX_LINES, max(int(tokens / mean), 1))).astype(int):
            yield TAB.join(pairs[index])
    elif isinstance(corpus, TextCorpus):
        size, held_out = tokens // _STRETCHES, len(corpus.validation)
        if held_out <= tokens:
            yield from _whole_lines(corpus, 0, held_out)[:MAX_LINES]
            return
        for start in np.linspace(0, held_out - size, _STRETCHES).astype(int).tolist():
            yield from _whole_lines(corpus, start, start + size)[:MAX_LINES // _STRETCHES]


def _whole_lines(corpus: TextCorpus, start: int, stop: int) -> list[str]:
    """Return the complete lines in a stretch of held-out tokens, with their line breaks."""
    text = replace_invalid(decode(corpus.tokenizer, corpus.validation.slice(start, stop).tolist()))
    *lines, last = text.split(NEWLINE)
    whole = [line + NEWLINE for line in lines[bool(start):]]
    if stop == len(corpus.validation) and last or not whole:
        whole.append(last)
    return whole
