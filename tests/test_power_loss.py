"""After a power cut at any operation, whatever was not yet synced: the old or the new is found, and what was promised is there.

Not here: operations that fail while the power is on (test_faults.py).
"""

import os

import numpy as np
import pytest

from charlm import modelfile, storage
from charlm.checkpoint import Checkpoint, Checkpoints
from charlm.config import ModelConfig
from charlm.errors import ModelFileError
from charlm.text.tokenizers.registry import train


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """One to write into, one to build what may be found of it; nothing really waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    written, found = tmp_path / "written", tmp_path / "found"
    written.mkdir()
    found.mkdir()
    return written, found


def model_of(value):
    config = ModelConfig(5, cell="rnn", num_layers=1, embedding_size=3, hidden_size=4)
    weights = {name: np.full(shape, value, np.float32) for name, shape in config.parameter_shapes().items()}
    return modelfile.Model(config, train("char", ["abc\n"], vocabulary_size=None), weights, {})


def checkpoint_of(number):
    return Checkpoint({"number": number}, {"a": np.full(20, number, np.float32)})


def without(call, monkeypatch):
    """One of the two syncs is left out."""
    if call == "file":
        def write_new(path, data, real=storage._write_new):
            fsync = storage.os.fsync
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(storage.os, "fsync", lambda descriptor: None, raising=False)
                real(path, data)
            assert storage.os.fsync == fsync
        monkeypatch.setattr(storage, "_write_new", write_new)
    elif call == "folder":
        monkeypatch.setattr(storage, "_sync_directory", lambda folder: None)


def number_found(folder):
    found = Checkpoints(str(folder / "m.charlm")).newest(lambda said: None)
    return found and found.run["number"]


def value_found(folder):
    path = folder / "m.charlm"
    return float(modelfile.load(str(path)).weights["head.bias"][0]) if path.exists() else None


def seen_after(power, folders, act, found, *, expected):
    """What `found` sees in every folder that may be found, and whether that is among the `expected`."""
    written, place = folders
    recorder = power.Recorder(written)
    with recorder.under(storage):
        act(recorder)
    for state in recorder.possible():
        state.build(place)
        try:
            seen = found(place)
        except ModelFileError as error:
            seen = error
        yield seen, seen in expected(state)


def all_right(outcomes, *, at_least):
    """Whether whatever is seen was expected, in so many states."""
    rights = [right for _, right in outcomes]
    return all(rights) and len(rights) >= at_least


def saving_checkpoints(power, folders, earlier=2):
    """Two more saves over two generations, or the first ones."""
    checkpoints = Checkpoints(str(folders[0] / "m.charlm"))
    for number in range(1, earlier + 1):
        checkpoints.save(checkpoint_of(number))

    def save(recorder):
        for number in (1, 2):
            with recorder.call():
                checkpoints.save(checkpoint_of(earlier + number))

    # What came back is there, and what had begun may be.
    return seen_after(power, folders, save, number_found,
                      expected=lambda state: [earlier + count or None for count in range(state.promised, state.begun + 1)])


def replacing_a_model(power, folders, *, there_before=True):
    path = str(folders[0] / "m.charlm")
    if there_before:
        modelfile.save(path, model_of(0))

    def save(recorder):
        for number in (1, 2):
            with recorder.call():
                modelfile.save(path, model_of(number))

    def expected(state):
        values = list(range(state.promised, state.begun + 1))
        return values if there_before else [value or None for value in values]
    return seen_after(power, folders, save, value_found, expected=expected)


def test_checkpoints_survive_a_power_cut_at_any_operation(power, folders):
    assert all_right(saving_checkpoints(power, folders), at_least=500)


def test_first_checkpoints_survive_a_power_cut_at_any_operation(power, folders):
    # Nothing was promised before the first one, but a damaged file under its name would be refused.
    assert all_right(saving_checkpoints(power, folders, earlier=0), at_least=500)


def test_a_replaced_model_survives_a_power_cut_at_any_operation(power, folders):
    assert all_right(replacing_a_model(power, folders), at_least=500)


def test_a_model_is_lost_only_where_none_was_there(power, folders):
    assert all_right(replacing_a_model(power, folders, there_before=False), at_least=500)


@pytest.mark.parametrize("act", [saving_checkpoints, replacing_a_model])
@pytest.mark.parametrize("left_out", ["file", "folder"])
def test_without_either_sync_a_power_cut_loses_something(power, folders, monkeypatch, act, left_out):
    without(left_out, monkeypatch)
    assert any(not right for _, right in act(power, folders))


def test_a_model_whose_data_was_not_synced_is_found_damaged(power, folders, monkeypatch):
    without("file", monkeypatch)
    assert any(isinstance(seen, ModelFileError) for seen, _ in replacing_a_model(power, folders))


@pytest.mark.parametrize("saved", [1, 2, 3])
@pytest.mark.parametrize("left_out", ["", "folder"])
def test_removed_checkpoints_leave_the_newest_or_none(power, folders, monkeypatch, saved, left_out):
    checkpoints = Checkpoints(str(folders[0] / "m.charlm"))
    for number in range(1, saved + 1):
        checkpoints.save(checkpoint_of(number))

    def remove(recorder):
        with recorder.call():
            checkpoints.remove()

    without(left_out, monkeypatch)
    outcomes = seen_after(power, folders, remove, number_found,
                          expected=lambda state: [None] if state.promised else [saved, None])
    assert all_right(outcomes, at_least=1) == (not left_out)


def test_a_run_that_ends_is_there_as_a_model_or_as_a_checkpoint(power, folders):
    path = str(folders[0] / "m.charlm")
    checkpoints = Checkpoints(path)
    for number in (1, 2):
        checkpoints.save(checkpoint_of(number))
    modelfile.save(path, model_of(0))

    def end(recorder):
        modelfile.save(path, model_of(1))
        checkpoints.remove()

    outcomes = seen_after(power, folders, end, lambda folder: (value_found(folder), number_found(folder)),
                          expected=lambda state: [(0, 2), (1, 2), (1, None)])
    assert all_right(outcomes, at_least=200)


def test_what_may_be_found_of_two_bytes(power, tmp_path):
    recorder = power.Recorder(tmp_path)
    descriptor = recorder.open(str(tmp_path / "file"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    assert recorder.write(descriptor, b"ab") == 1 and recorder.write(descriptor, b"b") == 1
    found = {state.files.get("file") for state in recorder.possible()}
    assert found == {None, b"", b"a", b"a\0", b"ab", b"\0b", b"\0\0", b"\0"}
    recorder.fsync(descriptor)
    assert {state.files.get("file") for state in power.after({}, recorder.operations)} == {None, b"ab"}
    recorder.close(descriptor)
