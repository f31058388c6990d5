"""What a model is, how it is trained and how it is sampled, as frozen dataclasses.

Each checks itself and names the flag that is wrong.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from charlm.errors import UsageError

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
NONLINEARITIES = ("tanh", "relu")
ENCODERS = ("shared", "stacked", "bidirectional")
OPTIMIZERS = ("muon", "adamw")
TASKS = ("stream", "lines", "pairs", "fill")
TOKENIZERS = ("char", "byte", "bpe", "unigram")
SOURCE_TOKENIZERS = ("nfd", *TOKENIZERS)
TARGET_TOKENIZERS = ("word", *TOKENIZERS)

MAX_VOCABULARY = 0x110000 + 8       # every code point and the special tokens
MAX_SIZE = 1 << 16
MAX_LAYERS = 256


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
    """The architecture: all that is needed to name every parameter and its shape.

    A model without a source is a decoder alone. One with a source has a memory of it: every position
    of what the encoder made of it (attention), or its last one only.
    """

    vocabulary_size: int                # what the decoder reads and writes
    cell: str = "lstm"
    nonlinearity: str = "tanh"          # of the plain rnn cell only
    num_layers: int = 2                 # of the decoder and of an encoder of its own
    embedding_size: int = 64
    hidden_size: int = 256              # of a layer, and of each direction
    tied: bool = False                  # the head's matrix is the decoder's embedding
    encoder: str = "shared"             # who reads the source; shared: the decoder's layers themselves
    source_vocabulary_size: int = 0     # what the encoder reads; 0: there is no source
    attention: bool = False
    window: int = 0                     # stream: the encoder reads windows of this many past tokens
    labels: int = 0                     # lines: ids that the decoder reads beside its vocabulary

    def __post_init__(self) -> None:
        _among(self.cell, GATES, "--cell")
        _among(self.nonlinearity, NONLINEARITIES, "--nonlinearity")
        _among(self.encoder, ENCODERS, "--encoder")
        _whole(self.vocabulary_size, 1, MAX_VOCABULARY, "vocabulary size")
        _whole(self.source_vocabulary_size, 0, MAX_VOCABULARY, "source vocabulary size")
        _whole(self.num_layers, 1, MAX_LAYERS, "--layers")
        _whole(self.embedding_size, 1, MAX_SIZE, "--embedding")
        _whole(self.hidden_size, 1, MAX_SIZE, "--hidden")
        _whole(self.window, 0, MAX_SIZE, "--bptt")
        _whole(self.labels, 0, MAX_SIZE, "--labels")
        _require(isinstance(self.tied, bool), "--tied must be true or false")
        _require(isinstance(self.attention, bool), "--attention must be true or false")
        _require(not self.tied or self.embedding_size == self.hidden_size,
                 f"--tied needs equal sizes: --embedding {self.embedding_size} "
                 f"is not --hidden {self.hidden_size}")
        self._check_source()

    def _check_source(self) -> None:
        separate = self.encoder != "shared"
        _require(self.source_vocabulary_size > 0 or not separate,
                 f"--encoder {self.encoder} has nothing to read")
        _require(self.source_vocabulary_size > 0 or not self.attention,
                 "--attention needs an encoder with a text of its own; add --bidirectional")
        reads_itself = self.source_vocabulary_size == self.vocabulary_size and separate
        _require(not self.window or reads_itself,
                 "windows of past text need a separate encoder with the decoder's vocabulary")

    @property
    def gates(self) -> int:
        """Blocks of `hidden_size` rows in a recurrent matrix."""
        return GATES[self.cell]

    @property
    def parts(self) -> int:
        """Vectors that a layer carries on: h, or h and c."""
        return 2 if self.cell == "lstm" else 1

    @property
    def has_source(self) -> bool:
        return self.source_vocabulary_size > 0

    @property
    def directions(self) -> int:
        """Recurrent layers side by side in each layer of a separate encoder; 0: there is none."""
        return {"shared": 0, "stacked": 1, "bidirectional": 2}[self.encoder]

    @property
    def memory_size(self) -> int:
        """Width of one position of the memory."""
        return self.hidden_size * max(self.directions, 1)

    @property
    def has_bridge(self) -> bool:
        """Whether a source's last states start the decoder through a projection.

        In a stream the decoder goes on with its own state, and a shared encoder hands its own over.
        """
        return self.directions > 0 and not self.window

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every stored tensor, in order; the same names as `charlm.nn.Network`."""
        shapes: dict[str, tuple[int, ...]] = {
            "embedding.weight": (self.vocabulary_size + self.labels, self.embedding_size)}
        for layer in range(self.num_layers):
            width = self.hidden_size if layer else self.embedding_size
            shapes |= self._layer_shapes(f"decoder.{layer}", width)
        if not self.tied:
            shapes["head.weight"] = (self.vocabulary_size, self.hidden_size)
        shapes["head.bias"] = (self.vocabulary_size,)
        return shapes | self._source_shapes() if self.has_source else shapes

    def _layer_shapes(self, name: str, width: int) -> dict[str, tuple[int, ...]]:
        rows = self.gates * self.hidden_size
        return {f"{name}.weight_ih_l0": (rows, width), f"{name}.weight_hh_l0": (rows, self.hidden_size),
                f"{name}.bias_ih_l0": (rows,), f"{name}.bias_hh_l0": (rows,)}

    def _source_shapes(self) -> dict[str, tuple[int, ...]]:
        """What stands beside the decoder: encoder, bridge, attention and the merging of its context."""
        hidden, memory = self.hidden_size, self.memory_size
        shapes: dict[str, tuple[int, ...]] = {
            "encoder.embedding.weight": (self.source_vocabulary_size, self.embedding_size)}
        for layer in range(self.num_layers if self.directions else 0):
            for direction in range(self.directions):
                shapes |= self._layer_shapes(f"encoder.layers.{layer}.{direction}",
                                             memory if layer else self.embedding_size)
        if self.has_bridge:
            started = self.num_layers * self.parts * hidden
            shapes |= {"bridge.weight": (started, memory), "bridge.bias": (started,)}
        if self.attention:
            shapes |= {"context.query.weight": (hidden, hidden), "context.key.weight": (hidden, memory)}
        return shapes | {"context.empty": (memory,), "context.merge.weight": (hidden, hidden + memory),
                         "context.merge.bias": (hidden,)}

    def parameter_count(self) -> int:
        return sum(math.prod(shape) for shape in self.parameter_shapes().values())

    def describe(self) -> str:
        """One readable line: encoder, cell, depth, width and number of parameters."""
        cell = f"rnn ({self.nonlinearity})" if self.cell == "rnn" else self.cell
        size = f"{cell} {self.num_layers}x{self.hidden_size}"
        tied = ", tied" if self.tied else ""
        return (f"{self._describe_source(size)}{size}, embedding {self.embedding_size}"
                f"{tied}, {self.parameter_count() / 1e6:.2f} M parameters")

    def _describe_source(self, size: str) -> str:
        if not self.has_source:
            return ""
        reads = f" of the last {self.window} tokens" if self.window else ""
        encoder = f"{self.encoder} encoder{' ' + size if self.directions else ''}{reads}"
        return f"{encoder}, {'attention' if self.attention else 'fixed context'}, decoder "

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
    label_smoothing: float = 0.0        # share of the target given to all tokens alike; 0 is off
    averaging: float = 0.0              # decay of the running mean of the weights; 0 is off
    patience: int = 5                   # validations without a better one; 0 is off
    seed: int = 0

    def __post_init__(self) -> None:
        _whole(self.steps, 1, 1 << 40, "--steps")
        _whole(self.batch_size, 1, MAX_SIZE, "--batch-size")
        _whole(self.bptt, 1, MAX_SIZE, "--bptt")
        _among(self.optimizer, OPTIMIZERS, "--optimizer")
        _real(self.learning_rate, 0, 100, "--lr")
        _real(self.weight_decay, 0, 100, "--weight-decay")
        _whole(self.warmup, 0, 1 << 40, "--warmup")
        _real(self.dropout, 0, 0.95, "--dropout")
        _real(self.clip, 0, 1e9, "--clip")
        _real(self.clip_value, 0, 1e9, "--clip-value")
        _real(self.label_smoothing, 0, 0.95, "--label-smoothing")
        _real(self.averaging, 0, 0.999999, "--averaging")
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
