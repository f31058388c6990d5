"""The starting point of a run, and what it decides: from scratch, its own checkpoint, or a model's weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from charlm.checkpoint import Checkpoint
from charlm.config import CorpusConfig, ModelConfig, TrainingConfig, options_of
from charlm.errors import UsageError
from charlm.modelfile import Model, load
from charlm.text.corpora import AnyTokenizer
from charlm.text.labels import Labels
from charlm.text.tokenizers.registry import Extendable
from charlm.training.options import TrainingOptions
from charlm.training.run import Run, parse_model, parse_run

_LENGTHS = ("steps", "epochs", "minutes")


@dataclass(frozen=True)
class StartingPoint:
    """A checkpoint, a model or nothing, and the options that it decides."""

    task: str | None = None
    reading: dict[str, Any] = field(default_factory=dict)       # fields of CorpusConfig that may not be changed
    options: dict[str, Any] = field(default_factory=dict)       # fields of TrainingOptions
    tokenizer: AnyTokenizer | None = None
    source_tokenizer: AnyTokenizer | None = None                # where the source has its own
    labels: Labels | None = None
    reason: str = ""                    # why a change is refused
    initial: Model | None = None        # the model whose weights are the first ones
    checkpoint: Checkpoint | None = None
    run: Run | None = None              # the checkpoint's

    @classmethod
    def from_scratch(cls) -> StartingPoint:
        """Start with random weights and no decisions made."""
        return cls()

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> StartingPoint:
        """Resume the run of a checkpoint. Raises ModelFileError."""
        run, model = parse_run(checkpoint), parse_model(checkpoint)
        reading = {**asdict(run.reading), **_kinds(model)}
        return cls(run.task, reading, _options_of(run), model.tokenizer, model.separate_source, model.labels,
                   "--resume continues the run as it is", checkpoint=checkpoint, run=run)

    @classmethod
    def from_model(cls, path: str, model: Model | None = None) -> StartingPoint:
        """Start a new run with the weights, network and vocabulary of a model, loaded unless it is given.

        Raises ModelFileError.
        """
        model = model or load(path)
        source = None if model.separate_source is None else Extendable(model.separate_source)
        options = {name: getattr(model.config, name) for name in _flags(ModelConfig)}
        if model.config.window:
            options["bptt"] = model.config.window
        return cls(model.task, {**_kinds(model), "vocabulary_size": None}, options, Extendable(model.tokenizer), source,
                   model.labels, f"--init-from continues with the task and the tokens of {path}", model)

    def check_task(self, task: str | None) -> None:
        """Raise UsageError if `task` contradicts the task of the checkpoint or model."""
        if self.task is not None and task not in (None, self.task):
            raise UsageError(f"{self.reason}; changed: --{self.task} → --{task}")

    def corpus_config(self, given: CorpusConfig, *, new_corpus: bool = False) -> CorpusConfig:
        """Return how the corpus is read: as decided here, otherwise as given. Raises UsageError for a change."""
        changed = []
        for one, its in options_of(CorpusConfig):
            new = getattr(given, one.name)
            if new is None or one.name not in self.reading:
                continue
            old = self.reading[one.name]
            if old is None and its.automatic in its.choices:
                old = its.automatic
            # A held-out text may have moved: the digest of its contents is compared later.
            moved = one.name == "validation" and (new_corpus or _is_path(old) and _is_path(new))
            if old != new and not moved:
                changed.append(f"{its.flag} {old} → {new}")
        if changed:
            raise UsageError(f"{self.reason}; changed: {', '.join(changed)}")
        if self.run is None:
            return given
        return replace(self.run.reading, **{name: value for name, value in asdict(given).items() if value is not None})

    def training_options(self, given: TrainingOptions) -> TrainingOptions:
        """Return the run's options: those given override those decided here; any given length replaces all of them."""
        replaced = () if given.given.keys().isdisjoint(_LENGTHS) else (*_LENGTHS, "replan")
        decided = {name: value for name, value in self.options.items() if name not in replaced}
        return TrainingOptions(**{**decided, **given.given})


def _is_path(validation: Any) -> bool:
    return isinstance(CorpusConfig(validation=validation).held_out, str)


def _flags(config: type) -> list[str]:
    """Return the names of the fields of a configuration that TrainingOptions has, too."""
    known = {one.name for one in fields(TrainingOptions)}
    return [one.name for one in fields(config) if one.name in known]


def _kinds(model: Model) -> dict[str, Any]:
    """Return the tokenizer options that read a corpus like this model's."""
    source = model.separate_source
    return {"tokenizer": model.tokenizer.kind, **({} if source is None else {"source_tokenizer": source.kind})}


def _options_of(run: Run) -> dict[str, Any]:
    """Return options that reproduce this run, regardless of the defaults its corpus would suggest."""
    values = {name: getattr(part, name) for part, config in ((run.model, ModelConfig), (run.config, TrainingConfig))
              for name in _flags(config)}
    if run.minutes is not None:
        del values["steps"]
        values["minutes"] = run.minutes
    return values
