"""The configuration of a model, of a training run and of sampling, as frozen dataclasses.

Each field's metadata names its flag, its bounds and its help. The command line's options, the checks here and the
error messages are all derived from it, so a new hyperparameter is added only here and where it is used.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from typing import Any

from charlm.errors import OptionError, UsageError

GATES = {"rnn": 1, "lstm": 4, "gru": 3}
DEFAULT_CELL = "lstm"
NONLINEARITIES = ("tanh", "relu")
ENCODERS = ("shared", "stacked", "bidirectional")
OPTIMIZERS = ("muon", "adamw")
PRECISIONS = ("auto", "float32", "bfloat16")
TOKENIZERS = ("char", "byte", "bpe", "unigram")
SOURCE_TOKENIZERS = ("nfd", *TOKENIZERS)
TARGET_TOKENIZERS = ("word", *TOKENIZERS)

MAX_VOCABULARY = 0x110000 + 8           # every code point and the special tokens
MAX_SIZE = 1 << 16
MAX_LAYERS = 256
MAX_COUNT = 1 << 40


@dataclass(frozen=True, repr=False, eq=False)
class Option:
    """The command-line option of a configuration field, and the values that the field takes."""

    flag: str                           # "--dropout"; a plain name where the user cannot set it
    help: str = ""
    group: str = ""                     # the section of `--help` that lists it
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()       # other spellings
    negation: str = ""                  # the spelling that turns a switch off
    metavar: str | None = None
    automatic: str = ""                 # how the default is chosen, where no number can say it

    @property
    def is_settable(self) -> bool:
        """Return whether the user can set it on the command line."""
        return self.flag.startswith("--")

    def problem(self, kind: str, value: object) -> str:
        """Return why a field of this kind (bool, int, float or str) cannot have a value, else an empty string."""
        if kind == "str" and not self.choices:
            return ""
        if self.choices:
            return "" if value in self.choices else f"must be one of {', '.join(self.choices)}, not {value!r}"
        if kind == "bool":
            return "" if isinstance(value, bool) else f"must be true or false, not {value!r}"
        types, name = ((int,), "whole number") if kind == "int" else ((int, float), "number")
        fits = isinstance(value, types) and not isinstance(value, bool) and self.low <= value <= self.high
        low, high = (f"{int(bound)}" if kind == "int" else f"{bound:g}" for bound in (self.low, self.high))
        return "" if fits else f"must be a {name} from {low} to {high}, not {value!r}"


def option(default: Any, flag: str, help: str = "", **parts: Any) -> Any:
    """Return a dataclass field with a default and an `Option`."""
    return field(default=default, metadata={"option": Option(flag, help, **parts)})


def options_of(config: Any) -> Iterable[tuple[Field[Any], Option]]:
    """Yield the fields of a configuration class that have an option, with that option."""
    return ((one, one.metadata["option"]) for one in fields(config) if "option" in one.metadata)


def to_flags(config: type, values: Mapping[str, Any]) -> list[str]:
    """Return the words of a command line that set these fields of a configuration class.

    >>> to_flags(ModelConfig, {"hidden_size": 64, "tied": True})
    ['--hidden', '64', '--tied']
    """
    words = []
    for one, its in options_of(config):
        if one.name in values and its.is_settable and its.help:
            value = values[one.name]
            words += [its.flag, str(value)] if not isinstance(value, bool) else [its.flag if value else its.negation]
    return [word for word in words if word]


def default_text(field: Field[Any]) -> str:
    """Return the default of a field as `--help` shows it; empty if it has none, or is a switch."""
    if field.default in (None, MISSING) or isinstance(field.default, bool):
        return ""
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def check_options(config: Any) -> None:
    """Raise OptionError for the first field whose value its option refuses. A field of None is automatic."""
    for one, its in options_of(type(config)):
        value, kind = getattr(config, one.name), str(one.type)
        if value is None and "None" in kind:
            continue
        if problem := its.problem(kind.partition(" ")[0], value):
            raise OptionError(one.name, its.flag, problem)


def check_keywords(given: Iterable[str], known: Sequence[str], kind: str = "") -> None:
    """Raise TypeError for the first keyword argument that is not a known option (of this `kind`)."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.75)
            hint = f"did you mean {near[0]}? " if near else ""
            raise TypeError(f"unknown keyword argument {name!r}; {hint}the {kind}options are {', '.join(known)}")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UsageError(message)


