"""Every operation on the disk fails in every way, once or from then on: the old or the new file is found, and no other.

Not here: power cuts (test_power_loss.py), a whole training (training/test_faulty_runs.py).
"""

import os

import pytest

from charlm import checkpoint, container, lock, modelfile, storage
from charlm.checkpoint import Checkpoints
from charlm.errors import InUseError, ModelFileError, StorageError
from tests.helpers import faults
from tests.helpers.models import constant_model, numbered_checkpoint

KINDS = ("EIO", "ENOSPC", "EACCES", "short write", "EIO, but done", "end")
READING = (checkpoint, container, modelfile, storage)
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
ONCE_AND_FOR_GOOD = pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
WRITE = ["open", "write", "fchmod", "fsync", "close", "replace", "open", "fsync", "close"]     # of a file, durably


@pytest.fixture(autouse=True)
def no_syncs(monkeypatch):
    """Skip fsync: no power is cut here, so nothing has to reach the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def number_found(output, warnings=None):
    """Return the number of the checkpoint that a run would resume from, or None."""
    found = Checkpoints(output).newest((warnings if warnings is not None else []).append)
    return found and found.run["number"]


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.endswith(".charlm-tmp")]


def hold(output):
    """Hold the lock for a moment, and check that it cannot be taken twice."""
    with lock.locked(output), pytest.raises(InUseError):
        lock.locked(output).__enter__()


def attempt(error, act, *arguments):
    """Return "done", "failed" (with this error, on one line) or "ended" (with the process), and the call's result."""
    try:
        return "done", act(*arguments)
    except error as caught:
        assert "\n" not in str(caught)
        return "failed", None
    except faults.Ended:
        return "ended", None


def test_the_disk_counts_the_operations_of_a_durable_write(tmp_path):
    disk = faults.Disk("EIO", 0, for_good=False)
    with disk.under(storage):
        storage.write_durably(str(tmp_path / "file"), b"data")
    assert disk.touches == WRITE and not disk.failed and (tmp_path / "file").read_bytes() == b"data"
    assert faults.KINDS == KINDS


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_a_failed_save_leaves_the_old_model_or_the_new_one(tmp_path, kind, for_good):
    path, cases = str(tmp_path / "m.charlm"), 0
    for disk in faults.every_fault(kind, for_good=for_good):
        modelfile.save(path, constant_model(1))
        with disk.under(storage):
            result, _ = attempt(StorageError, modelfile.save, path, constant_model(2))
        found = float(modelfile.load(path).weights["head.bias"][0])
        renamed = "replace" in disk.touches and ("replace" not in disk.failed or kind == "EIO, but done")
        assert found == (2 if renamed else 1)
        assert result == ("done" if not disk.failed or kind == "short write" else "ended"
                          if kind == "end" else "failed")
        if result != "ended" and "unlink" not in disk.failed:
            assert not leftovers(tmp_path)
        storage.remove_leftovers(path)
        assert not leftovers(tmp_path)
        modelfile.save(path, constant_model(3))                   # nothing prevents a later save
        assert float(modelfile.load(path).weights["head.bias"][0]) == 3
        cases += bool(disk.failed)
    assert cases >= (1 if kind == "short write" else len(WRITE))


