"""A whole run on a disk that fails at any operation, once or permanently: its files are intact, if sometimes older.

Single saves are tested in test_faults.py, the bits of resumed runs in test_resume_exactness.py.
"""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from charlm import checkpoint, container, modelfile, storage
from charlm.checkpoint import Checkpoints
from charlm.config import ModelConfig
from charlm.errors import StorageError
from charlm.events import Saved, Stopped, Validation, Warned
from charlm.text.tokenizers.registry import train as train_tokenizer
from charlm.training import session as session_module
from charlm.training import time_plan
from charlm.training.loop import train
from charlm.training.options import TrainingOptions
from charlm.training.session import Session, run
from charlm.training.starting_point import StartingPoint
from tests.helpers import faults

OPTIONS = TrainingOptions(hidden_size=4, embedding_size=2, num_layers=1, steps=2, batch_size=2, bptt=4, dropout=0.0,
                          warmup=1)
DISK = (storage, checkpoint, container, modelfile)


@pytest.fixture(autouse=True)
def brief(monkeypatch, one_thread):
    """Skip fsync and most of the measurement of speed."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(time_plan, "MIN_MEASURED", 0.0)


@pytest.fixture
def corpus(corpus_of):
    return corpus_of("abcab\n" * 12)


def old_model():
    config = ModelConfig(5, cell="rnn", num_layers=1, embedding_size=3, hidden_size=4)
    weights = {name: np.zeros(shape, np.float32) for name, shape in config.parameter_shapes().items()}
    return modelfile.Model(config, train_tokenizer("char", ["abc\n"], vocabulary_size=None), weights, {})


def records_of(corpus, output, *, resumed=False):
    """Return the events of a run with a checkpoint after every step."""
    checkpoints = Checkpoints(output)
    found = checkpoints.newest(pytest.fail) if resumed else None
    start = StartingPoint.from_checkpoint(found) if found else StartingPoint.from_scratch()
    session = Session(output, "cpu", 1, time.monotonic(), lambda: False, start, checkpoints=checkpoints,
                      checkpoint_every=0.0)
    return run(corpus, "text", OPTIONS, session)


def weights_in(tensors):
    return {name: values.tobytes() for name, values in tensors.items()
            if name.startswith(("model.", "optimizer.", "objective."))}


def without_faults(corpus, output):
    """Return the tensors of the checkpoint after each step, and the bytes of every model stored."""
    by_step, models, save = {}, [], Checkpoints.save

    def watched(self, checkpoint):
        by_step[checkpoint.run["state"]["step"]] = weights_in(checkpoint.tensors)
        save(self, checkpoint)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", watched)
        for record in records_of(corpus, output):
            if isinstance(record, Saved):
                models.append(Path(output).read_bytes())
    models.append(Path(output).read_bytes())        # with what is found out about it at the end
    assert sorted(by_step) == [0, 1, 2] and models
    return by_step, models


@pytest.mark.parametrize("kind, permanent", [
    pytest.param("EIO", False, marks=pytest.mark.slow), ("EIO", True), ("end", True)])
def test_files_of_a_run_are_intact_wherever_the_disk_fails(corpus, tmp_path, kind, permanent):
    by_step, models = without_faults(corpus, str(tmp_path / "reference"))
    modelfile.save(str(tmp_path / "old"), old_model())
    old, cases = (tmp_path / "old").read_bytes(), 0
    for number, disk in enumerate(faults.every_fault(kind, for_good=permanent)):
        folder = tmp_path / str(number)
        folder.mkdir()
        output, seen, raised = str(folder / "m.charlm"), [], None
        (folder / "m.charlm").write_bytes(old)
        with disk.under(*DISK):
            try:
                seen.extend(records_of(corpus, output))
            except (StorageError, faults.Ended) as error:
                raised = error
        found = Checkpoints(output).newest(pytest.fail)
        model = (folder / "m.charlm").read_bytes()
        assert model == old or model in models
        assert found is None or weights_in(found.tensors) == by_step[found.run["state"]["step"]]
        if not raised:
            warned = any(isinstance(record, Warned) for record in seen)
            # A fault while the stored model is examined leaves it without findings, and is reported.
            assert isinstance(seen[-1], Stopped) and (model == models[-1] or warned and model == models[-2])
            assert found is None or warned      # what could not be removed was reported
            assert warned or set(disk.failed) <= {"unlink"}
        elif kind == "end" and number % 4 == 0:             # resumed, it ends with the same model
            storage.remove_leftovers(output)
            Checkpoints(output).remove_leftovers()
            assert isinstance(list(records_of(corpus, output, resumed=True))[-1], Stopped)
            assert (folder / "m.charlm").read_bytes() == models[-1]
            assert os.listdir(folder) == ["m.charlm"]
        cases += bool(disk.failed)
    assert cases >= (40 if permanent else 30)


class UnreliableStorage:
    """Storage that fails at these calls, counted from 1."""

    def __init__(self, *failing):
        self._failing, self.calls, self.done = failing, 0, []

    def __call__(self, item, *_):
        self.calls += 1
        if self.calls in self._failing:
            raise StorageError("m: cannot be written (no space)")
        self.done.append(item)
        return "m"


@pytest.fixture
def runner(runner_of):
    return runner_of("text", steps=4)


def trained(runner, keep, save, *, interrupted=lambda: False):
    return list(train(runner.trainer(), keep=keep, checkpoint=lambda state: save(state.step), checkpoint_every=0.0,
                      interrupted=interrupted))


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_failed_checkpoint_is_a_warning_and_is_retried(runner, failing):
    save = UnreliableStorage(failing)
    records = trained(runner, UnreliableStorage(), save)
    warned = [record for record in records if isinstance(record, Warned)]
    assert len(warned) == 1 and "no space" in warned[0].message and "trying again" in warned[0].message
    assert isinstance(records[-1], Stopped) and records[-1].reason == "finished"
    assert save.calls == len(save.done) + 1 and save.done[-1] == 4


def test_checkpoints_that_always_fail_do_not_stop_a_run(runner):
    keep, save = UnreliableStorage(), UnreliableStorage(*range(1, 100))
    records = trained(runner, keep, save)
    assert not save.done and keep.done and records[-1].reason == "finished"
    assert sum(isinstance(record, Warned) for record in records) == save.calls > 3


def test_a_failed_checkpoint_at_an_interruption_is_an_error(runner):
    answers = iter([False] * 5 + [True] * 100)
    with pytest.raises(StorageError, match="no space"):
        trained(runner, UnreliableStorage(), UnreliableStorage(*range(1, 100)), interrupted=lambda: next(answers))


def test_a_model_that_could_not_be_stored_is_stored_later(runner):
    keep = UnreliableStorage(1)
    records = trained(runner, keep, UnreliableStorage())
    assert keep.done and any(isinstance(record, Saved) for record in records)
    assert records[-1].path == "m" and any(isinstance(record, Warned) for record in records)


def test_a_model_that_can_never_be_stored_is_an_error(runner):
    with pytest.raises(StorageError, match="no space"):
        trained(runner, UnreliableStorage(*range(1, 100)), UnreliableStorage())


def test_a_model_that_could_not_be_stored_is_in_the_checkpoint(corpus, tmp_path, monkeypatch):
    output, save = str(tmp_path / "m.charlm"), modelfile.save

    def fail(path, model):
        raise StorageError(f"{path}: cannot be written (no space)")

    monkeypatch.setattr(session_module, "save", fail)
    seen = []
    with pytest.raises(StorageError):
        for record in records_of(corpus, output):
            seen.append(record)
    assert any(isinstance(record, Validation) for record in seen) and not os.path.exists(output)
    monkeypatch.setattr(session_module, "save", save)
    again = list(records_of(corpus, output, resumed=True))      # trained to the end, but the model is not stored yet
    assert isinstance(again[-1], Stopped) and again[-1].path == output
    reference = without_faults(corpus, str(tmp_path / "reference"))[1][-1]
    assert (tmp_path / "m.charlm").read_bytes() == reference