@dataclass(frozen=True)
class ModelConfig:
    """The architecture: all that is needed to name every parameter and its shape.

    A model without a source is a decoder alone. One with a source has a memory of it: with attention every position
    of the encoder's outputs, otherwise only the last.
    """

    vocabulary_size: int = option(MISSING, "vocabulary size", low=1, high=MAX_VOCABULARY)
    cell: str = option(DEFAULT_CELL, "--cell", "Recurrent cell.", group="network", choices=tuple(GATES))
    nonlinearity: str = option("tanh", "--nonlinearity", "Nonlinearity of the rnn cell.", group="network",
                               choices=NONLINEARITIES)
    num_layers: int = option(2, "--layers", "Stacked layers.", group="network", low=1, high=MAX_LAYERS)
    embedding_size: int = option(64, "--embedding", "Width of the embedding.", group="network", low=1, high=MAX_SIZE,
                                 automatic="64, or --hidden with --tied")
    hidden_size: int = option(256, "--hidden", "Width of a layer, in each direction.", group="network", low=1,
                              high=MAX_SIZE, automatic="by the corpus")
    tied: bool = option(False, "--tied", "Share one matrix of --hidden width between head and embedding.",
                        group="network")
    encoder: str = option("shared", "--encoder", "How the source, or the window of text before, is read; shared: by "
                          "the decoder's own layers.", group="network", choices=ENCODERS,
                          automatic="bidirectional for pairs and fill, else shared")
    source_vocabulary_size: int = option(0, "source vocabulary size", low=0, high=MAX_VOCABULARY)    # 0: no source
    attention: bool = option(False, "--attention", "Attend to every position that the encoder read, instead of "
                             "using only its last output.", group="network", negation="--no-attention",
                             automatic="attention if there is a source")
    window: int = option(0, "--bptt", low=0, high=MAX_SIZE)     # of past text that the encoder reads, in tokens
    labels: int = option(0, "--labels", low=0, high=MAX_SIZE)   # ids that the decoder reads beside its vocabulary

    def __post_init__(self) -> None:
        check_options(self)
        _require(not self.tied or self.embedding_size == self.hidden_size,
                 f"--tied needs equal sizes: --embedding {self.embedding_size} is not --hidden {self.hidden_size}")
        self._check_source()

    def _check_source(self) -> None:
        separate = self.encoder != "shared"
        _require(self.has_source or not separate, f"--encoder {self.encoder} has nothing to read")
        _require(self.has_source or not self.attention,
                 "--attention needs an encoder with its own text; add --bidirectional")
        reads_itself = self.source_vocabulary_size == self.vocabulary_size and separate
        _require(not self.window or reads_itself,
                 "windows of past text need a separate encoder with the decoder's vocabulary")

    @property
    def gates(self) -> int:
        """The number of gates: blocks of `hidden_size` rows in a recurrent matrix."""
        return GATES[self.cell]

    @property
    def state_tensors(self) -> int:
        """Tensors in a layer's state: h, or h and c."""
        return 2 if self.cell == "lstm" else 1

    @property
    def has_source(self) -> bool:
        """Return whether an encoder reads a source."""
        return self.source_vocabulary_size > 0

    @property
    def directions(self) -> int:
        """The number of directions in which a separate encoder reads; 0 for a shared one."""
        return {"shared": 0, "stacked": 1, "bidirectional": 2}[self.encoder]

    @property
    def memory_size(self) -> int:
        """The width of one memory position."""
        return self.hidden_size * max(self.directions, 1)

    @property
    def has_bridge(self) -> bool:
        """Return whether the encoder's last outputs, projected, become the decoder's first state."""
        # Over windows of running text the decoder keeps its own state; a shared encoder passes its state on.
        return self.directions > 0 and not self.window

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every stored tensor, in order; the names are those of `charlm.nn.Network`."""
        shapes: dict[str, tuple[int, ...]] = {
            "embedding.weight": (self.vocabulary_size + self.labels, self.embedding_size)}
        for layer in range(self.num_layers):
            shapes |= self._layer_shapes(f"decoder.{layer}", self.hidden_size if layer else self.embedding_size)
        if not self.tied:
            shapes["head.weight"] = (self.vocabulary_size, self.hidden_size)
        shapes["head.bias"] = (self.vocabulary_size,)
        return shapes | self._source_shapes() if self.has_source else shapes

    def _layer_shapes(self, name: str, width: int) -> dict[str, tuple[int, ...]]:
        rows = self.gates * self.hidden_size
        return {f"{name}.weight_ih_l0": (rows, width), f"{name}.weight_hh_l0": (rows, self.hidden_size),
                f"{name}.bias_ih_l0": (rows,), f"{name}.bias_hh_l0": (rows,)}

    def _source_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of encoder, bridge, attention and the layer that merges the context."""
        hidden, memory = self.hidden_size, self.memory_size
        shapes: dict[str, tuple[int, ...]] = {
            "encoder.embedding.weight": (self.source_vocabulary_size, self.embedding_size)}
        for layer in range(self.num_layers):
            width = memory if layer else self.embedding_size
            for direction in range(self.directions):
                shapes |= self._layer_shapes(f"encoder.layers.{layer}.{direction}", width)
        if self.has_bridge:
            started = self.num_layers * self.state_tensors * hidden
            shapes |= {"bridge.weight": (started, memory), "bridge.bias": (started,)}
        if self.attention:
            shapes |= {"context.query.weight": (hidden, hidden), "context.key.weight": (hidden, memory)}
        return shapes | {"context.empty": (memory,), "context.merge.weight": (hidden, hidden + memory),
                         "context.merge.bias": (hidden,)}

    def parameter_count(self) -> int:
        """Return the number of parameters."""
        return sum(math.prod(shape) for shape in self.parameter_shapes().values())

    def describe(self) -> str:
        """Return one readable line: encoder, cell, depth, width and number of parameters."""
        cell = f"rnn ({self.nonlinearity})" if self.cell == "rnn" else self.cell
        size = f"{cell} {self.num_layers}x{self.hidden_size}"
        return (f"{self._describe_source(size)}{size}, embedding {self.embedding_size}"
                f"{', tied' if self.tied else ''}, {self.parameter_count() / 1e6:.2f} M parameters")

    def _describe_source(self, size: str) -> str:
        if not self.has_source:
            return ""
        reads = f" of the last {self.window} tokens" if self.window else ""
        encoder = f"{self.encoder} encoder{' ' + size if self.directions else ''}{reads}"
        return f"{encoder}, {'attention' if self.attention else 'fixed context'}, decoder "

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> ModelConfig:
        """Rebuild a configuration from `to_json`. Raises UsageError unless the keys are exactly the fields."""
        _require(isinstance(values, dict) and set(values) == {one.name for one in fields(cls)},
                 "model configuration has missing or unknown entries")
        _require(all(isinstance(values[name], str) for name in ("cell", "nonlinearity", "encoder")),
                 "model configuration: cell, nonlinearity and encoder must be strings")
        return cls(**values)


