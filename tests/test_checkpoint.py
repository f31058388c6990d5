"""Two generations of a checkpoint: the newest whole one is read back to the bit, and the older one is overwritten.

Not here: disks that fail (test_faults.py) or lose power (test_power_loss.py), the contents of a run (training/).
"""

import itertools
import os
import threading

import numpy as np
import pytest

from charlm import storage
from charlm.checkpoint import Checkpoint, Checkpoints
from charlm.container import pack
from charlm.errors import ModelFileError, StorageError
from charlm.storage import remove_leftovers, write_durably
from tests.helpers.damage import assert_every_damage_is_refused
from tests.helpers.models import numbered_checkpoint

MODEL = {"task": "stream", "labels": None}
RUN = {"step": 7, "rate": 0.1, "name": "é\n\u2028", "nothing": None, "list": [1, [True, {}]], "": {"x": 1 << 60}}


@pytest.fixture(autouse=True)
def no_syncs(monkeypatch):
    """Skip fsync: no power is cut here, so nothing has to reach the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def output(tmp_path):
    return str(tmp_path / "m.charlm")


def saved(output, count=2, **size):
    """Save checkpoints 1, 2 ... and return the Checkpoints."""
    checkpoints = Checkpoints(output)
    for number in range(1, count + 1):
        checkpoints.save(numbered_checkpoint(number, **size))
    return checkpoints


def newest(output):
    """Return the number of the newest whole checkpoint, and the warnings."""
    warnings = []
    found = Checkpoints(output).newest(warnings.append)
    return found and found.run["number"], warnings


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def forged(output, ending="a", *, tensors=None, **metadata):
    """Write a checkpoint with a valid checksum; `...` leaves an entry out."""
    whole = {"generation": 1, "model": {}, "run": {"number": 1}} | metadata
    whole = {name: value for name, value in whole.items() if value is not Ellipsis}
    with open(f"{output}.checkpoint-{ending}", "wb") as file:
        file.write(pack(whole, {"a": np.zeros(2, np.float32)} if tensors is None else tensors))


def test_a_saved_checkpoint_is_read_back_to_the_bit(output):
    tensors = {"weights.é": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
               "counts": np.array([1, 2 ** 32 - 1], np.uint32),
               "flags": np.array([[0, 255]], np.uint8), "step": np.array(3, np.float32),
               "empty": np.zeros((0, 4), np.float32)}
    Checkpoints(output).save(Checkpoint(MODEL, RUN, tensors))
    found = Checkpoints(output).newest(pytest.fail)
    assert (found.model, found.run) == (MODEL, RUN) and set(found.tensors) == set(tensors)
    for name, values in tensors.items():
        read = found.tensors[name]
        assert (read.dtype, read.shape, read.tobytes()) == (values.dtype, values.shape, values.tobytes())
        assert read.flags.writeable                         # torch continues in this memory


def test_without_a_save_there_is_no_checkpoint(output):
    assert newest(output) == (None, []) and not Checkpoints(output).exist()


def test_two_generations_are_kept_and_the_older_is_overwritten(output, tmp_path):
    checkpoints, states = Checkpoints(output), []
    for number in range(1, 6):
        checkpoints.save(numbered_checkpoint(number))
        assert newest(output) == (number, []) and checkpoints.exist()
        states.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    a, b = "m.charlm.checkpoint-a", "m.charlm.checkpoint-b"
    assert set(states[0]) == {a} and all(set(files) == {a, b} for files in states[1:])
    for number, (before, now) in enumerate(itertools.pairwise(states[1:])):
        kept = (b, a)[number % 2]
        assert before[kept] == now[kept] and before != now


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_save_after_a_load_overwrites_the_older(output, count):
    saved(output, count)
    again = Checkpoints(output)
    again.newest(pytest.fail)
    again.save(numbered_checkpoint(10))
    os.remove(f"{output}.checkpoint-{'ab'[count % 2]}")     # the new one
    assert newest(output) == (count, [])


def test_the_generation_decides_and_not_the_name_or_the_time(output):
    forged(output, "a", generation=9, run={"number": 9})
    forged(output, "b", generation=10, run={"number": 10})
    os.utime(output + ".checkpoint-b", (0, 0))
    assert newest(output) == (10, [])
    forged(output, "a", generation=11, run={"number": 11})
    assert newest(output) == (11, [])


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "folder", "fifo", "unreadable link"])
def test_a_damaged_newest_one_falls_back_to_the_other_with_one_warning(output, damage, count):
    saved(output, count)
    path = f"{output}.checkpoint-{'ba'[count % 2]}"
    damaged(path, damage)
    number, warnings = newest(output)
    assert number == count - 1
    message, = warnings
    assert path in message and "resuming from the other checkpoint" in message and "\n" not in message


def damaged(path, damage):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    if damage == "truncate":
        os.truncate(path, len(data) - 1)
    elif damage == "flip":
        data[-1] ^= 1
        with open(path, "wb") as file:
            file.write(data)
    elif damage == "empty":
        os.truncate(path, 0)
    else:
        os.remove(path)
        {"folder": os.mkdir, "fifo": os.mkfifo, "unreadable link": lambda path: os.symlink(path, path)}[damage](path)


def test_a_damaged_older_one_is_reported_and_overwritten(output):
    saved(output, 3)
    damaged(output + ".checkpoint-b", "flip")
    checkpoints, warnings = Checkpoints(output), []
    assert checkpoints.newest(warnings.append).run["number"] == 3 and len(warnings) == 1
    checkpoints.save(numbered_checkpoint(4))
    assert newest(output) == (4, [])


def test_a_damaged_newest_one_is_overwritten_and_the_whole_one_is_not(output):
    saved(output, 2)
    damaged(output + ".checkpoint-b", "truncate")
    checkpoints = Checkpoints(output)
    checkpoints.newest(lambda warning: None)
    with open(output + ".checkpoint-a", "rb") as file:
        before = file.read()
    checkpoints.save(numbered_checkpoint(5))
    with open(output + ".checkpoint-a", "rb") as file:
        assert file.read() == before
    assert newest(output) == (5, [])


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "folder", "fifo"])
def test_two_damaged_checkpoints_are_refused(output, damage):
    saved(output, 2)
    for ending in "ab":
        damaged(f"{output}.checkpoint-{ending}", damage)
    with pytest.raises(ModelFileError) as caught:
        Checkpoints(output).newest(pytest.fail)
    assert str(caught.value).startswith(f"{output}.checkpoint-") and "\n" not in str(caught.value)


def test_a_single_damaged_checkpoint_is_refused(output):
    saved(output, 1)
    damaged(output + ".checkpoint-a", "flip")
    with pytest.raises(ModelFileError, match="damaged"):
        Checkpoints(output).newest(pytest.fail)


def test_a_fifo_is_refused_without_waiting(output):
    os.mkfifo(output + ".checkpoint-a")
    refused = []

    def read():
        try:
            Checkpoints(output).newest(pytest.fail)
        except ModelFileError:
            refused.append(True)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(2)
    assert refused


def test_a_failed_save_is_repeated_under_the_same_name(output, tmp_path):
    checkpoints = saved(output, 2)
    os.rename(tmp_path, str(tmp_path) + "-gone")
    with pytest.raises(StorageError):
        checkpoints.save(numbered_checkpoint(3))
    os.rename(str(tmp_path) + "-gone", tmp_path)
    assert newest(output) == (2, [])
    checkpoints.save(numbered_checkpoint(4))
    os.remove(output + ".checkpoint-a")
    assert newest(output) == (2, [])


def test_a_linked_output_has_its_checkpoints_beside_the_target(tmp_path):
    (tmp_path / "folder").mkdir()
    os.symlink("folder/m.charlm", tmp_path / "link")
    saved(str(tmp_path / "link"), 3)
    assert names_in(tmp_path) == ["folder", "link"]
    assert names_in(tmp_path / "folder") == ["m.charlm.checkpoint-a", "m.charlm.checkpoint-b"]
    assert newest(str(tmp_path / "link")) == newest(str(tmp_path / "folder" / "m.charlm")) == (3, [])


# Superseding the checkpoints of another run


@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_superseded_run_is_kept_until_the_next_run_has_a_checkpoint(output, tmp_path, before):
    saved(output, before)
    checkpoints = Checkpoints(output)
    checkpoints.supersede()
    assert newest(output) == (before, [])
    checkpoints.save(Checkpoint({}, {"number": 10}, {}))
    assert Checkpoints(output).newest(pytest.fail).run == {"number": 10}
    assert len(names_in(tmp_path)) == 1
    checkpoints.save(Checkpoint({}, {"number": 11}, {}))
    assert Checkpoints(output).newest(pytest.fail).run == {"number": 11}
    assert names_in(tmp_path) == ["m.charlm.checkpoint-a", "m.charlm.checkpoint-b"]


@pytest.mark.parametrize("damaged", ["a", "b", "ab"])
def test_a_superseded_run_may_be_damaged(output, tmp_path, damaged):
    saved(output, 2)
    for one in damaged:
        (tmp_path / f"m.charlm.checkpoint-{one}").write_bytes(b"damaged")
    checkpoints = Checkpoints(output)
    checkpoints.supersede()
    checkpoints.save(Checkpoint({}, {"number": 10}, {}))
    assert Checkpoints(output).newest(pytest.fail).run == {"number": 10} and len(names_in(tmp_path)) == 1


def test_superseding_without_checkpoints_is_possible(output, tmp_path):
    checkpoints = Checkpoints(output)
    checkpoints.supersede()
    assert not names_in(tmp_path)
    checkpoints.save(Checkpoint({}, {"number": 10}, {}))
    assert Checkpoints(output).newest(pytest.fail).run == {"number": 10} and len(names_in(tmp_path)) == 1


# Removing

def test_removal_takes_checkpoints_and_temporary_files_of_killed_processes(output, tmp_path):
    checkpoints = saved(output, 3)
    for name in (".m.charlm.checkpoint-a-0123456789ab.charlm-tmp", ".m.charlm.checkpoint-b-abcdef012345.charlm-tmp",
                 "m.charlm", "other", ".n.charlm.checkpoint-a-0123456789ab.charlm-tmp"):
        (tmp_path / name).write_bytes(b"")
    checkpoints.remove_leftovers()
    assert names_in(tmp_path) == [".n.charlm.checkpoint-a-0123456789ab.charlm-tmp", "m.charlm", "m.charlm.checkpoint-a",
                                  "m.charlm.checkpoint-b", "other"]
    checkpoints.remove()
    assert names_in(tmp_path) == [".n.charlm.checkpoint-a-0123456789ab.charlm-tmp", "m.charlm", "other"]
    checkpoints.remove()                                    # a second removal does nothing
    assert newest(output) == (None, []) and not checkpoints.exist()


@pytest.mark.parametrize("name, others", [
    ("run", ["run-2", "run-2-0123456789ab", "xrun"]), ("m*", ["mm", "m"]), ("[a]" * 30, ["a" * 30, "[a]" * 30 + "b"]),
    ("x" * 80, ["x" * 81, "x" * 80 + ".checkpoint-a"]), ("é" * 60, ["é" * 61])], ids=lambda value: str(value)[:8])
def test_temporary_files_are_told_apart_by_the_name_of_their_file(tmp_path, monkeypatch, name, others):
    with monkeypatch.context() as patch:                    # as if every writing process were killed before its rename
        patch.setattr(storage.os, "replace", killed)
        patch.setattr(storage.os, "unlink", killed)
        for one in (name, *others):
            with pytest.raises(KeyboardInterrupt):
                write_durably(str(tmp_path / one), b"")
    assert len(names_in(tmp_path)) == 1 + len(others)
    remove_leftovers(str(tmp_path / name))
    assert len(names_in(tmp_path)) == len(others)
    for other in others:
        remove_leftovers(str(tmp_path / other))
    assert names_in(tmp_path) == []


def killed(*arguments):
    """Replace a system call by the end of the process."""
    raise KeyboardInterrupt


def test_the_longest_name_that_a_file_can_have_can_be_written(tmp_path):
    for name in ("x" * 255, "\U0001f600" * 63):
        write_durably(str(tmp_path / name), b"data")
        assert (tmp_path / name).read_bytes() == b"data"


# Every cut and every flipped bit

def test_every_cut_and_every_flipped_bit_is_refused(output):
    checkpoints = saved(output, 1, floats=300)
    path = output + ".checkpoint-a"
    assert 1200 < os.path.getsize(path) < 2000
    assert_every_damage_is_refused(path, lambda: checkpoints.newest(pytest.fail))


# Lies under a checksum that matches

@pytest.mark.parametrize("generation", [0, -1, 1 << 53, 1 << 60, 10 ** 400, True, False, None, 1.0, "1", [1], {},
                                        float("nan"),
                                        float("inf"), ...], ids=lambda value: str(value)[:12])
def test_an_invalid_generation_is_refused(output, generation):
    forged(output, generation=generation)
    with pytest.raises(ModelFileError):
        newest(output)


@pytest.mark.parametrize("metadata", [{"run": []}, {"run": None}, {"run": "x"}, {"run": 0}, {"run": ...},
                                      {"model": ...}, {"model": []}, {"more": 1},
                                      {"task": "stream"}, {"format": 5}, {"format": 0}, {"format": None}], ids=str)
def test_malformed_metadata_is_refused(output, metadata):
    forged(output, **metadata)
    with pytest.raises(ModelFileError):
        Checkpoints(output).newest(pytest.fail)


@pytest.mark.parametrize("values", [np.array([1, np.nan], np.float32), np.array([np.inf], np.float32),
                                    np.zeros(2, np.float64),
                                    np.zeros(2, np.int64), np.zeros(2, np.float16), np.zeros((1,) * 9, np.float32)],
                         ids=lambda values: f"{values.dtype} {values.shape}")
def test_tensors_that_no_checkpoint_has_are_refused(output, values):
    forged(output, tensors={"a": values})
    with pytest.raises(ModelFileError):
        newest(output)


def test_a_model_under_the_name_of_a_checkpoint_is_refused(output):
    with open(output + ".checkpoint-a", "wb") as file:
        file.write(pack({"task": "stream", "model": {}, "tokenizer": {}, "training": {}}, {}))
    with pytest.raises(ModelFileError, match="it is not a checkpoint"):
        newest(output)


def test_tensor_names_never_become_paths(output, tmp_path):
    forged(output, tensors={"../../evil": np.zeros(1, np.float32), "/tmp/evil": np.zeros(1, np.float32),
                            "": np.zeros(1, np.uint8)})
    assert newest(output) == (1, [])
    assert names_in(tmp_path) == ["m.charlm.checkpoint-a"]


def test_a_hostile_newest_one_falls_back_to_the_other(output):
    saved(output, 1)
    forged(output, "b", generation=1 << 60)
    number, warnings = newest(output)
    assert number == 1 and len(warnings) == 1
