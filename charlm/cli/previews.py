"""What a model being trained can do by now, in a few lines of text; one function a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlm.modelfile import Model

CHARACTERS = 240                        # of running text
LINES = 4                               # of pairs, of text with gaps


def preview(model: Model, corpus) -> str:
    """A short sample of the weights as they are now, by the NumPy network."""
    return {"stream": _stream, "lines": _lines, "pairs": _pairs, "fill": _fill}[model.task](model, corpus)


def _stream(model: Model, corpus) -> str:
    import numpy as np

    from charlm.config import SamplingConfig
    from charlm.inference.generation import generate
    from charlm.inference.network import Network
    pieces = generate(Network(model.config, model.weights), model.tokenizer, np.zeros(0, np.int64),
                      SamplingConfig(temperature=0.7), length=CHARACTERS, seed=0)
    return "".join(text for _, text in pieces)


def _lines(model: Model, corpus) -> str:
    from charlm.config import SamplingConfig
    from charlm.inference.line_sampling import LineSampler, LineSamplingConfig
    from charlm.inference.network import Network
    manner = LineSamplingConfig(SamplingConfig(temperature=0.7), seed=0, max_length=CHARACTERS // LINES)
    writer = LineSampler(Network(model.config, model.weights), model.tokenizer, model.labels)
    return "\n".join(f"{line.label}: {line.text}" if line.label else line.text
                     for line in writer.sample(range(LINES), manner))


def _pairs(model: Model, corpus) -> str:
    from charlm.cli.models import translator_of
    sources = [source for source, _ in corpus.validation[:LINES]]
    found = translator_of(model).translate(sources, beam=1)
    return "\n".join(f"{source} → {targets[0].text}" for source, targets in zip(sources, found))


def _fill(model: Model, corpus) -> str:
    from charlm.config import SamplingConfig
    from charlm.inference.infilling import Infiller
    from charlm.inference.network import Network
    from charlm.text.tokenizers.base import NEWLINE, decode
    size = min(CHARACTERS, len(corpus.validation))
    lines = decode(model.tokenizer, corpus.validation.slice(0, size).tolist()).split(NEWLINE)
    texts = [(line[:len(line) // 2], line[len(line) // 2 + 5:]) for line in lines[1:1 + LINES]]
    filled = Infiller(Network(model.config, model.weights), model.tokenizer).fill(
        texts, SamplingConfig(temperature=0), seed=0, line_numbers=range(len(texts)))
    return "\n".join(f"{before}[{fills[0][0]}]{after}" for (before, after), fills in zip(texts, filled))
