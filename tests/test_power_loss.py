"""A power cut at any operation leaves the old or the new file, and everything that a finished call promised.

Not here: operations that fail while the power is on (test_faults.py).
"""

import os

import pytest

from charlm import modelfile, storage
from charlm.checkpoint import Checkpoints
from charlm.errors import ModelFileError
from tests.helpers import power
from tests.helpers.models import constant_model, numbered_checkpoint


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A folder to write into, and one to build its possible states in; fsync is skipped."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    written, found = tmp_path / "written", tmp_path / "found"
    written.mkdir()
    found.mkdir()
    return written, found


def without(call, monkeypatch):
    """Leave out the sync of the file, or of the folder."""
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


def outcomes_after(folders, act, found, *, expected):
    """Yield what `found` reads from each possible state, and whether that is in `expected(state)`."""
    written, place = folders
    recorder = power.Recorder(written)
    with recorder.under(storage):
        act(recorder)
    for state in recorder.possible():
        state.build(place)
        try:
            outcome = found(place)
        except ModelFileError as error:
            outcome = error
        yield outcome, outcome in expected(state)


def all_expected(outcomes, *, at_least):
    """Return True if every outcome was expected; raise AssertionError if there are fewer than this."""
    rights = [right for _, right in outcomes]
    assert len(rights) >= at_least
    return all(rights)


def saving_checkpoints(folders, earlier=2):
    """Save two more checkpoints, and return the outcomes of a power cut."""
    checkpoints = Checkpoints(str(folders[0] / "m.charlm"))
    for number in range(1, earlier + 1):
        checkpoints.save(numbered_checkpoint(number))

    def save(recorder):
        for number in (1, 2):
            with recorder.call():
                checkpoints.save(numbered_checkpoint(earlier + number))

    # Saves that returned are there, and the one that had begun may be.
    return outcomes_after(folders, save, number_found,
                      expected=lambda state: [earlier + count or None for count in range(state.promised,
        state.begun + 1)])


def replacing_a_model(folders, *, exists=True):
    """Save a model twice, over an older one if one exists, and return the outcomes of a power cut."""
    path = str(folders[0] / "m.charlm")
    if exists:
        modelfile.save(path, constant_model(0))

    def save(recorder):
        for number in (1, 2):
            with recorder.call():
                modelfile.save(path, constant_model(number))

    def expected(state):
        values = list(range(state.promised, state.begun + 1))
        return values if exists else [value or None for value in values]
    return outcomes_after(folders, save, value_found, expected=expected)


def test_checkpoints_survive_a_power_cut_at_any_operation(folders):
    assert all_expected(saving_checkpoints(folders), at_least=500)


def test_first_checkpoints_survive_a_power_cut_at_any_operation(folders):
    # Nothing was promised before the first save, but a damaged file under its name would be refused.
    assert all_expected(saving_checkpoints(folders, earlier=0), at_least=500)


def test_a_replaced_model_survives_a_power_cut_at_any_operation(folders):
    assert all_expected(replacing_a_model(folders), at_least=500)


def test_a_first_model_is_whole_or_missing_after_a_power_cut(folders):
    assert all_expected(replacing_a_model(folders, exists=False), at_least=500)


@pytest.mark.parametrize("act", [saving_checkpoints, replacing_a_model])
@pytest.mark.parametrize("left_out", ["file", "folder"])
def test_a_power_cut_loses_data_if_either_sync_is_left_out(folders, monkeypatch, act, left_out):
    without(left_out, monkeypatch)
    assert any(not right for _, right in act(folders))


def test_a_model_without_a_sync_of_its_data_is_found_damaged(folders, monkeypatch):
    without("file", monkeypatch)
    assert any(isinstance(outcome, ModelFileError) for outcome, _ in replacing_a_model(folders))


@pytest.mark.parametrize("saved", [1, 2, 3])
@pytest.mark.parametrize("left_out", ["", "folder"])
def test_an_interrupted_removal_leaves_the_newest_checkpoint_or_none(folders, monkeypatch, saved, left_out):
    checkpoints = Checkpoints(str(folders[0] / "m.charlm"))
    for number in range(1, saved + 1):
        checkpoints.save(numbered_checkpoint(number))

    def remove(recorder):
        with recorder.call():
            checkpoints.remove()

    without(left_out, monkeypatch)
    outcomes = outcomes_after(folders, remove, number_found,
                          expected=lambda state: [None] if state.promised else [saved, None])
    assert all_expected(outcomes, at_least=1) == (not left_out)


def test_a_run_that_ends_is_found_as_a_model_or_a_checkpoint(folders):
    path = str(folders[0] / "m.charlm")
    checkpoints = Checkpoints(path)
    for number in (1, 2):
        checkpoints.save(numbered_checkpoint(number))
    modelfile.save(path, constant_model(0))

    def end(recorder):
        modelfile.save(path, constant_model(1))
        checkpoints.remove()

    outcomes = outcomes_after(folders, end, lambda folder: (value_found(folder), number_found(folder)),
                          expected=lambda state: [(0, 2), (1, 2), (1, None)])
    assert all_expected(outcomes, at_least=200)


def test_all_possible_states_of_two_unsynced_bytes(tmp_path):
    recorder = power.Recorder(tmp_path)
    descriptor = recorder.open(str(tmp_path / "file"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    assert recorder.write(descriptor, b"ab") == 1 and recorder.write(descriptor, b"b") == 1
    found = {state.files.get("file") for state in recorder.possible()}
    assert found == {None, b"", b"a", b"a\0", b"ab", b"\0b", b"\0\0", b"\0"}
    recorder.fsync(descriptor)
    assert {state.files.get("file") for state in power.after({}, recorder.operations)} == {None, b"ab"}
    recorder.close(descriptor)
