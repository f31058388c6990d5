"""From what the user wished and what the corpus is to a ModelConfig and a TrainingConfig."""

from __future__ import annotations

from dataclasses import dataclass, replace

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import UsageError
from charlm.text.prepare import Corpus
from charlm.training.plan import default_steps, fit_window, sizes

BPTT = 64


@dataclass(frozen=True)
class Wishes:
    """Flags about the network and the run; None where the corpus decides."""

    cell: str = "lstm"
    nonlinearity: str = "tanh"
    layers: int = 2
    hidden: int | None = None
    embedding: int | None = None
    tied: bool = False
    encoder: str = "shared"
    dropout: float | None = None
    optimizer: str = "muon"
    lr: float = TrainingConfig.learning_rate
    weight_decay: float | None = None
    warmup: int = TrainingConfig.warmup
    batch_size: int | None = None
    bptt: int = BPTT
    clip: float = TrainingConfig.clip
    clip_value: float = TrainingConfig.clip_value
    patience: int = TrainingConfig.patience
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


def choose_model(corpus: Corpus, wishes: Wishes) -> ModelConfig:
    """The architecture; an embedding of 64, or as wide as the hidden layer where tied."""
    hidden = sizes(len(corpus.train)).hidden_size if wishes.hidden is None else wishes.hidden
    embedding = (hidden if wishes.tied else 64) if wishes.embedding is None else wishes.embedding
    return ModelConfig(vocabulary_size=corpus.tokenizer.size, cell=wishes.cell,
                       nonlinearity=wishes.nonlinearity, num_layers=wishes.layers,
                       embedding_size=embedding, hidden_size=hidden, tied=wishes.tied,
                       encoder=wishes.encoder)


def choose_run(corpus: Corpus, wishes: Wishes) -> TrainingConfig:
    """The run; with `minutes` its length is provisional, until the speed is known."""
    tokens = len(corpus.train)
    usual = sizes(tokens)
    wished = TrainingConfig(
        steps=1 if wishes.steps is None else wishes.steps, bptt=wishes.bptt,
        batch_size=usual.batch_size if wishes.batch_size is None else wishes.batch_size,
        optimizer=wishes.optimizer, learning_rate=wishes.lr, warmup=wishes.warmup, clip=wishes.clip,
        weight_decay=usual.weight_decay if wishes.weight_decay is None else wishes.weight_decay,
        dropout=usual.dropout if wishes.dropout is None else wishes.dropout,
        clip_value=wishes.clip_value, patience=wishes.patience, seed=wishes.seed)
    batch_size, bptt = fit_window(corpus.train, batch_size=wished.batch_size, bptt=wished.bptt)
    window, steps = batch_size * bptt, wished.steps
    if wishes.steps is None:
        steps = (default_steps(tokens, window) if wishes.epochs is None
                 else max(int(wishes.epochs * tokens / window), 1))
    return replace(wished, steps=steps, batch_size=batch_size, bptt=bptt)
