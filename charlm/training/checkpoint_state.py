"""A run as a checkpoint, and a checkpoint as a run that resumes.

    Run, corpus, Trainer, TrainingState ─► Checkpoint ─► the same again, to the bit

A checksum detects damage, not intent, so every value of a checkpoint is checked before it is used.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from charlm.checkpoint import Checkpoint
from charlm.config import CorpusConfig, ModelConfig, TrainingConfig, options_of
from charlm.errors import CharlmError, ModelFileError, UsageError
from charlm.events import Validation
from charlm.inference.scoring import perplexity
from charlm.modelfile import Model, describe, forms_of, rebuild
from charlm.tasks import TASKS
from charlm.text.corpora import Corpus
from charlm.training.loop import TrainingState
from charlm.training.trainer import Trainer

_STORED = {torch.float32: np.float32, torch.int64: np.uint32, torch.bool: np.uint8}
_MODEL, _BEST, _WEIGHTS = "model.", "best.", "weights."         # prefixes of tensor names
_CHANGEABLE = ("steps", "learning_rate", "patience")
_RUN = {"config", "task", "reading", "state", "failures", "environment", "changes", "minutes"}
_STATE = {"step", "best", "validations_since_best", "validated", "seconds"}
_MAX_COUNT, _MAX_THREADS = 1 << 40, 1024


@dataclass(frozen=True)
class Run:
    """A run, apart from its corpus: what was asked for, and where it runs."""

    model: ModelConfig
    config: TrainingConfig
    task: str
    reading: CorpusConfig               # how its corpus is read
    corpus: dict[str, Any]              # the corpus's metadata; of a saved run only its digest
    environment: dict[str, Any]         # what the bits depend on, see environment.py
    changes: tuple[dict[str, Any], ...] = ()        # of options, when it was resumed
    minutes: float | None = None        # from which its steps are yet to be planned

    def summary(self, validation: Validation | None) -> dict[str, Any]:
        """Return the training metadata of its model; equal runs give equal summaries."""
        score: dict[str, Any] = {} if validation is None else {
            "step": validation.step, "nats_per_token": validation.loss,
            "bits_per_character": validation.bits_per_character, "perplexity": perplexity(validation.loss)}
        if validation is not None and validation.error_rate is not None:
            score["word_error_rate"] = validation.error_rate
        changes = {"changes": list(self.changes)} if self.changes else {}
        return {**score, **self.corpus, **asdict(self.config), **changes}


def make_model(run: Run, corpus: Corpus, weights: dict[str, np.ndarray], validation: Validation | None) -> Model:
    """Return the model that a run makes of its corpus."""
    return Model(run.model, corpus.tokenizer, weights, run.summary(validation), run.task, corpus.separate_source,
                 corpus.labels, corpus.line_hashes)


def snapshot(run: Run, corpus: Corpus, trainer: Trainer, state: TrainingState) -> Checkpoint:
    """Return all that the run resumes from; its tensors are the trainer's own where that is possible."""
    progress = {field.name: getattr(state, field.name) for field in fields(state) if field.name != "best_weights"}
    progress["best"] = state.best and asdict(state.best)
    tensors = {name: _stored(value) for name, value in trainer.tensors().items()}
    weights = {name: tensors.pop(_WEIGHTS + name) for name in run.model.parameter_shapes()}
    model, model_tensors = describe(make_model(run, corpus, weights, state.best))
    tensors |= {_BEST + name: _stored(value) for name, value in (state.best_weights or {}).items()}
    tensors |= {_MODEL + name: values for name, values in model_tensors.items()}
    return Checkpoint(model, {"config": asdict(run.config), "task": run.task, "reading": asdict(run.reading),
                              "state": progress, "failures": trainer.failures, "environment": run.environment,
                              "changes": list(run.changes), "minutes": run.minutes}, tensors)


def _stored(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().contiguous().numpy().astype(_STORED[value.dtype], copy=False)


def parse_model(checkpoint: Checkpoint) -> Model:
    """Return the model of a checkpoint, with its weights as they are now. Raises ModelFileError."""
    tensors = {name.removeprefix(_MODEL): values for name, values in checkpoint.tensors.items()
               if name.startswith(_MODEL)}
    try:
        return rebuild(checkpoint.model, forms_of(tensors), tensors.__getitem__)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"the checkpoint holds no model: {error}") from None


def parse_run(checkpoint: Checkpoint) -> Run:
    """Return the run of a checkpoint. Raises ModelFileError if it describes none."""
    run = checkpoint.run
    try:
        _check(run)
        model = parse_model(checkpoint)
        _require(model.task == run["task"], "its task is not its model's")
        return Run(model.config, TrainingConfig(**run["config"]), model.task, CorpusConfig(**run["reading"]),
                   {"corpus_digest": model.training.get("corpus_digest")}, run["environment"], tuple(run["changes"]),
                   run["minutes"])
    except (TypeError, ValueError, CharlmError) as error:
        raise ModelFileError(f"the checkpoint describes no run: {error}") from None