@dataclass(frozen=True)
class TrainingConfig:
    """The hyperparameters of a run: with the corpus and the model's shape, they determine its weights."""

    steps: int = option(MISSING, "--steps", "Train for this many updates.", group="run", low=1, high=MAX_COUNT,
                        automatic="by the corpus")
    batch_size: int = option(32, "--batch-size", "Text streams, lines or pairs per batch.", group="run", low=1,
                             high=MAX_SIZE, automatic="by the corpus")
    accumulate: int = option(1, "--accumulate", "Gradient accumulation: process each batch in this many parts, one "
                             "after the other. Less memory, same update.", group="run", low=1, high=MAX_SIZE)
    bptt: int = option(64, "--bptt", "Tokens in a window of truncated backpropagation.", group="run", low=1,
                       high=MAX_SIZE)
    optimizer: str = option("muon", "--optimizer", "muon: Muon for the recurrent matrices and AdamW for the rest; "
                            "adamw: AdamW for all.", group="optimizer", choices=OPTIMIZERS)
    learning_rate: float = option(6e-3, "--lr", "Learning rate of AdamW; Muon's is 10/3 of it.", group="optimizer",
                                  high=100)
    weight_decay: float = option(0.0, "--weight-decay", "Decoupled weight decay.", group="optimizer", high=100,
                                 automatic="by the corpus")
    warmup: int = option(50, "--warmup", "Steps until the full learning rate, at most a tenth of the run; it then "
                         "falls to 0 linearly.", group="optimizer", high=MAX_COUNT)
    dropout: float = option(0.2, "--dropout", "Dropout on the non-recurrent connections.", group="network", high=0.95,
                            automatic="by the corpus")
    clip: float = option(1.0, "--clip", "Clip the global norm of the gradient; 0 is off.", group="optimizer", high=1e9)
    clip_value: float = option(0.0, "--clip-value", "Clip every entry of the gradient; 0 is off.", group="optimizer",
                               high=1e9)
    label_smoothing: float = option(0.0, "--label-smoothing", "Share of each target that is spread over all tokens.",
                                    group="optimizer", high=0.95, automatic="0.1 for pairs, else 0")
    averaging: float = option(0.0, "--averaging", "Decay of a running mean of the weights, such as 0.999; 0 is off.",
                              group="optimizer", high=0.999999)
    patience: int = option(5, "--patience", "After this many validations without improvement, decay the rate to 0 "
                           "soon, from the best weights, and stop; 0 is off.",
                           group="run", high=1 << 30, automatic="5, or 0 with --minutes")
    seed: int = option(0, "--seed", "Random seed. Equal seeds give equal weights on one machine.", group="run",
                       high=(1 << 63) - 1)
    precision: str = option("float32", "--precision", "Precision of the matrix products in training; auto: bfloat16 "
                            "where the hardware multiplies it, else float32.", group="machine", choices=PRECISIONS,
                            automatic="auto")
    replan: str = option("", "--replan", "Change the length of the run at a step, as a run with --minutes does when "
                         "its speed changes.", group="run", metavar="STEP:STEPS,...", automatic="never")

    def __post_init__(self) -> None:
        check_options(self)
        steps = [step for step, _ in self.lengths]
        if not re.fullmatch(r"(\d{1,12}:\d{1,12}(,(?=\d)|$))*", self.replan) or sorted({*steps}) != steps \
                or any(step >= length for step, length in self.lengths):
            raise OptionError("replan", "--replan", "must be rising steps, each with a later one at which the run then "
                              f"ends, as in 200:900,500:800, not {self.replan!r}")

    @property
    def lengths(self) -> list[tuple[int, int]]:
        """The steps at which the length of the run was decided, from 0, each with the length in steps."""
        later = re.findall(r"(\d+):(\d+)", self.replan)
        return [(0, self.steps), *((int(step), int(length)) for step, length in later)]

    def at(self, step: int) -> TrainingConfig:
        """Return the configuration as it was at a step: without the lengths that were decided later."""
        known = ",".join(f"{start}:{length}" for start, length in self.lengths[1:] if start <= step)
        return replace(self, replan=known)

    @property
    def total_steps(self) -> int:
        """The length of the run as it was last decided."""
        return self.lengths[-1][1]