def saved_checkpoints(tmp_path, kind, for_good, counts):
    """Yield (disk, output, its checkpoints, number of the newest) for every fault, each in another folder."""
    for newest in counts:
        for number, disk in enumerate(faults.every_fault(kind, for_good=for_good)):
            output = tmp_path / f"{newest} {number}" / "m.charlm"
            output.parent.mkdir()
            checkpoints = Checkpoints(str(output))
            for saved in range(1, newest + 1):
                checkpoints.save(numbered_checkpoint(saved))
            yield disk, output, checkpoints, newest


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_a_failed_checkpoint_leaves_the_newest_one_or_the_new_one(tmp_path, kind, for_good):
    cases = 0
    for disk, path, checkpoints, _ in saved_checkpoints(tmp_path, kind, for_good, [2]):
        output, warnings = str(path), []
        with disk.under(storage):
            result, _ = attempt(StorageError, checkpoints.save, numbered_checkpoint(3))
        found = number_found(output, warnings)
        assert found in ((3,) if result == "done" else (2, 3)) and not warnings
        if result != "ended":                               # the run continues, and the next checkpoint is saved
            checkpoints.save(numbered_checkpoint(4))
            assert number_found(output) == 4
        again = Checkpoints(output)                         # and after the end, by the resumed run
        again.newest(warnings.append)
        again.save(numbered_checkpoint(5))
        assert number_found(output, warnings) == 5 and not warnings
        cases += bool(disk.failed)
    assert cases >= (1 if kind == "short write" else len(WRITE))


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_a_new_run_leaves_the_newest_old_checkpoint_or_its_own(tmp_path, kind, for_good):
    cases = 0
    for disk, path, _, saved in saved_checkpoints(tmp_path, kind, for_good, [2, 3]):     # the newest is -b, or -a
        output, warnings = str(path), []
        checkpoints = Checkpoints(output)
        checkpoints.supersede()
        with disk.under(storage):
            result, _ = attempt(StorageError, checkpoints.save, numbered_checkpoint(10))
        assert number_found(output, warnings) in ((10,) if result == "done" else (saved, 10)) and not warnings
        if result != "ended":
            checkpoints.save(numbered_checkpoint(11))
            assert number_found(output) == 11
            checkpoints.save(numbered_checkpoint(12))
            path.with_name("m.charlm.checkpoint-a").unlink()    # both checkpoints are of the new run
            assert number_found(output) in (11, 12)
        cases += bool(disk.failed)
    assert cases >= (2 if kind == "short write" else 2 * (len(WRITE) + 4))


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_a_failed_removal_leaves_the_newest_checkpoint_or_none(tmp_path, kind, for_good):
    cases = 0
    for disk, path, checkpoints, saved in saved_checkpoints(tmp_path, kind, for_good, [2, 3]):
        output, warnings = str(path), []
        with disk.under(storage):
            result, _ = attempt(StorageError, checkpoints.remove)
        assert number_found(output, warnings) in ((None,) if result == "done" else (saved, None)) and not warnings
        checkpoints.remove()
        assert not list(path.parent.iterdir())
        cases += bool(disk.failed)
    assert cases >= (0 if kind == "short write" else 2 * 8)   # unlink, open, fsync and close of both


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_recovery_finds_one_of_two_generations_or_reports_the_failure(tmp_path, kind, for_good):
    output, cases = str(tmp_path / "m.charlm"), 0
    written = Checkpoints(output)
    for number in (1, 2):
        written.save(numbered_checkpoint(number))
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for disk in faults.every_fault(kind, for_good=for_good):
        warnings = []
        with disk.under(*READING):
            result, found = attempt(ModelFileError, Checkpoints(output).newest, warnings.append)
        if result == "done":
            number = found.run["number"]
            assert number in (1, 2) and (found.tensors["a"] == number).all()
            assert len(warnings) == bool(disk.failed) and (number == 2 or warnings)
        assert result == "done" or for_good or kind == "end"
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
        assert number_found(output) == 2                    # the attempt lost nothing
        cases += bool(disk.failed)
    assert cases >= (0 if kind == "short write" else 2 * 8)


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_a_model_is_read_whole_or_refused(tmp_path, kind, for_good):
    path, cases = str(tmp_path / "m.charlm"), 0
    modelfile.save(path, constant_model(1))
    for disk in faults.every_fault(kind, for_good=for_good):
        with disk.under(*READING):
            result, model = attempt(ModelFileError, modelfile.load, path)
        assert result == ("done" if not disk.failed else "ended" if kind == "end" else "failed")
        assert model is None or all((values == 1).all() for values in model.weights.values())
        cases += bool(disk.failed)
    assert cases >= (0 if kind == "short write" else 8)


@EVERY_KIND
@ONCE_AND_FOR_GOOD
def test_a_lock_that_fails_is_a_storage_error_and_is_free_afterwards(tmp_path, kind, for_good):
    output, cases = str(tmp_path / "m.charlm"), 0

    for disk in faults.every_fault(kind, for_good=for_good):
        with disk.under(lock):
            result, _ = attempt(StorageError, hold, output)
        assert result == "ended" or disk.failed or result == "done"
        hold(output)                                        # it is free again
        assert os.listdir(tmp_path) == []
        cases += bool(disk.failed)
    assert cases >= (0 if kind == "short write" else 8)
