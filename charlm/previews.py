"""A few lines that show what a model in training can do so far, one function a task."""

from __future__ import annotations

from charlm.config import SamplingConfig
from charlm.inference.line_sampling import LineSampler, LineSamplingConfig
from charlm.model import LanguageModel
from charlm.modelfile import Model
from charlm.registry import PREVIEWS, implementation
from charlm.text.corpora import Corpus
from charlm.text.line_corpus import LineCorpus
from charlm.text.pair_corpus import PairCorpus
from charlm.text.text_corpus import TextCorpus
from charlm.text.tokenizers.base import NEWLINE, decode

CHARACTERS = 240                        # of running text
LINES = 4                               # of pairs, or of text with gaps
TEMPERATURE = 0.7


def preview(model: Model, corpus: Corpus) -> str:
    """Return a short sample of a model and its corpus, drawn by the NumPy network."""
    return str(implementation(PREVIEWS, model.task)(LanguageModel(model), corpus))


def preview_text(model: LanguageModel, corpus: TextCorpus) -> str:
    """Return a sample of running text."""
    return "".join(text for _, text in model.generate("", SamplingConfig(TEMPERATURE), length=CHARACTERS, seed=0))


def preview_lines(model: LanguageModel, corpus: LineCorpus) -> str:
    """Return sampled lines, with their labels if there are any."""
    config = LineSamplingConfig(SamplingConfig(TEMPERATURE), seed=0, max_length=CHARACTERS // LINES)
    sampler = LineSampler(model.reproducible_network, model.tokenizer, model.stored.labels)
    return "\n".join(f"{line.label}: {line.text}" if line.label else line.text
                     for line in sampler.sample(range(LINES), config))


def preview_translations(model: LanguageModel, corpus: PairCorpus) -> str:
    """Return translations of held-out sources."""
    sources = [source for source, _ in corpus.validation[:LINES]]
    found = model.translator().translate(sources, beam=1)
    return "\n".join(f"{source} → {targets[0].text}" for source, targets in zip(sources, found, strict=True))


def preview_fills(model: LanguageModel, corpus: TextCorpus) -> str:
    """Return lines of the held-out text with a gap filled in brackets."""
    size = min(CHARACTERS, len(corpus.validation))
    lines = decode(model.tokenizer, corpus.validation.slice(0, size).tolist()).split(NEWLINE)
    texts = [(line[:len(line) // 2], line[len(line) // 2 + 5:]) for line in lines[1:1 + LINES]]
    filled = model.infiller().fill(texts, SamplingConfig(0.0), seed=0, line_numbers=range(len(texts)))
    return "\n".join(f"{before}[{fills[0][0]}]{after}" for (before, after), fills in zip(texts, filled, strict=True))
