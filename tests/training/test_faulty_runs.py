"""A whole run on a disk that fails at any touch, once or for good: its files are of the run without faults, or older.

Not here: single saves (test_faults.py), what a resumed run comes to (test_resuming.py).
"""

import os
import time

import numpy as np
import pytest

from charlm import checkpoint, container, modelfile, storage
from charlm.checkpoint import Checkpoints
from charlm.config import ModelConfig
from charlm.errors import StorageError
from charlm.events import Saved, Stopped, Validation, Warned
from charlm.text.tokenizers.registry import train as train_tokenizer
from charlm.training import session
from charlm.training.loop import train
from charlm.training.options import TrainingOptions
from charlm.training.session import Session, run
from tests.helpers import faults

WISHES = TrainingOptions(hidden=4, embedding=2, layers=1, steps=2, batch_size=2, bptt=4, dropout=0.0, warmup=1)
DISK = (storage, checkpoint, container, modelfile)


@pytest.fixture(autouse=True)
def brief(monkeypatch, one_thread):
    """Nothing waits for the disk, and speed is hardly measured."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(session, "MEASURED", 0.0)


@pytest.fixture
def corpus(corpus_of):
    return corpus_of("abcab\n" * 12)


def old_model():
    config = ModelConfig(5, cell="rnn", num_layers=1, embedding_size=3, hidden_size=4)
    weights = {name: np.zeros(shape, np.float32) for name, shape in config.parameter_shapes().items()}
    return modelfile.Model(config, train_tokenizer("char", ["abc\n"], vocabulary_size=None), weights, {})


def records_of(corpus, output, *, resumed=False):
    """A run with a checkpoint after every step; it may raise."""
    checkpoints = Checkpoints(output)
    found = checkpoints.newest(pytest.fail) if resumed else None
    return run(corpus, WISHES, Session(output, "cpu", 1, time.monotonic(), lambda: False, checkpoints=checkpoints, checkpoint_every=0.0,
                                       resumed=found))


def weights_in(tensors):
    return {name: values.tobytes() for name, values in tensors.items()
            if name.startswith(("weights.", "optimizer.", "objective."))}


def without_faults(corpus, output):
    """What is in the checkpoints after each step, and the bytes of the models."""
    by_step, models, save = {}, [], Checkpoints.save

    def watched(self, taken):
        by_step[taken.run["standing"]["step"]] = weights_in(taken.tensors)
        save(self, taken)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", watched)
        for record in records_of(corpus, output):
            if isinstance(record, Saved):
                with open(output, "rb") as file:
                    models.append(file.read())
    assert sorted(by_step) == [0, 1, 2] and models
    return by_step, models


@pytest.mark.parametrize("kind, for_good", [("EIO", False), ("EIO", True), ("end", True)])
def test_what_a_run_leaves_is_whole_wherever_the_disk_fails(corpus, tmp_path, kind, for_good):
    by_step, models = without_faults(corpus, str(tmp_path / "reference"))
    modelfile.save(str(tmp_path / "old"), old_model())
    old, cases = (tmp_path / "old").read_bytes(), 0
    for number, disk in enumerate(faults.every_fault(kind, for_good=for_good)):
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
        assert found is None or weights_in(found.tensors) == by_step[found.run["standing"]["step"]]
        if not raised:
            warned = any(isinstance(record, Warned) for record in seen)
            assert isinstance(seen[-1], Stopped) and model == models[-1]
            assert found is None or warned      # what could not be removed is told of
            assert warned or set(disk.failed) <= {"unlink"}
        elif kind == "end" and number % 4 == 0:             # it goes on from there, and comes to the same
            storage.remove_leftovers(output)
            Checkpoints(output).remove_leftovers()
            assert isinstance(list(records_of(corpus, output, resumed=True))[-1], Stopped)
            assert (folder / "m.charlm").read_bytes() == models[-1]
            assert os.listdir(folder) == ["m.charlm"]
        cases += bool(disk.failed)
    assert cases >= (40 if for_good else 30)


class Shaky:
    """Something that stores, and fails at these calls of it."""

    def __init__(self, *failing):
        self._failing, self.calls, self.done = failing, 0, []

    def __call__(self, what, *more):
        self.calls += 1
        if self.calls in self._failing:
            raise StorageError("m: cannot be written (no space)")
        self.done.append(what)
        return "m"


@pytest.fixture
def runner(runner_of):
    return runner_of("stream", steps=4)


def trained(runner, keep, save, *, interrupted=lambda: False):
    return list(train(runner.trainer(), keep=keep, checkpoint=lambda standing: save(standing.step), checkpoint_every=0.0,
                      interrupted=interrupted))


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_failing_checkpoint_is_a_warning_and_tried_again(runner, failing):
    save = Shaky(failing)
    records = trained(runner, Shaky(), save)
    warned = [record for record in records if isinstance(record, Warned)]
    assert len(warned) == 1 and "no space" in warned[0].message and "trying again" in warned[0].message
    assert isinstance(records[-1], Stopped) and records[-1].reason == "finished"
    assert save.calls == len(save.done) + 1 and save.done[-1] == 4


def test_checkpoints_that_always_fail_do_not_stop_a_run(runner):
    keep, save = Shaky(), Shaky(*range(1, 100))
    records = trained(runner, keep, save)
    assert not save.done and keep.done and records[-1].reason == "finished"
    assert sum(isinstance(record, Warned) for record in records) == save.calls > 3


def test_the_checkpoint_of_an_interruption_failing_is_an_error(runner):
    asked = iter([False] * 5 + [True] * 100)
    with pytest.raises(StorageError, match="no space"):
        trained(runner, Shaky(), Shaky(*range(1, 100)), interrupted=lambda: next(asked))


def test_a_model_that_could_not_be_kept_is_kept_later(runner):
    keep = Shaky(1)
    records = trained(runner, keep, Shaky())
    assert keep.done and any(isinstance(record, Saved) for record in records)
    assert records[-1].path == "m" and any(isinstance(record, Warned) for record in records)


def test_the_last_try_to_keep_the_model_failing_is_an_error(runner):
    with pytest.raises(StorageError, match="no space"):
        trained(runner, Shaky(*range(1, 100)), Shaky())


def test_a_model_that_could_not_be_kept_is_in_the_checkpoint(corpus, tmp_path, monkeypatch):
    output, save = str(tmp_path / "m.charlm"), modelfile.save

    def fail(path, model):
        raise StorageError(f"{path}: cannot be written (no space)")

    monkeypatch.setattr(session, "save", fail)
    seen = []
    with pytest.raises(StorageError):
        for record in records_of(corpus, output):
            seen.append(record)
    assert any(isinstance(record, Validation) for record in seen) and not os.path.exists(output)
    monkeypatch.setattr(session, "save", save)
    again = list(records_of(corpus, output, resumed=True))                # there is nothing left to train, but to be kept
    assert isinstance(again[-1], Stopped) and again[-1].path == output
    reference = without_faults(corpus, str(tmp_path / "reference"))[1][-1]
    assert (tmp_path / "m.charlm").read_bytes() == reference
