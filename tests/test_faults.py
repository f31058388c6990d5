"""Every touch of the disk fails once or for good, in every way: what is found then is the old or the new.

Not here: what a power cut leaves (test_power_loss.py), a whole training (training/test_faulty_runs.py).
"""

import os

import numpy as np
import pytest

from charlm import checkpoint, container, lock, modelfile, storage
from charlm.checkpoint import Checkpoint, Checkpoints
from charlm.config import ModelConfig
from charlm.errors import InUseError, ModelFileError, StorageError
from charlm.text.tokenizers.registry import train

KINDS = ("EIO", "ENOSPC", "EACCES", "short write", "EIO, but done", "end")
READING = (checkpoint, container, modelfile, storage)
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
ONCE_AND_FOR_GOOD = pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
WRITE = ["open", "write", "fchmod", "fsync", "close", "replace", "open", "fsync", "close"]     # a file durably


@pytest.fixture(autouse=True)
def nothing_to_wait_for(monkeypatch):
    """No power is cut here, so nothing need reach the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def model_of(value):
    config = ModelConfig(5, cell="rnn", num_layers=1, embedding_size=3, hidden_size=4)
    weights = {name: np.full(shape, value, np.float32) for name, shape in config.parameter_shapes().items()}
    return modelfile.Model(config, train("char", ["abc\n"], vocabulary_size=None), weights, {})


def checkpoint_of(number):
    return Checkpoint({"number": number}, {"a": np.full(20, number, np.float32)})


def number_found(output, said=None):
    """Which of the checkpoints a run would go on from."""
    found = Checkpoints(output).newest((said if said is not None else []).append)
    return found and found.run["number"]


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".charlm-tmp")]


def hold(output):
    """Hold the lock for a moment; it is held, whatever failed before."""
    with lock.locked(output):
        with pytest.raises(InUseError):
            lock.locked(output).__enter__()


def outcome(act, faults, *errors):
    """What became of it: done, failed (with one of our errors, on one line) or ended."""
    try:
        act()
        return "done"
    except errors as error:
        assert "\n" not in str(error)
        return "failed"
    except faults.Ended:
        return "ended"


def test_the_disk_counts_what_a_durable_write_is_made_of(faults, tmp_path):
    disk = faults.Disk("EIO", 0, for_good=False)
    with disk.under(storage):
        storage.write_durably(str(tmp_path / "file"), b"data")
    assert disk.touches == WRITE and not disk.failed and (tmp_path / "file").read_bytes() == b"data"
    assert faults.KINDS == KINDS


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_a_model_written_over_an_old_one_is_the_old_or_the_new(faults, tmp_path, kind, for_good):
    path, cases = str(tmp_path / "m.charlm"), 0
    for disk in faults.every_fault(kind, for_good=for_good):
        modelfile.save(path, model_of(1))
        with disk.under(storage):
            became = outcome(lambda: modelfile.save(path, model_of(2)), faults, StorageError)
        found = float(modelfile.load(path).weights["head.bias"][0])
        renamed = "replace" in disk.touches and ("replace" not in disk.failed or kind == "EIO, but done")
        assert found == (2 if renamed else 1)
        assert became == ("done" if not disk.failed or kind == "short write" else "ended" if kind == "end" else "failed")
        if became != "ended" and "unlink" not in disk.failed:
            assert not leftovers(tmp_path)
        storage.remove_leftovers(path)
        assert not leftovers(tmp_path)
        modelfile.save(path, model_of(3))                   # a later try finds nothing in its way
        assert float(modelfile.load(path).weights["head.bias"][0]) == 3
        cases += bool(disk.failed)
    assert cases >= (1 if kind == "short write" else len(WRITE))


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_a_checkpoint_saved_over_an_older_one_leaves_the_newest_or_the_new(faults, tmp_path, kind, for_good):
    cases = 0
    for number, disk in enumerate(faults.every_fault(kind, for_good=for_good)):
        folder = tmp_path / str(number)
        folder.mkdir()
        output = str(folder / "m.charlm")
        checkpoints, said = Checkpoints(output), []
        for earlier in (1, 2):
            checkpoints.save(checkpoint_of(earlier))
        with disk.under(storage):
            became = outcome(lambda: checkpoints.save(checkpoint_of(3)), faults, StorageError)
        found = number_found(output, said)
        assert found in ((3,) if became == "done" else (2, 3)) and not said
        if became != "ended":                               # the run goes on, and the next one is written
            checkpoints.save(checkpoint_of(4))
            assert number_found(output) == 4
        again = Checkpoints(output)                         # and so after the end
        again.newest(said.append)
        again.save(checkpoint_of(5))
        assert number_found(output, said) == 5 and not said
        cases += bool(disk.failed)
    assert cases >= (1 if kind == "short write" else len(WRITE))


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_another_run_that_begins_leaves_the_newest_of_the_one_before_or_its_own(faults, tmp_path, kind, for_good):
    cases = 0
    for saved in (2, 3):                                    # the newest is -b, or -a
        for number, disk in enumerate(faults.every_fault(kind, for_good=for_good)):
            folder = tmp_path / f"{saved} {number}"
            folder.mkdir()
            output = str(folder / "m.charlm")
            before, said = Checkpoints(output), []
            for earlier in range(1, saved + 1):
                before.save(checkpoint_of(earlier))
            checkpoints = Checkpoints(output)
            checkpoints.give_up()
            with disk.under(storage):
                became = outcome(lambda: checkpoints.save(checkpoint_of(10)), faults, StorageError)
            assert number_found(output, said) in ((10,) if became == "done" else (saved, 10)) and not said
            if became != "ended":
                checkpoints.save(checkpoint_of(11))
                assert number_found(output) == 11
                checkpoints.save(checkpoint_of(12))
                (folder / "m.charlm.checkpoint-a").unlink()     # whichever is left is of the new run
                assert number_found(output) in (11, 12)
            cases += bool(disk.failed)
    assert cases >= (2 if kind == "short write" else 2 * (len(WRITE) + 4))


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_removing_checkpoints_leaves_the_newest_or_none(faults, tmp_path, kind, for_good):
    cases = 0
    for saved in (2, 3):                                    # the newest is -b, or -a
        for number, disk in enumerate(faults.every_fault(kind, for_good=for_good)):
            folder = tmp_path / f"{saved} {number}"
            folder.mkdir()
            output = str(folder / "m.charlm")
            checkpoints, said = Checkpoints(output), []
            for earlier in range(1, saved + 1):
                checkpoints.save(checkpoint_of(earlier))
            with disk.under(storage):
                became = outcome(checkpoints.remove, faults, StorageError)
            assert number_found(output, said) in ((None,) if became == "done" else (saved, None)) and not said
            checkpoints.remove()
            assert not list(folder.iterdir())
            cases += bool(disk.failed)
    assert cases >= (0 if kind == "short write" else 2 * 8)   # unlink, open, fsync, close, of both


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_recovery_finds_one_of_the_generations_or_says_that_it_cannot_read(faults, tmp_path, kind, for_good):
    output, cases = str(tmp_path / "m.charlm"), 0
    written = Checkpoints(output)
    for number in (1, 2):
        written.save(checkpoint_of(number))
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for disk in faults.every_fault(kind, for_good=for_good):
        found, said = [], []
        with disk.under(*READING):
            became = outcome(lambda: found.append(Checkpoints(output).newest(said.append)), faults, ModelFileError)
        if became == "done":
            number = found[0].run["number"]
            assert number in (1, 2) and (found[0].tensors["a"] == number).all()
            assert len(said) == bool(disk.failed) and (number == 2 or said)
        assert became == "done" or for_good or kind == "end"
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
        assert number_found(output) == 2                    # nothing was lost by trying
        cases += bool(disk.failed)
    assert cases >= (0 if kind == "short write" else 2 * 8)


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_a_model_that_cannot_be_read_is_refused_or_whole(faults, tmp_path, kind, for_good):
    path, cases = str(tmp_path / "m.charlm"), 0
    modelfile.save(path, model_of(1))
    for disk in faults.every_fault(kind, for_good=for_good):
        loaded = []
        with disk.under(*READING):
            became = outcome(lambda: loaded.append(modelfile.load(path)), faults, ModelFileError)
        assert became == ("done" if not disk.failed else "ended" if kind == "end" else "failed")
        assert all((values == 1).all() for model in loaded for values in model.weights.values())
        cases += bool(disk.failed)
    assert cases >= (0 if kind == "short write" else 8)


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_a_lock_that_fails_is_a_storage_error_and_holds_nothing(faults, tmp_path, kind, for_good):
    output, cases = str(tmp_path / "m.charlm"), 0

    for disk in faults.every_fault(kind, for_good=for_good):
        with disk.under(lock):
            became = outcome(lambda: hold(output), faults, StorageError)
        assert became == "ended" or disk.failed or became == "done"
        hold(output)                                        # nobody has it any more
        assert os.listdir(tmp_path) == []
        cases += bool(disk.failed)
    assert cases >= (0 if kind == "short write" else 8)
