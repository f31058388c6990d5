"""From what the user wished and what the corpus is to a ModelConfig and a TrainingConfig."""

from __future__ import annotations

from dataclasses import dataclass, replace

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import UsageError
from charlm.text.line_corpus import LineCorpus
from charlm.text.pair_corpus import PairCorpus
from charlm.text.special_tokens import vocabulary_sizes
from charlm.text.text_corpus import TextCorpus
from charlm.training.batches import Batches
from charlm.training.defaults import (
    Sizes,
    default_line_steps,
    default_pair_steps,
    default_steps,
    fit_window,
    line_sizes,
    pair_sizes,
    sizes,
)

BPTT = 64
AnyCorpus = TextCorpus | LineCorpus | PairCorpus


@dataclass(frozen=True)
class TrainingOptions:
    """Flags about the network and the run; None where the corpus decides."""

    cell: str = "lstm"
    nonlinearity: str = "tanh"
    layers: int = 2
    hidden: int | None = None
    embedding: int | None = None
    tied: bool = False
    task: str = "stream"
    encoder: str | None = None          # bidirectional for pairs and gaps, else shared
    attention: bool | None = None       # wherever there is a source
    dropout: float | None = None
    label_smoothing: float | None = None
    averaging: float = TrainingConfig.averaging
    optimizer: str = "muon"
    lr: float = TrainingConfig.learning_rate
    weight_decay: float | None = None
    warmup: int = TrainingConfig.warmup
    batch_size: int | None = None
    bptt: int = BPTT
    clip: float = TrainingConfig.clip
    clip_value: float = TrainingConfig.clip_value
    patience: int | None = None
    seed: int = TrainingConfig.seed
    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        lengths = [name for name in ("steps", "epochs", "minutes") if getattr(self, name) is not None]
        if len(lengths) > 1:
            raise UsageError(f"--{lengths[0]} and --{lengths[1]} both say how long; give one")
        for name in ("epochs", "minutes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e9:
                raise UsageError(f"--{name} must be a positive number, not {value}")
        # Refused now rather than after a long corpus was read; what the corpus decides is harmless.
        _model(self, (2, 2), self.bptt, hidden=self.embedding if self.tied and self.embedding else 8)
        _run(self, Sizes(hidden_size=8, batch_size=8, dropout=0.0, weight_decay=0.0))


def choose_model(corpus: AnyCorpus, wishes: TrainingOptions) -> ModelConfig:
    """The architecture; an embedding of 64, or as wide as the hidden layer where tied."""
    known = vocabulary_sizes(wishes.task, corpus.tokenizer, corpus.source_tokenizer)
    bptt = choose_run(corpus, wishes).bptt if isinstance(corpus, TextCorpus) else wishes.bptt
    return _model(wishes, known, bptt, hidden=_usual(corpus).hidden_size, labels=len(corpus.labels or ()))


def choose_run(corpus: AnyCorpus, wishes: TrainingOptions) -> TrainingConfig:
    """The run; with `minutes` its length is provisional, until the speed is known."""
    wished = _run(wishes, _usual(corpus))
    if not isinstance(corpus, TextCorpus):
        steps_per_epoch = Batches(corpus.lengths, batch_size=wished.batch_size, seed=wished.seed).in_first_epoch
        usual = (default_pair_steps(len(corpus.sources), wished.batch_size)
                 if isinstance(corpus, PairCorpus) else
                 default_line_steps(int(corpus.lengths.sum()), steps_per_epoch))
        return replace(wished, steps=_steps(wishes, usual, steps_per_epoch))
    tokens = len(corpus.train)
    batch_size, bptt = fit_window(corpus.train, batch_size=wished.batch_size, bptt=wished.bptt)
    window = batch_size * bptt
    return replace(wished, steps=_steps(wishes, default_steps(tokens, window), tokens / window),
                   batch_size=batch_size, bptt=bptt)


def _steps(wishes: TrainingOptions, usual: int, steps_per_epoch: float) -> int:
    if wishes.steps is not None:
        return wishes.steps
    return usual if wishes.epochs is None else max(int(wishes.epochs * steps_per_epoch), 1)


def _usual(corpus: AnyCorpus) -> Sizes:
    if isinstance(corpus, PairCorpus):
        return pair_sizes(len(corpus.sources), int(corpus.lengths.sum()))
    if isinstance(corpus, LineCorpus):
        return line_sizes(int(corpus.lengths.sum()))
    return sizes(len(corpus.train))


def _model(wishes: TrainingOptions, known: tuple[int, int], bptt: int, *, hidden: int, labels: int = 0) -> ModelConfig:
    """The wished architecture over so many ids known to decoder and encoder, `hidden` wide where
    nothing else is wished."""
    hidden = hidden if wishes.hidden is None else wishes.hidden
    embedding = (hidden if wishes.tied else 64) if wishes.embedding is None else wishes.embedding
    stream = wishes.task == "stream"
    reads = wishes.task in ("pairs", "fill")
    encoder = wishes.encoder or ("bidirectional" if reads else "shared")
    if wishes.task == "lines" and encoder != "shared":
        raise UsageError(f"--encoder {encoder} has nothing to read: a line begins with nothing before it")
    has_source = reads or stream and encoder != "shared"
    return ModelConfig(vocabulary_size=known[0], cell=wishes.cell,
                       nonlinearity=wishes.nonlinearity, num_layers=wishes.layers,
                       embedding_size=embedding, hidden_size=hidden, tied=wishes.tied,
                       encoder=encoder, source_vocabulary_size=known[1] if has_source else 0,
                       attention=_or(wishes.attention, has_source),
                       window=bptt if stream and has_source else 0, labels=labels)


def _run(wishes: TrainingOptions, usual: Sizes) -> TrainingConfig:
    """The wished run, windows as wished and one step long where no steps are given."""
    # A run of a given time is planned to its end, where the rate is zero: stopping early wastes it.
    patience = TrainingConfig.patience if wishes.minutes is None else 0
    return TrainingConfig(
        steps=_or(wishes.steps, 1), bptt=wishes.bptt,
        batch_size=_or(wishes.batch_size, usual.batch_size),
        optimizer=wishes.optimizer, learning_rate=wishes.lr, warmup=wishes.warmup,
        weight_decay=_or(wishes.weight_decay, usual.weight_decay),
        dropout=_or(wishes.dropout, usual.dropout),
        label_smoothing=_or(wishes.label_smoothing, usual.label_smoothing),
        averaging=wishes.averaging, clip=wishes.clip, clip_value=wishes.clip_value,
        patience=_or(wishes.patience, patience), seed=wishes.seed)


def _or(wish, usual):
    return usual if wish is None else wish