@dataclass(frozen=True)
class CorpusConfig:
    """The settings for reading a corpus. A field of None is automatic."""

    tokenizer: str | None = option(None, "--tokenizer", "How to tokenize the text, or targets.", group="tokens",
                                   choices=TARGET_TOKENIZERS, automatic="char; word for targets of few distinct words")
    source_tokenizer: str | None = option(None, "--source-tokenizer", "How to tokenize sources; nfd: characters split "
                                          "into letters and marks.", group="tokens", choices=SOURCE_TOKENIZERS,
                                          automatic="nfd")
    vocabulary_size: int | None = option(None, "--vocab-size", "Tokens in the vocabulary.", group="tokens", low=2,
                                         high=MAX_VOCABULARY, automatic="all characters or words; 2048 for subwords")
    validation: str | None = option(None, "--validation", "Held-out part: a share, or another file.", group="run",
                                    metavar="FRACTION|FILE", automatic="the last tenth, at most a million characters; "
                                    "of lines a random 5 %, at most 20,000; of pairs a random 10 %, at most 2,000")
    errors: str | None = option(None, "--errors", "How to treat bytes that are not UTF-8.", group="tokens",
                                choices=("strict", "replace", "ignore"), automatic="strict")
    keep_blank: bool | None = option(None, "--keep-blank", "With --lines: learn blank lines, too. They are otherwise "
                                     "left out where they are more than 1 % of the lines.", group="tokens")
    csv_column: str | None = option(None, "--csv-column", "Read CSV with a header and take the text from this column, "
                                    "a name or a number from 1. The delimiter can be comma, semicolon or tab.",
                                    group="tokens", metavar="NAME")
    json_field: str | None = option(None, "--json-field", "Read JSON lines and take the text from this field; a.b is "
                                    "field b of object a.", group="tokens", metavar="NAME")
    remember: bool | None = option(None, "--remember", "Keep a Bloom filter of the training text in the model, 10 bits "
                                   "for each distinct sequence of 16 characters, so that sample --overlap needs no "
                                   "--corpus. Anyone who has the model can then test whether a text was part of it.",
                                   group="tokens")

    def __post_init__(self) -> None:
        check_options(self)
        _require(self.csv_column is None or self.json_field is None,
                 "--csv-column and --json-field name two formats; give one")
        if isinstance(self.held_out, float) and not 0 < self.held_out < 1:
            raise OptionError("validation", "--validation", f"must be a fraction between 0 and 1 or a file, not "
                              f"{self.validation!r}")

    @property
    def held_out(self) -> float | str | None:
        """The fraction to hold out, or the path of a held-out text; None if it is automatic."""
        try:
            return None if self.validation is None else float(self.validation)
        except ValueError:
            return self.validation


