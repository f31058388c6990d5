"""What a model is, how it is trained and how it is sampled, as frozen dataclasses.

Each checks itself and names the flag that is wrong.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from charlm.errors import UsageError

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
NONLINEARITIES = ("tanh", "relu")
ENCODERS = ("shared",)
OPTIMIZERS = ("muon", "adamw")
TOKENIZERS = ("char", "byte", "bpe", "unigram")

LARGEST_VOCABULARY = 0x110000 + 8       # every code point and the special tokens
LARGEST_SIZE = 1 << 16
MOST_LAYERS = 256


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise UsageError(message)


def _among(value: str, choices, flag: str) -> None:
    _require(value in choices, f"{flag} {value!r} is not one of {', '.join(choices)}")


def _whole(value: int, low: int, high: int, flag: str) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    _require(fits, f"{flag} must be a whole number from {low} to {high}, not {value!r}")


def _real(value: float, low: float, high: float, flag: str) -> None:
    fits = isinstance(value, (int, float)) and math.isfinite(value) and low <= value <= high
    _require(fits, f"{flag} must be a number from {low:g} to {high:g}, not {value!r}")


@dataclass(frozen=True)
class ModelConfig:
    """The architecture: all that is needed to name every parameter and its shape."""

    vocabulary_size: int
    cell: str = "lstm"
    nonlinearity: str = "tanh"          # of the plain rnn cell only
    num_layers: int = 2
    embedding_size: int = 64
    hidden_size: int = 256
    tied: bool = False                  # the head's matrix is the embedding's
    encoder: str = "shared"             # the decoder itself reads the prompt

    def __post_init__(self) -> None:
        _among(self.cell, GATES, "--cell")
        _among(self.nonlinearity, NONLINEARITIES, "--nonlinearity")
        _among(self.encoder, ENCODERS, "--encoder")
        _whole(self.vocabulary_size, 1, LARGEST_VOCABULARY, "vocabulary size")
        _whole(self.num_layers, 1, MOST_LAYERS, "--layers")
        _whole(self.embedding_size, 1, LARGEST_SIZE, "--embedding")
        _whole(self.hidden_size, 1, LARGEST_SIZE, "--hidden")
        _require(isinstance(self.tied, bool), "--tied must be true or false")
        _require(not self.tied or self.embedding_size == self.hidden_size,
                 f"--tied needs equal sizes: --embedding {self.embedding_size} "
                 f"is not --hidden {self.hidden_size}")

    @property
    def gates(self) -> int:
        """Blocks of `hidden_size` rows in a recurrent matrix."""
        return GATES[self.cell]

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every stored tensor, in order; the same names as `charlm.nn.Network`."""
        rows = self.gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "embedding.weight": (self.vocabulary_size, self.embedding_size)}
        for layer in range(self.num_layers):
            width = self.hidden_size if layer else self.embedding_size
            shapes[f"decoder.{layer}.weight_ih_l0"] = (rows, width)
            shapes[f"decoder.{layer}.weight_hh_l0"] = (rows, self.hidden_size)
            shapes[f"decoder.{layer}.bias_ih_l0"] = (rows,)
            shapes[f"decoder.{layer}.bias_hh_l0"] = (rows,)
        if not self.tied:
            shapes["head.weight"] = (self.vocabulary_size, self.hidden_size)
        shapes["head.bias"] = (self.vocabulary_size,)
        return shapes

    def parameter_count(self) -> int:
        return sum(math.prod(shape) for shape in self.parameter_shapes().values())

    def describe(self) -> str:
        """One readable line: cell, depth, width and number of parameters."""
        cell = f"rnn ({self.nonlinearity})" if self.cell == "rnn" else self.cell
        tied = ", tied" if self.tied else ""
        return (f"{cell} {self.num_layers}x{self.hidden_size}, embedding {self.embedding_size}"
                f"{tied}, {self.parameter_count() / 1e6:.2f} M parameters")

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> ModelConfig:
        """Rebuild from `to_json`; raises UsageError unless the keys are exactly the fields."""
        expected = {field.name for field in fields(cls)}
        _require(isinstance(values, dict) and set(values) == expected,
                 "model configuration has missing or unknown entries")
        _require(all(isinstance(values[name], str) for name in ("cell", "nonlinearity", "encoder")),
                 "model configuration names are not text")
        return cls(**values)


@dataclass(frozen=True)
class TrainingConfig:
    """One run: everything that decides its weights, beside the corpus and the model's shape."""

    steps: int
    batch_size: int = 32                # lanes
    bptt: int = 64                      # tokens of a window
    optimizer: str = "muon"
    learning_rate: float = 6e-3         # of AdamW; Muon's is a fixed multiple (training/optimizers.py)
    weight_decay: float = 0.0
    warmup: int = 50                    # steps
    dropout: float = 0.2
    clip: float = 1.0                   # global gradient norm; 0 is off
    clip_value: float = 0.0             # each gradient entry; 0 is off
    patience: int = 5                   # validations without a better one; 0 is off
    seed: int = 0

    def __post_init__(self) -> None:
        _whole(self.steps, 1, 1 << 40, "--steps")
        _whole(self.batch_size, 1, LARGEST_SIZE, "--batch-size")
        _whole(self.bptt, 1, LARGEST_SIZE, "--bptt")
        _among(self.optimizer, OPTIMIZERS, "--optimizer")
        _real(self.learning_rate, 0, 100, "--lr")
        _real(self.weight_decay, 0, 100, "--weight-decay")
        _whole(self.warmup, 0, 1 << 40, "--warmup")
        _real(self.dropout, 0, 0.95, "--dropout")
        _real(self.clip, 0, 1e9, "--clip")
        _real(self.clip_value, 0, 1e9, "--clip-value")
        _whole(self.patience, 0, 1 << 30, "--patience")
        _whole(self.seed, 0, (1 << 63) - 1, "--seed")


@dataclass(frozen=True)
class SamplingConfig:
    """How the next token is drawn. The defaults draw from the model's own distribution."""

    temperature: float = 1.0            # 0 is greedy
    top_k: int = 0                      # keep the k likeliest; 0 is off
    top_p: float = 1.0                  # keep the smallest set holding this much probability
    min_p: float = 0.0                  # drop what is less likely than this share of the likeliest
    repeat_penalty: float = 1.0         # divides the logits of tokens seen lately; 1 is off

    def __post_init__(self) -> None:
        _real(self.temperature, 0, 1e6, "--temp")
        _whole(self.top_k, 0, 1 << 40, "--top-k")
        _real(self.top_p, 0, 1, "--top-p")
        _real(self.min_p, 0, 1, "--min-p")
        _real(self.repeat_penalty, 1e-6, 1e6, "--repeat-penalty")
