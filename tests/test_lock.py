"""One writer an output, among processes; the lock is free however its holder ends.

Not here: the command that refuses (cli/), a lock whose files fail (test_faults.py).
"""

import contextlib
import os
import re
import subprocess
import sys
import threading

import pytest

from charlm import lock
from charlm.errors import InUseError, StorageError
from charlm.lock import locked
from charlm.storage import write_durably

SECONDS = 30
# Says that it is there, tries when told to, says what came of it, and holds the lock until it is told to end.
HOLDER = """
import sys
from charlm.errors import InUseError
from charlm.lock import locked
print("there", flush=True)
sys.stdin.readline()
try:
    with locked(sys.argv[1]):
        print("held", flush=True)
        sys.stdin.readline()
except InUseError as error:
    print(error, flush=True)
"""


class Holder:
    """Another process that wants the lock."""

    def __init__(self, output):
        self.process = subprocess.Popen([sys.executable, "-c", HOLDER, str(output)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def says(self):
        return self.process.stdout.readline().strip()

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        with contextlib.suppress(OSError, ValueError):
            self.process.communicate("\n", timeout=SECONDS)


@pytest.fixture
def holders():
    """A function that starts a process for an output; all of them are ended."""
    started = []

    def start(output):
        started.append(Holder(output))
        return started[-1]

    yield start
    for holder in started:
        holder.end()


def holding(holders, output):
    """A process that has the lock."""
    holder = holders(output)
    assert holder.says() == "there"
    holder.go()
    assert holder.says() == "held"
    return holder


def refused(output):
    with pytest.raises(InUseError) as caught:
        with locked(str(output)):
            raise AssertionError("it was taken twice")
    return str(caught.value)


def test_the_second_is_told_who_is_first(holders, tmp_path):
    output = tmp_path / "m.charlm"
    first = holding(holders, output)
    message = refused(output)
    assert f"(process {first.process.pid})" in message and str(output) in message and "-o" in message
    assert "\n" not in message
    first.end()
    with locked(str(output)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_other_outputs_are_free(holders, tmp_path):
    holding(holders, tmp_path / "m.charlm")
    for name in ("n.charlm", "m.charlm2", "m"):
        with locked(str(tmp_path / name)):
            pass


def test_an_output_has_one_lock_whatever_it_is_called(holders, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    os.symlink("folder/m.charlm", tmp_path / "link")
    os.symlink("folder", tmp_path / "other")
    holding(holders, tmp_path / "link")
    monkeypatch.chdir(tmp_path / "folder")
    for name in (tmp_path / "folder" / "m.charlm", tmp_path / "other" / "m.charlm", "m.charlm", "../link"):
        refused(name)


def test_kill_9_frees_the_lock(holders, tmp_path):
    output = tmp_path / "m.charlm"
    first = holding(holders, output)
    first.process.kill()
    first.process.wait(SECONDS)
    assert os.listdir(tmp_path) == [".m.charlm.lock"]       # left behind, and held by nobody
    second = holding(holders, output)
    assert f"(process {second.process.pid})" in refused(output)
    second.end()
    assert os.listdir(tmp_path) == []


def test_an_error_inside_frees_the_lock(tmp_path):
    with pytest.raises(KeyError):
        with locked(str(tmp_path / "m")):
            raise KeyError
    assert os.listdir(tmp_path) == []
    with locked(str(tmp_path / "m")):
        refused(tmp_path / "m")


def test_a_longer_number_of_before_is_written_over(holders, tmp_path):
    (tmp_path / ".m.lock").write_text("9" * 20)
    first = holding(holders, tmp_path / "m")
    assert (tmp_path / ".m.lock").read_text() == str(first.process.pid)


def test_one_that_has_not_written_its_number_yet_is_waited_for(tmp_path):
    import fcntl
    path = tmp_path / ".m.lock"
    with open(path, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        timer = threading.Timer(0.03, lambda: path.write_text("1234"))
        timer.start()
        assert "(process 1234)" in refused(tmp_path / "m")
        timer.join()
        path.write_text("")
        assert "a training run is writing it" in refused(tmp_path / "m")


def test_a_lock_file_removed_meanwhile_is_not_the_lock(tmp_path, monkeypatch):
    output, opened = str(tmp_path / "m"), []

    class Removing:
        """`fcntl` that finds the file removed by its last holder, between opening and locking."""

        def __getattr__(self, name):
            import fcntl
            return getattr(fcntl, name)

        def flock(self, descriptor, how):
            import fcntl
            opened.append(os.fstat(descriptor).st_ino)
            if len(opened) == 1:
                os.unlink(tmp_path / ".m.lock")
                (tmp_path / "other").write_bytes(b"")       # takes the number of the file, if that is free
            fcntl.flock(descriptor, how)

    monkeypatch.setattr(lock, "fcntl", Removing())
    with locked(output):
        assert len(opened) == 2
        assert os.stat(tmp_path / ".m.lock").st_ino == opened[1]
        monkeypatch.undo()
        refused(output)


def test_the_lock_of_another_is_not_removed(holders, tmp_path):
    output = tmp_path / "m"
    with locked(str(output)):
        os.unlink(tmp_path / ".m.lock")                     # by somebody who should not
        second = holding(holders, output)
    assert (tmp_path / ".m.lock").read_text() == str(second.process.pid)
    refused(output)


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("a file of somebody")
    os.symlink("precious", tmp_path / ".m.lock")
    with pytest.raises(StorageError, match="cannot be locked"):
        with locked(str(tmp_path / "m")):
            raise AssertionError
    assert (tmp_path / "precious").read_text() == "a file of somebody"


@pytest.mark.parametrize("name", ["missing/m", "file/m", "x" * 254])
def test_what_cannot_be_locked_is_a_storage_error_that_names_it(tmp_path, name):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be locked") as caught:
        with locked(str(tmp_path / name)):
            raise AssertionError
    assert str(tmp_path / name) in str(caught.value) and os.listdir(tmp_path) == ["file"]


def test_of_twenty_at_once_one_gets_the_lock_and_the_others_name_it(holders, tmp_path):
    output = tmp_path / "m.charlm"
    twenty = [holders(output) for _ in range(20)]
    assert [holder.says() for holder in twenty] == ["there"] * 20
    for holder in twenty:
        holder.go()
    said = [holder.says() for holder in twenty]
    assert said.count("held") == 1
    first = twenty[said.index("held")].process.pid
    assert [re.search(r"\(process (\d+)\)", line)[1] for line in said if line != "held"] == [str(first)] * 19


def test_the_lock_goes_from_hand_to_hand_and_is_never_in_two(tmp_path):
    output, inside, most, done = str(tmp_path / "m"), [0], [], []

    def work():
        for _ in range(200):
            with contextlib.suppress(InUseError), locked(output):
                inside[0] += 1
                most.append(inside[0])
                inside[0] -= 1
        done.append(True)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(SECONDS)
    assert len(done) == 4 and set(most) == {1} and os.listdir(tmp_path) == []


READER = """
import sys
seen = torn = 0
with open(sys.argv[1], "rb") as file:
    size = len(file.read())
print("there", flush=True)
while True:
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    seen += 1
    torn += len(data) != size or len(set(data)) != 1
    if data[:1] == b"!":
        break
print(seen, torn)
"""


def test_readers_never_see_a_torn_file_in_2000_commits(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)       # readers do not see what is on the disk
    path, size = tmp_path / "m.charlm", 20_000
    write_durably(str(path), b"0" * size)
    readers = [subprocess.Popen([sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [reader.stdout.readline() for reader in readers] == ["there\n"] * 2
    for number in range(2000):
        write_durably(str(path), b"%d" % (number % 10) * size)
    write_durably(str(path), b"!" * size)
    for reader in readers:
        seen, torn = map(int, reader.communicate(timeout=SECONDS)[0].split())
        assert seen > 100 and torn == 0
    assert os.listdir(tmp_path) == ["m.charlm"]
