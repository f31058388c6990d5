"""A checkpoint of a running training, and the training that resumes from it.

    Run, corpus, Trainer, TrainingState ─► Checkpoint ─► the same again, to the bit
"""

from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np
import torch

from charlm.checkpoint import Checkpoint
from charlm.errors import ModelFileError
from charlm.events import Validation
from charlm.history import PREFIX, History, Recorder, check_forms, forms_among
from charlm.modelfile import describe, forms_of
from charlm.text.corpora import Corpus
from charlm.training.loop import TrainingState
from charlm.training.run import MODEL, Run, check, make_model, require
from charlm.training.trainer import Trainer

_STORED = {torch.float32: np.float32, torch.int64: np.uint32, torch.bool: np.uint8}
_BEST, _WEIGHTS = "best.", "weights."   # prefixes of tensor names


def snapshot(run: Run, corpus: Corpus, trainer: Trainer, state: TrainingState) -> Checkpoint:
    """Return all that the run resumes from; its tensors are the trainer's own where that is possible."""
    progress = {field.name: getattr(state, field.name) for field in fields(state) if field.name != "best_weights"}
    progress |= {"best": state.best and asdict(state.best), "history": state.history.counts()}
    tensors = {name: _stored(value) for name, value in trainer.tensors().items()}
    weights = {name: tensors.pop(_WEIGHTS + name) for name in run.model.parameter_shapes()}
    model, model_tensors = describe(make_model(run, corpus, weights, state.best))
    tensors |= {_BEST + name: _stored(value) for name, value in (state.best_weights or {}).items()}
    tensors |= {MODEL + name: values for name, values in model_tensors.items()}
    tensors |= state.history.history().tensors()
    return Checkpoint(model, {"config": asdict(run.config), "task": run.task, "reading": asdict(run.reading),
                              "state": progress, "failures": trainer.failures, "environment": run.environment,
                              "changes": list(run.changes), "minutes": run.minutes,
                              "provenance": run.provenance.to_json()}, tensors)


def _stored(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().contiguous().numpy().astype(_STORED[value.dtype], copy=False)


def restore(checkpoint: Checkpoint, trainer: Trainer) -> TrainingState:
    """Put a new trainer of the same run where the snapshot was made. Raises ModelFileError."""
    try:
        check(checkpoint.run)
        progress = dict(checkpoint.run["state"])
        best = progress.pop("best")
        history = _restore_history(checkpoint, progress.pop("history"))
        require(history.layer_names in ((), tuple(trainer.layer_names)), "its history is about other layers")
        shapes = trainer.network.config.parameter_shapes()
        tensors = {name: torch.from_numpy(values) for name, values in checkpoint.tensors.items()
                   if not name.startswith((MODEL, PREFIX))}
        tensors |= {_WEIGHTS + name: torch.from_numpy(checkpoint.tensors[MODEL + name]) for name in shapes}
        best_weights = {name.removeprefix(_BEST): tensors.pop(name) for name in list(tensors) if name.startswith(_BEST)}
        trainer.restore(tensors)
        trainer.failures = checkpoint.run["failures"]
        expected = {name: torch.from_numpy(_stored(value)) for name, value in trainer.tensors().items()}
        require(_forms(tensors) == _forms(expected), "its tensors are not those of its trainer")
        applied = progress["step"] > trainer.failures       # whether any update was applied
        require(not trainer.objective.stateful or (trainer.objective.state is not None) == applied,
                 "the state of its lanes is missing, or comes too early")
        require(_forms(best_weights) == {name: (shape, torch.float32) for name, shape in shapes.items() if best},
                 "its best weights are not those of its network")
        return TrainingState(best=best and Validation(**best), best_weights=best_weights or None, history=history,
                             **progress)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, ModelFileError) as error:
        raise ModelFileError(f"the checkpoint does not fit its own run: {error}") from None


def _restore_history(checkpoint: Checkpoint, counts: dict[str, int]) -> Recorder:
    """Return the recorder of the history in a checkpoint. Raises ValueError or ModelFileError for an impossible one."""
    tensors = {name: values for name, values in checkpoint.tensors.items() if name.startswith(PREFIX)}
    require(set(tensors) == set(forms_among(tensors)), "its history has unknown parts")
    check_forms(forms_of(tensors))
    return Recorder.restore(History.from_tensors(tensors), counts)


def _forms(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    return {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()}