def restore(checkpoint: Checkpoint, trainer: Trainer) -> TrainingState:
    """Put a new trainer of the same run where the snapshot was made. Raises ModelFileError."""
    try:
        _check(checkpoint.run)
        progress = dict(checkpoint.run["state"])
        best = progress.pop("best")
        shapes = trainer.network.config.parameter_shapes()
        tensors = {name: torch.from_numpy(values) for name, values in checkpoint.tensors.items()
                   if not name.startswith(_MODEL)}
        tensors |= {_WEIGHTS + name: torch.from_numpy(checkpoint.tensors[_MODEL + name]) for name in shapes}
        best_weights = {name.removeprefix(_BEST): tensors.pop(name) for name in list(tensors) if name.startswith(_BEST)}
        trainer.restore(tensors)
        trainer.failures = checkpoint.run["failures"]
        expected = {name: torch.from_numpy(_stored(value)) for name, value in trainer.tensors().items()}
        _require(_forms(tensors) == _forms(expected), "its tensors are not those of its trainer")
        applied = progress["step"] > trainer.failures       # whether any update was applied
        _require(not trainer.objective.stateful or bool(trainer.objective.tensors()) == applied,
                 "the state of its lanes is missing, or comes too early")
        _require(_forms(best_weights) == {name: (shape, torch.float32) for name, shape in shapes.items() if best},
                 "its best weights are not those of its network")
        return TrainingState(best=best and Validation(**best), best_weights=best_weights or None, **progress)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelFileError(f"the checkpoint does not fit its own run: {error}") from None


def _forms(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    return {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()}


def resume_run(saved: Run, model: ModelConfig, config: TrainingConfig, corpus: Corpus) -> Run:
    """Return the saved run with its new length, learning rate and patience. Raises UsageError for other changes."""
    changed = {**_changed(asdict(saved.model), asdict(model)), **_changed(asdict(saved.config), asdict(config))}
    fixed = {name: change for name, change in changed.items() if name not in _CHANGEABLE}
    if fixed:
        flags = {field.name: its.flag for part in (TrainingConfig, ModelConfig) for field, its in options_of(part)}
        listed = ", ".join(f"{flags[name]} {old} → {new}" for name, (old, new) in fixed.items())
        raise UsageError(f"--resume continues the run as it is; changed: {listed}")
    return replace(saved, config=config, corpus=corpus.metadata())


def with_changes(saved: Run, run: Run) -> Run:
    """Return the resumed run with its changes to the saved one recorded."""
    changed = _changed(asdict(saved.config), asdict(run.config))
    if saved.minutes is not None:
        changed.pop("steps", None)      # they were not planned yet
    recorded = {name: list(change) for name, change in changed.items()}
    return replace(run, changes=(*saved.changes, recorded)) if recorded else run


def _changed(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def _check(run: dict[str, Any]) -> None:
    """Check the run's metadata. Raises ValueError for values that no run has."""
    _require(set(run) == _RUN, "parts are missing or unknown")
    _require(all(isinstance(run[name], dict) for name in ("config", "reading", "state", "environment")),
             "its parts are not tables")
    _require(set(run["config"]) == _names(TrainingConfig), "options are missing or unknown")
    _require(set(run["reading"]) == _names(CorpusConfig), "options of its corpus are missing or unknown")
    _require(isinstance(run["task"], str) and run["task"] in TASKS, f"its task is not one of {', '.join(TASKS)}")
    _require(_is_count(run["failures"]), "its number of failures is invalid")
    _require(isinstance(run["changes"], list) and all(isinstance(change, dict) for change in run["changes"]),
             "its list of changes is invalid")
    _require(run["minutes"] is None or _is_measure(run["minutes"]) and run["minutes"] > 0, "its minutes are invalid")
    _check_state(run["state"])
    threads = run["environment"].get("threads", 1)
    _require(all(isinstance(value, (str, int)) for value in run["environment"].values())
             and isinstance(threads, int) and 0 < threads <= _MAX_THREADS, "its environment is invalid")


def _check_state(state: dict[str, Any]) -> None:
    _require(set(state) == _STATE, "numbers of its state are missing or unknown")
    _require(all(_is_count(state[name]) for name in ("step", "validations_since_best", "validated"))
             and state["validated"] <= state["step"] and _is_measure(state["seconds"]),
             "numbers of its state are invalid")
    best = state["best"]
    _require(best is None or isinstance(best, dict) and set(best) == _names(Validation) and _is_count(best["step"])
             and _is_measure(best["loss"]) and _is_measure(best["bits_per_character"])
             and (best["error_rate"] is None or _is_measure(best["error_rate"])) and isinstance(best["best"], bool),
             "its best validation is invalid")


def _names(record: type) -> set[str]:
    return {field.name for field in fields(record)}


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MAX_COUNT


def _is_measure(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