@dataclass(frozen=True)
class SamplingConfig:
    """The settings for sampling a token. The defaults sample from the model's distribution."""

    temperature: float = option(1.0, "--temp", "Below 1: safer and more repetitive; above 1: more varied; 0: always "
                                "the likeliest token.", high=1e6, aliases=("--temperature",))
    top_k: int = option(0, "--top-k", "Draw from the K likeliest tokens; 0 is off.", high=MAX_COUNT)
    top_p: float = option(1.0, "--top-p", "Draw from the smallest set of tokens with this total probability; 1 is off.",
                          high=1)
    min_p: float = option(0.0, "--min-p", "Drop tokens less likely than this share of the likeliest; 0 is off.", high=1)
    repeat_penalty: float = option(1.0, "--repeat-penalty", "Penalise the last 64 tokens by this factor; 1 is off.",
                                   low=1e-6, high=1e6)

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class AdaptationSettings:
    """The settings with which a model learns while it reads; training finds those that suit the model."""

    head_rate: float = option(0.002, "head_rate", low=0, high=1)        # step of Adam
    head_pull: float = option(0.003, "head_pull", low=0, high=1)        # share of the way back to the first weights
    count_weight: float = option(0.1, "count_weight", low=0, high=1)    # of each order of contexts at the beginning
    concentration: float = option(3.0, "concentration", low=0.01, high=1000)    # counts that the head's opinion weighs
    mixing_rate: float = option(0.03, "mixing_rate", low=0, high=1)     # step of the weights of contexts

    def __post_init__(self) -> None:
        """Raise OptionError for a value out of its bounds."""
        check_options(self)

    @classmethod
    def from_json(cls, values: Any) -> AdaptationSettings:
        """Rebuild settings from plain values. Raises UsageError unless the keys are exactly the fields."""
        _require(isinstance(values, dict) and set(values) == {one.name for one in fields(cls)},
                 "adaptation has missing or unknown entries")
        return cls(**values)
