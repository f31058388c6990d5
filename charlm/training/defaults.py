"""The values that a corpus decides where the user gives none: sizes, regularisation, length of the run.

They follow from the corpus alone, never from the clock (as in speed.py), so that `--steps` repeats a run bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import UsageError
from charlm.registry import DEFAULTS, implementation
from charlm.tasks import TASKS, Task
from charlm.text.corpora import Corpus
from charlm.text.line_corpus import LineCorpus
from charlm.text.pair_corpus import PairCorpus
from charlm.text.special_tokens import vocabulary_sizes
from charlm.text.text_corpus import TextCorpus
from charlm.text.token_cache import TokenCache
from charlm.training.batches import LINE_BLUR, PAIR_BLUR, Batches
from charlm.training.options import TrainingOptions
from charlm.training.scaling import expected_text_loss, relative_cost, text_dropout, useful_passes

MAX_VALIDATIONS = 10
VALIDATION_SHARE = 0.25                 # tokens validated at most, over tokens trained on
MIN_STEPS = 150
TEXT_SIZES = (64, 128, 256, 384, 512)
SECONDS_AT_A_MILLION = 255.0            # of training on a text of a million tokens, on two ordinary cores
# Shorter texts take less time almost in proportion; for longer ones the time grows more slowly than the square root.
SHORT_POWER, LONG_POWER = 0.8, 0.37
TOKENS_PER_SECOND = {"bfloat16": 35_000, "float32": 20_000}     # of hidden size 256 on two ordinary cores
MIN_LAW_TOKENS = 50_000                 # the law was not measured on shorter texts
SHORT_TEXT_PASSES, SHORT_TEXT_DROPOUT = 20, 0.3
FILL_TOKENS_AT_A_MILLION = 5e6          # training tokens for gaps in a text of a million: five passes
MIN_FILL_TOKENS = 150_000
MAX_FILL_PASSES = 30
MIN_EXAMPLES = 50                       # fewer lines or pairs teach nothing that holds for others
MIN_CHARACTERS = 1000
PAIRS_SEEN_AT_8000 = 240_000            # training pairs for a lexicon of 8,000: thirty passes
MIN_PAIRS_SEEN = 20_000
LINE_TOKENS_AT_A_MILLION = 6e6          # training tokens for lines of a million in all: six passes
MAX_LINE_PASSES = 10                    # more of them made short lists worse


@dataclass(frozen=True)
class Length:
    """The length of a run: its default number of steps, and the steps in one epoch."""

    steps: int
    steps_per_epoch: float


@dataclass(frozen=True)
class Defaults:
    """The defaults for a corpus: sizes, regularisation, and the length of the run."""

    hidden_size: int
    batch_size: int                     # lanes of text, lines or pairs
    dropout: float
    weight_decay: float
    label_smoothing: float = 0.0
    length: Callable[[TrainingConfig], Length] = lambda run: Length(run.steps, 1)
    fit: Callable[[TrainingConfig], TrainingConfig] = lambda run: run   # to a corpus too small for its window


def resolve(task: str, options: TrainingOptions, corpus: Corpus) -> tuple[ModelConfig, TrainingConfig]:
    """Return the architecture and the run. With `minutes` the steps are provisional until the speed is known."""
    defaults: Defaults = implementation(DEFAULTS, task)(corpus, options)
    run = defaults.fit(_training_config(options, defaults))
    length = defaults.length(run)
    steps = options.steps or length.steps
    if options.epochs is not None:
        steps = max(int(options.epochs * length.steps_per_epoch), 1)
    sizes = vocabulary_sizes(task, corpus.tokenizer, corpus.source_tokenizer)
    model = _model_config(TASKS[task], options, sizes, hidden_size=defaults.hidden_size, bptt=run.bptt,
                          labels=len(corpus.labels or ()))
    return model, replace(run, steps=steps)


def warning(corpus: Corpus) -> str:
    """Return a message about a corpus from which a network learns next to nothing; an empty string for others."""
    if isinstance(corpus, TextCorpus):
        found, unit, enough = len(corpus.train), "tokens", MIN_CHARACTERS
    else:
        found, enough = len(corpus.lengths), MIN_EXAMPLES
        unit = "lines" if isinstance(corpus, LineCorpus) else "pairs"
    if found >= enough:
        return ""
    return f"{found:,} {unit} to learn from are too few for a useful model; give at least {enough:,}, better many more"


def check_early(task: str, options: TrainingOptions) -> None:
    """Raise UsageError for options that no corpus could make valid, before a long one is read."""
    sizes = Defaults(hidden_size=options.embedding_size or 8, batch_size=8, dropout=0.0, weight_decay=0.0)
    bptt = _training_config(options, sizes).bptt
    _model_config(TASKS[task], options, (2, 2), hidden_size=sizes.hidden_size if options.tied else 8, bptt=bptt)


def _training_config(options: TrainingOptions, defaults: Defaults) -> TrainingConfig:
    names = {field.name for field in fields(TrainingConfig)}
    automatic = {name: value for name, value in vars(defaults).items() if name in names}
    if options.minutes is not None:     # planned to its end, where the rate is zero: stopping early wastes it
        automatic["patience"] = 0
    return TrainingConfig(**{"steps": 1, **automatic,
                             **{name: value for name, value in options.given.items() if name in names}})


def _model_config(task: Task, options: TrainingOptions, sizes: tuple[int, int], *, hidden_size: int, bptt: int,
                  labels: int = 0) -> ModelConfig:
    """Build the architecture over the decoder's and the encoder's vocabulary sizes."""
    names = {field.name for field in fields(ModelConfig)}
    given = {name: value for name, value in options.given.items() if name in names}
    encoder = given.get("encoder", task.default_encoder)
    if encoder != "shared" and not (task.reads_source or task.reads_windows):
        raise UsageError(f"--encoder {encoder} has nothing to read: a line begins with nothing before it")
    has_source = task.reads_source or encoder != "shared"
    automatic = {"hidden_size": hidden_size, "encoder": encoder, "attention": has_source}
    if options.tied:
        automatic["embedding_size"] = given.get("hidden_size", hidden_size)
    return ModelConfig(sizes[0], source_vocabulary_size=sizes[1] if has_source else 0, labels=labels,
                       window=bptt if task.reads_windows and has_source else 0, **{**automatic, **given})


def text_lanes(tokens: int) -> int:
    """Return the lanes for running text of this many training tokens: short texts need steps more than speed."""
    return 8 if tokens < 20_000 else 16 if tokens < 100_000 else 32 if tokens < 20_000_000 else 64


def text_plan(tokens: int, precision: str) -> tuple[int, float]:
    """Return the hidden size and the passes with the least expected loss in the time that such a text deserves."""
    if tokens < MIN_LAW_TOKENS:
        return (64 if tokens < 5000 else 128), SHORT_TEXT_PASSES
    size = tokens / 1e6
    seconds = SECONDS_AT_A_MILLION * size ** (SHORT_POWER if size < 1 else LONG_POWER)
    widest = seconds * TOKENS_PER_SECOND[precision] / tokens * relative_cost(256)
    plans = [(hidden, min(widest / relative_cost(hidden), useful_passes(tokens, hidden))) for hidden in TEXT_SIZES]
    return min(plans, key=lambda plan: expected_text_loss(1.0, tokens, *plan))


def text_defaults(corpus: TextCorpus, options: TrainingOptions) -> Defaults:
    """Return the defaults for running text. The dropout follows from the width and the length that the user gives."""
    tokens = len(corpus.train)
    hidden_size, passes = text_plan(tokens, options.precision if options.precision == "bfloat16" else "float32")

    def length(run: TrainingConfig) -> Length:
        steps_per_epoch = tokens / (run.batch_size * run.bptt)
        return Length(max(round(passes * steps_per_epoch), MIN_STEPS), steps_per_epoch)

    def fit(run: TrainingConfig) -> TrainingConfig:
        run = fit_window(corpus.train, run)
        if options.dropout is not None or tokens < MIN_LAW_TOKENS:
            return run
        read = options.epochs or (options.steps or length(run).steps) / length(run).steps_per_epoch
        return replace(run, dropout=text_dropout(tokens, options.hidden_size or hidden_size, read))

    return Defaults(hidden_size, text_lanes(tokens), SHORT_TEXT_DROPOUT, 0.1, length=length, fit=fit)


def fill_sizes(tokens: int) -> Defaults:
    """Return width, lanes and regularisation for gaps in a text of this many training tokens."""
    if tokens < 20_000:
        return Defaults(64, 8, 0.1, 0.1)
    if tokens < 100_000:
        return Defaults(128, 16, 0.3, 0.1)
    if tokens < 400_000:
        return Defaults(256, 16, 0.4, 0.1)
    return Defaults(256, 32, 0.15, 0.1) if tokens < 20_000_000 else Defaults(512, 64, 0.0, 0.0)


def fill_steps(tokens: int, window: int) -> int:
    """Return the steps of five passes over a million tokens; for others, tokens read grow with the square root."""
    wanted = max(FILL_TOKENS_AT_A_MILLION * (tokens / 1e6) ** 0.5, MIN_FILL_TOKENS)
    return max(round(min(wanted, MAX_FILL_PASSES * tokens) / window), MIN_STEPS)


def fill_defaults(corpus: TextCorpus, _: TrainingOptions) -> Defaults:
    """Return the defaults for filling gaps in running text, which the law says nothing about."""
    tokens = len(corpus.train)

    def length(run: TrainingConfig) -> Length:
        window = run.batch_size * run.bptt
        return Length(fill_steps(tokens, window), tokens / window)

    return replace(fill_sizes(tokens), length=length, fit=lambda run: fit_window(corpus.train, run))


def fit_window(train: TokenCache, run: TrainingConfig) -> TrainingConfig:
    """Return the run with windows no longer, and no more lanes, than the corpus can fill."""
    bptt = min(run.bptt, len(train) - 1)
    return replace(run, bptt=bptt, batch_size=max(1, min(run.batch_size, len(train) // bptt)))


def line_sizes(tokens: int) -> Defaults:
    """Return width, batch and regularisation for lines of this many training tokens in all."""
    if tokens < 20_000:
        return Defaults(64, 16, 0.3, 0.1)
    if tokens < 500_000:
        return Defaults(128 if tokens < 100_000 else 192, 64, 0.3 if tokens < 150_000 else 0.2, 0.1)
    return Defaults(256, 64, 0.15 if tokens < 20_000_000 else 0.0, 0.1)


def line_steps(tokens: int, steps_per_epoch: int) -> int:
    """Return the steps of six passes over a million tokens; tokens read grow with the square root, from 360,000 on."""
    wanted = min(LINE_TOKENS_AT_A_MILLION * (tokens / 1e6) ** 0.5, MAX_LINE_PASSES * tokens)
    return max(round(wanted / tokens * steps_per_epoch), MIN_STEPS)


def line_defaults(corpus: LineCorpus, _: TrainingOptions) -> Defaults:
    """Return the defaults for lines, labelled or not."""
    tokens = int(corpus.lengths.sum())

    def length(run: TrainingConfig) -> Length:
        steps_per_epoch = _batches_per_epoch(corpus, run)
        return Length(line_steps(tokens, steps_per_epoch), steps_per_epoch)

    return replace(line_sizes(tokens), length=length)


def pair_sizes(pairs: int, tokens: int) -> Defaults:
    """Return width, batch and regularisation for training pairs with this many tokens on both sides."""
    hidden_size = 64 if tokens < 10_000 else 128 if tokens < 2_000_000 else 256
    return Defaults(hidden_size, 16 if pairs < 2_000 else 64, 0.3, 0.1, 0.1)


def pair_steps(pairs: int, batch_size: int) -> int:
    """Return the steps of thirty passes over 8,000 pairs; for others, pairs seen grow with the square root."""
    wanted = max(PAIRS_SEEN_AT_8000 * (pairs / 8000) ** 0.5, MIN_PAIRS_SEEN)
    return max(round(wanted / batch_size), MIN_STEPS)


def pair_defaults(corpus: PairCorpus, _: TrainingOptions) -> Defaults:
    """Return the defaults for pairs."""
    pairs = len(corpus.sources)
    return replace(pair_sizes(pairs, int(corpus.lengths.sum())),
                   length=lambda run: Length(pair_steps(pairs, run.batch_size), _batches_per_epoch(corpus, run)))


def _batches_per_epoch(corpus: LineCorpus | PairCorpus, run: TrainingConfig) -> int:
    blur = LINE_BLUR if isinstance(corpus, LineCorpus) else PAIR_BLUR
    return Batches(corpus.lengths, batch_size=run.batch_size, seed=run.seed, blur=blur).in_first_epoch


def validation_interval(steps: int, window: float, held_out: float) -> int:
    """Return the steps between validations: ten in a run, fewer where they would outweigh the training."""
    # A step trains on `window` tokens, and a validation costs as much as `held_out` of them.
    count = int(VALIDATION_SHARE * steps * window / held_out)
    return -(-steps // min(max(count, 1), MAX_VALIDATIONS, steps))
