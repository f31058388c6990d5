"""A run as a checkpoint records it: what was asked for and how far it came; no weights, and no torch.

A checksum detects damage, not intent, so every value of a checkpoint is checked before it is used.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from charlm.checkpoint import Checkpoint
from charlm.config import CorpusConfig, ModelConfig, TrainingConfig, options_of
from charlm.errors import CharlmError, ModelFileError, UsageError
from charlm.events import Validation
from charlm.history import SERIES, History
from charlm.inference.scoring import perplexity
from charlm.modelfile import Model, forms_of, rebuild
from charlm.provenance import Provenance
from charlm.tasks import TASKS
from charlm.text.corpora import Corpus

MODEL = "model."                        # prefix of the names of the model's tensors in a checkpoint
_CHANGEABLE = ("steps", "replan", "learning_rate", "patience", "accumulate")
# The values of options that older checkpoints lack.
_OLD_READING = {"keep_blank": True, "csv_column": None, "json_field": None, "remember": None}
_OLD_CONFIG = {"accumulate": 1}
_RUN = {"config", "task", "reading", "state", "failures", "environment", "changes", "minutes", "provenance"}
_STATE = {"step", "best", "validations_since_best", "validated", "seconds", "loss_sum", "losses", "history"}
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
    provenance: Provenance = Provenance()

    def summary(self, validation: Validation | None) -> dict[str, Any]:
        """Return the training metadata of its model; equal runs give equal summaries."""
        score: dict[str, Any] = {} if validation is None else {
            "step": validation.step, "nats_per_token": validation.loss,
            "bits_per_character": validation.bits_per_character, "perplexity": perplexity(validation.loss)}
        if validation is not None and validation.error_rate is not None:
            score["word_error_rate"] = validation.error_rate
        changes = {"changes": list(self.changes)} if self.changes else {}
        config = self.config if validation is None else self.config.at(validation.step)
        return {**score, **self.corpus, **asdict(config), **changes}


def make_model(run: Run, corpus: Corpus, weights: dict[str, np.ndarray], validation: Validation | None, *,
               history: History | None = None, seconds: float = 0.0) -> Model:
    """Return the model that a run makes of its corpus; `seconds` of training are left out if it records no times."""
    provenance = run.provenance
    if provenance.seconds is not None:
        provenance = replace(provenance, seconds=round(seconds, 1))
    elif history is not None:
        history = history.without_seconds()
    return Model(run.model, corpus.tokenizer, weights, run.summary(validation), run.task, corpus.separate_source,
                 corpus.labels, corpus.line_hashes, history, provenance, remembered=corpus.remembered)


def parse_model(checkpoint: Checkpoint) -> Model:
    """Return the model of a checkpoint, with its weights as they are now. Raises ModelFileError."""
    tensors = {name.removeprefix(MODEL): values for name, values in checkpoint.tensors.items()
               if name.startswith(MODEL)}
    try:
        return rebuild(checkpoint.model, forms_of(tensors), tensors.__getitem__)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"the checkpoint holds no model: {error}") from None


def parse_run(checkpoint: Checkpoint) -> Run:
    """Return the run of a checkpoint. Raises ModelFileError if it describes none."""
    run = checkpoint.run
    try:
        check(run)
        model = parse_model(checkpoint)
        require(model.task == run["task"], "its task is not its model's")
        return Run(model.config, TrainingConfig(**_OLD_CONFIG | run["config"]), model.task,
                   CorpusConfig(**_OLD_READING | run["reading"]),
                   {"corpus_digest": model.training.get("corpus_digest")}, run["environment"], tuple(run["changes"]),
                   run["minutes"], Provenance.from_json(run["provenance"]))
    except (TypeError, ValueError, CharlmError) as error:
        raise ModelFileError(f"the checkpoint describes no run: {error}") from None


def resume_run(saved: Run, model: ModelConfig, config: TrainingConfig, corpus: Corpus) -> Run:
    """Return the saved run with a new length, rate, patience or accumulation. Raises UsageError for other changes."""
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


def check(run: dict[str, Any]) -> None:
    """Check the run's metadata. Raises ValueError for values that no run has."""
    require(set(run) == _RUN, "parts are missing or unknown")
    require(all(isinstance(run[name], dict) for name in ("config", "reading", "state", "environment")),
             "its parts are not tables")
    require({*_OLD_CONFIG, *run["config"]} == _names(TrainingConfig), "options are missing or unknown")
    require({*_OLD_READING, *run["reading"]} == _names(CorpusConfig), "options of its corpus are missing or unknown")
    require(isinstance(run["task"], str) and run["task"] in TASKS, f"its task is not one of {', '.join(TASKS)}")
    require(_is_count(run["failures"]), "its number of failures is invalid")
    require(isinstance(run["changes"], list) and all(isinstance(change, dict) for change in run["changes"]),
             "its list of changes is invalid")
    require(run["minutes"] is None or _is_measure(run["minutes"]) and run["minutes"] > 0, "its minutes are invalid")
    _check_state(run["state"])
    threads = run["environment"].get("threads", 1)
    require(all(isinstance(value, (str, int)) for value in run["environment"].values())
             and isinstance(threads, int) and 0 < threads <= _MAX_THREADS, "its environment is invalid")


def _check_state(state: dict[str, Any]) -> None:
    require(set(state) == _STATE, "numbers of its state are missing or unknown")
    require(all(_is_count(state[name]) for name in ("step", "validations_since_best", "validated", "losses"))
             and state["validated"] + state["losses"] <= state["step"]
             and all(_is_measure(state[name]) for name in ("seconds", "loss_sum")),
             "numbers of its state are invalid")
    counts = state["history"]
    # Checkpoints of earlier versions have no gradient norms of layers.
    require(isinstance(counts, dict) and {*counts, "layers"} == set(SERIES) and all(map(_is_count, counts.values())),
            "counts of its history are invalid")
    best = state["best"]
    require(best is None or isinstance(best, dict) and set(best) == _names(Validation) and _is_count(best["step"])
             and _is_measure(best["loss"]) and _is_measure(best["bits_per_character"])
             and all(best[name] is None or _is_measure(best[name]) for name in ("error_rate", "train_loss"))
             and isinstance(best["best"], bool),
             "its best validation is invalid")


def _names(record: type) -> set[str]:
    return {field.name for field in fields(record)}


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MAX_COUNT


def _is_measure(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def require(condition: bool, otherwise: str) -> None:
    """Raise ValueError with this message unless the condition holds."""
    if not condition:
        raise ValueError(otherwise)
