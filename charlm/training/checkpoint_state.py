"""A run as a checkpoint, and a checkpoint as a run that goes on.

    Trainer, TrainingState, facts of the run ─► Checkpoint ─► the same again, to the bit
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import torch

from charlm.checkpoint import Checkpoint
from charlm.config import TASKS, ModelConfig, TrainingConfig
from charlm.errors import CharlmError, ModelFileError, UsageError
from charlm.events import Validation
from charlm.text.labels import Labels
from charlm.text.tokenizers.base import Tokenizer
from charlm.text.tokenizers.registry import from_tensors, tensor_shapes
from charlm.training.loop import TrainingState
from charlm.training.options import AnyCorpus
from charlm.training.trainer import Trainer

_STORED = {torch.float32: np.float32, torch.int64: np.uint32, torch.bool: np.uint8}
_TEXTS = {"U32": np.dtype(np.uint32), "U8": np.dtype(np.uint8)}
_BEST = "best."                         # before the names of the best weights
_WRITES, _READS = "writes.", "reads."   # before the names of the tokenizers' tensors
_CHANGEABLE = ("steps", "learning_rate", "patience")
_FLAGS = {"cell": "--cell", "nonlinearity": "--nonlinearity", "num_layers": "--layers", "embedding_size": "--embedding",
          "hidden_size": "--hidden", "tied": "--tied", "encoder": "--encoder", "attention": "--attention",
          "vocabulary_size": "vocabulary", "source_vocabulary_size": "source vocabulary",
          "window": "--bptt", "batch_size": "--batch-size", "bptt": "--bptt", "optimizer": "--optimizer",
          "weight_decay": "--weight-decay", "warmup": "--warmup", "dropout": "--dropout", "clip": "--clip",
          "clip_value": "--clip-value", "label_smoothing": "--label-smoothing", "averaging": "--averaging",
          "seed": "--seed"}


@dataclass(frozen=True)
class Run:
    """What a run is, beside its corpus: what it was asked for, and where."""

    model: ModelConfig
    config: TrainingConfig
    task: str
    flags: dict                         # given by the user, by name
    corpus: dict                        # its facts
    environment: dict                   # what the bits depend on, see `environment`
    changes: tuple[dict, ...] = ()      # of flags, at resumptions
    minutes: float | None = None        # from which its steps are yet to be planned


@dataclass(frozen=True)
class Texts:
    """How a run reads its texts, whatever they hold by now."""

    tokenizer: Tokenizer
    separate_source: Tokenizer | None
    labels: Labels | None


def take(run: Run, texts: Texts, trainer: Trainer, standing: TrainingState) -> Checkpoint:
    """All that the run goes on from. `texts` may be its corpus."""
    best_weights = standing.best_weights or {}
    numbers = asdict(replace(standing, best_weights=None))      # which would be copied
    del numbers["best_weights"]
    tensors = {name: _stored(value) for name, value in trainer.tensors().items()}
    tensors |= {_BEST + name: _stored(value) for name, value in best_weights.items()}
    return Checkpoint({"model": run.model.to_json(), "config": asdict(run.config), "task": run.task,
                       "standing": numbers, "failures": trainer.failures, "flags": run.flags,
                       "corpus": run.corpus, "environment": run.environment,
                       "changes": list(run.changes), "minutes": run.minutes, "texts": _described_texts(texts)},
                      tensors | _tensors_of(texts))


def _described_texts(texts: Texts) -> dict:
    source = texts.separate_source
    return {"tokenizer": texts.tokenizer.kind, "source_tokenizer": source and source.kind,
            "labels": texts.labels and texts.labels.to_json()}


def _tensors_of(texts: Texts) -> dict[str, np.ndarray]:
    sides = {_WRITES: texts.tokenizer, _READS: texts.separate_source}
    return {side + name: values for side, tokenizer in sides.items() if tokenizer
            for name, values in tokenizer.tensors().items()}


def texts_of(checkpoint: Checkpoint) -> Texts:
    """How the run reads its texts. Raises ModelFileError for a checkpoint that does not say."""
    read = set()

    def tokenizer(side: str, kind: str) -> Tokenizer:
        tensors = {}
        for name, (dtype, dimensions) in tensor_shapes(kind).items():
            tensors[name] = values = checkpoint.tensors[side + name]
            if (values.dtype, values.ndim) != (_TEXTS[dtype], dimensions):
                raise ValueError(f"{name} has the wrong type or shape")
            read.add(side + name)
        return from_tensors(kind, tensors)

    try:
        facts = checkpoint.run["texts"]
        source, labels = facts["source_tokenizer"], facts["labels"]
        texts = Texts(tokenizer(_WRITES, facts["tokenizer"]), source and tokenizer(_READS, source),
                      None if labels is None else Labels.from_json(labels))
        if read != {name for name in checkpoint.tensors if name.startswith((_WRITES, _READS))}:
            raise ValueError("there are tensors of other tokenizers")
        return texts
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"the checkpoint does not say how its texts are read: {error}") from None


def _stored(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().contiguous().numpy().astype(_STORED[value.dtype])


def described(checkpoint: Checkpoint) -> Run:
    """The run of a checkpoint. Raises ModelFileError when it describes none."""
    facts = checkpoint.run
    try:
        check(facts)
        return Run(ModelConfig.from_json(facts["model"]), TrainingConfig(**facts["config"]), facts["task"],
                   facts["flags"], facts["corpus"], facts["environment"], tuple(facts["changes"]),
                   facts["minutes"])
    except (TypeError, ValueError, CharlmError) as error:
        raise ModelFileError(f"the checkpoint describes no run: {error}") from None


def go_on(checkpoint: Checkpoint, trainer: Trainer) -> TrainingState:
    """Put a new trainer of the same run where the checkpoint was taken. Raises ModelFileError."""
    try:
        check(checkpoint.run)
        numbers = dict(checkpoint.run["standing"])
        best = numbers.pop("best")
        tensors = {name: torch.from_numpy(values) for name, values in checkpoint.tensors.items()
                   if not name.startswith((_WRITES, _READS))}
        best_weights = {name.removeprefix(_BEST): tensors.pop(name)
                        for name in list(tensors) if name.startswith(_BEST)}
        trainer.restore(tensors)
        trainer.failures = checkpoint.run["failures"]
        its_own = {name: torch.from_numpy(_stored(value)) for name, value in trainer.tensors().items()}
        if _forms(tensors) != _forms(its_own):
            raise ValueError("its tensors are not those of its trainer")
        begun = checkpoint.run["standing"]["step"] > trainer.failures       # an update was applied
        if trainer.objective.stateful and bool(trainer.objective.tensors()) != begun:
            raise ValueError("what its lanes have read is missing, or comes too early")
        expected = trainer.network.config.parameter_shapes() if best else {}
        if _forms(best_weights) != {name: (shape, torch.float32) for name, shape in expected.items()}:
            raise ValueError("its best weights are not those of its network")
        return TrainingState(best=best and Validation(**best), best_weights=best_weights or None, **numbers)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelFileError(f"the checkpoint does not fit its own run: {error}") from None


def _forms(tensors: dict[str, torch.Tensor]) -> dict[str, tuple]:
    return {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()}


def going_on(saved: Run, model: ModelConfig, config: TrainingConfig, corpus: AnyCorpus) -> Run:
    """The saved run as it is now wished to go on: its length and rate may change.

    Raises UsageError for any other change, naming old and new.
    """
    changed = {**_changed(asdict(saved.model), asdict(model)), **_changed(asdict(saved.config), asdict(config))}
    fixed = {name: change for name, change in changed.items() if name not in _CHANGEABLE}
    if fixed:
        listed = ", ".join(f"{_FLAGS.get(name, name)} {old} → {new}" for name, (old, new) in fixed.items())
        raise UsageError(f"--resume goes on with the run as it is; changed: {listed}")
    return replace(saved, config=config, corpus=corpus.metadata())


def recorded(saved: Run, run: Run) -> Run:
    """The run that goes on from the saved one, with what it changes on record."""
    changed = _changed(asdict(saved.config), asdict(run.config))
    if saved.minutes is not None:
        changed.pop("steps", None)      # there were none yet
    if not changed:
        return run
    return replace(run, changes=(*saved.changes, {name: list(change) for name, change in changed.items()}))


def _changed(old: dict, new: dict) -> dict[str, tuple]:
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def wishes_of(run: Run) -> dict:
    """The wishes that make this run again, whatever the corpus would suggest."""
    model, config = run.model, run.config
    return {"task": run.task, "cell": model.cell, "nonlinearity": model.nonlinearity, "layers": model.num_layers,
            "hidden": model.hidden_size, "embedding": model.embedding_size, "tied": model.tied,
            "encoder": model.encoder, "attention": model.attention, "dropout": config.dropout,
            "label_smoothing": config.label_smoothing, "averaging": config.averaging,
            "optimizer": config.optimizer, "lr": config.learning_rate, "weight_decay": config.weight_decay,
            "warmup": config.warmup, "batch_size": config.batch_size, "bptt": config.bptt, "clip": config.clip,
            "clip_value": config.clip_value, "patience": config.patience, "seed": config.seed,
            **({"steps": config.steps} if run.minutes is None else {"minutes": run.minutes})}


PARTS = {"model", "config", "task", "standing", "failures", "flags", "corpus", "environment", "changes",
         "minutes", "texts"}
_TABLES = ("config", "standing", "flags", "corpus", "environment", "texts")
_STANDING = {"step", "best", "validations_since_best", "validated", "seconds"}
_MOST = 1 << 40                         # of anything that is counted
_MOST_THREADS = 1024


def check(facts: dict) -> None:
    """Raises ValueError for facts that no run has."""
    _require(set(facts) == PARTS, "parts are missing or unknown")
    _require(all(isinstance(facts[name], dict) for name in _TABLES), "parts are no tables")
    _require(set(facts["config"]) == _names(TrainingConfig), "flags are missing or unknown")
    _require(facts["task"] in TASKS, f"its task is none of {', '.join(TASKS)}")
    _require(_counted(facts["failures"]), "its failures are no number")
    _require(isinstance(facts["changes"], list) and all(isinstance(change, dict) for change in facts["changes"]),
             "its changes are no list of them")
    minutes = facts["minutes"]
    _require(minutes is None or _measured(minutes) and minutes > 0, "its minutes are none")
    _check_standing(facts["standing"])
    _check_flags(facts["flags"])
    _require(all(isinstance(value, (str, int)) for value in facts["environment"].values()), "its environment is none")
    _require(0 < facts["environment"].get("threads", 1) <= _MOST_THREADS, "nothing has so many threads")


def _check_standing(standing: dict) -> None:
    _require(set(standing) == _STANDING, "numbers of its standing are missing or unknown")
    _require(all(_counted(standing[name]) for name in ("step", "validations_since_best", "validated"))
             and standing["validated"] <= standing["step"] and _measured(standing["seconds"]),
             "numbers of its standing are none")
    best = standing["best"]
    if best is not None:
        _require(isinstance(best, dict) and set(best) == _names(Validation), "its best validation is none")
        rate = best["error_rate"]
        _require(_counted(best["step"]) and _measured(best["loss"]) and _measured(best["bits_per_character"])
                 and isinstance(best["best"], bool) and (rate is None or _measured(rate)),
                 "its best validation is none")


def _check_flags(flags: dict) -> None:
    """Of texts, which are read by them before anything else of the run is known."""
    _require(all(value is None or isinstance(value, (str, int, float)) for value in flags.values()),
             "flags are no values")
    _require(flags.get("errors", "strict") in ("strict", "replace", "ignore"), "its --errors is none")
    size, part = flags.get("vocab_size"), flags.get("validation")
    _require(size is None or _counted(size), "its --vocab-size is none")
    _require(part is None or isinstance(part, str) or _measured(part) and 0 < part < 1, "its --validation is none")


def _names(record: type) -> set[str]:
    return {field.name for field in fields(record)}


def _counted(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _measured(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _require(sound: bool, otherwise: str) -> None:
    if not sound:
        raise ValueError(otherwise)
