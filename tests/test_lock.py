"""At counts one process writes an output, and its lock is free however the process ends.

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
# Prints "there", waits for a line, tries to lock, prints the result, and holds the lock until the next line.
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
    """Another process that tries to take the lock."""

    def __init__(self, output):
        self.process = subprocess.Popen([sys.executable, "-c", HOLDER, str(output)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def read(self):
        return self.process.stdout.readline().strip()

    def proceed(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        with contextlib.suppress(OSError, ValueError):
            self.process.communicate("\n", timeout=SECONDS)


@pytest.fixture
def holders():
    """Return a function that starts a process for an output; all of them are ended after the test."""
    started = []

    def start(output):
        started.append(Holder(output))
        return started[-1]

    yield start
    for holder in started:
        holder.end()


def holding(holders, output):
    """Start a process and return it once it has the lock."""
    holder = holders(output)
    assert holder.read() == "there"
    holder.proceed()
    assert holder.read() == "held"
    return holder


def refusal(output):
    """Return the message that refuses a second lock."""
    with pytest.raises(InUseError) as caught, locked(str(output)):
        raise AssertionError("the lock was taken twice")
    return str(caught.value)


def test_the_second_process_is_refused_with_the_id_of_the_first(holders, tmp_path):
    output = tmp_path / "m.charlm"
    first = holding(holders, output)
    message = refusal(output)
    assert f"(process {first.process.pid})" in message and str(output) in message and "-o" in message
    assert "\n" not in message
    first.end()
    with locked(str(output)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_other_outputs_are_not_locked(holders, tmp_path):
    holding(holders, tmp_path / "m.charlm")
    for name in ("n.charlm", "m.charlm2", "m"):
        with locked(str(tmp_path / name)):
            assert refusal(tmp_path / name)             # and each is locked by itself


def test_an_output_has_one_lock_under_all_its_names(holders, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    os.symlink("folder/m.charlm", tmp_path / "link")
    os.symlink("folder", tmp_path / "other")
    holding(holders, tmp_path / "link")
    monkeypatch.chdir(tmp_path / "folder")
    for name in (tmp_path / "folder" / "m.charlm", tmp_path / "other" / "m.charlm", "m.charlm", "../link"):
        refusal(name)


def test_kill_9_frees_the_lock(holders, tmp_path):
    output = tmp_path / "m.charlm"
    first = holding(holders, output)
    first.process.kill()
    first.process.wait(SECONDS)
    assert os.listdir(tmp_path) == [".m.charlm.lock"]       # left behind, but not held
    second = holding(holders, output)
    assert f"(process {second.process.pid})" in refusal(output)
    second.end()
    assert os.listdir(tmp_path) == []


def test_an_exception_frees_the_lock(tmp_path):
    with pytest.raises(KeyError), locked(str(tmp_path / "m")):
        raise KeyError
    assert os.listdir(tmp_path) == []
    with locked(str(tmp_path / "m")):
        refusal(tmp_path / "m")


def test_a_longer_process_id_in_the_lock_file_is_overwritten(holders, tmp_path):
    (tmp_path / ".m.lock").write_text("9" * 20)
    first = holding(holders, tmp_path / "m")
    assert (tmp_path / ".m.lock").read_text() == str(first.process.pid)


def test_a_holder_that_has_not_written_its_process_id_is_waited_for(tmp_path):
    import fcntl
    path = tmp_path / ".m.lock"
    with open(path, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        timer = threading.Timer(0.03, lambda: path.write_text("1234"))
        timer.start()
        assert "(process 1234)" in refusal(tmp_path / "m")
        timer.join()
        path.write_text("")
        assert "a training run is writing it" in refusal(tmp_path / "m")


def test_a_lock_file_removed_before_it_is_locked_is_not_the_lock(tmp_path, monkeypatch):
    output, opened = str(tmp_path / "m"), []

    class Removing:
        """A replacement of `fcntl` that removes the file between opening and locking, as its last holder does."""

        def __getattr__(self, name):
            import fcntl
            return getattr(fcntl, name)

        def flock(self, descriptor, how):
            import fcntl
            opened.append(os.fstat(descriptor).st_ino)
            if len(opened) == 1:
                os.unlink(tmp_path / ".m.lock")
                (tmp_path / "other").write_bytes(b"")       # takes the inode of the file, if it is free
            fcntl.flock(descriptor, how)

    monkeypatch.setattr(lock, "fcntl", Removing())
    with locked(output):
        assert len(opened) == 2
        assert os.stat(tmp_path / ".m.lock").st_ino == opened[1]
        monkeypatch.undo()
        refusal(output)


def test_the_lock_of_another_process_is_not_removed(holders, tmp_path):
    output = tmp_path / "m"
    with locked(str(output)):
        os.unlink(tmp_path / ".m.lock")                     # as nobody should
        second = holding(holders, output)
    assert (tmp_path / ".m.lock").read_text() == str(second.process.pid)
    refusal(output)


def test_a_link_under_the_name_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("another file")
    os.symlink("precious", tmp_path / ".m.lock")
    with pytest.raises(StorageError, match="cannot be locked"), locked(str(tmp_path / "m")):
        raise AssertionError
    assert (tmp_path / "precious").read_text() == "another file"


@pytest.mark.parametrize("name", ["missing/m", "file/m", "x" * 254])
def test_a_path_that_cannot_be_locked_is_a_storage_error_that_names_it(tmp_path, name):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be locked") as caught, locked(str(tmp_path / name)):
        raise AssertionError
    assert str(tmp_path / name) in str(caught.value) and os.listdir(tmp_path) == ["file"]


def test_of_twenty_processes_one_gets_the_lock_and_the_others_name_it(holders, tmp_path):
    output = tmp_path / "m.charlm"
    twenty = [holders(output) for _ in range(20)]
    assert [holder.read() for holder in twenty] == ["there"] * 20
    for holder in twenty:
        holder.proceed()
    lines = [holder.read() for holder in twenty]
    assert lines.count("held") == 1
    first = twenty[lines.index("held")].process.pid
    assert [re.search(r"\(process (\d+)\)", line)[1] for line in lines if line != "held"] == [str(first)] * 19


def test_threads_take_the_lock_in_turn_and_never_two_at_once(tmp_path):
    output, inside, counts, done = str(tmp_path / "m"), [0], [], []

    def work():
        for _ in range(200):
            with contextlib.suppress(InUseError), locked(output):
                inside[0] += 1
                counts.append(inside[0])
                inside[0] -= 1
        done.append(True)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(SECONDS)
    assert len(done) == 4 and set(counts) == {1} and os.listdir(tmp_path) == []


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
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)       # readers do not see whether data is on the disk
    path, size = tmp_path / "m.charlm", 20_000
    write_durably(str(path), b"0" * size)
    readers = [subprocess.Popen([sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE, text=True)
               for _ in range(2)]
    assert [reader.stdout.readline() for reader in readers] == ["there\n"] * 2
    for number in range(2000):
        write_durably(str(path), b"%d" % (number % 10) * size)
    write_durably(str(path), b"!" * size)
    for reader in readers:
        seen, torn = map(int, reader.communicate(timeout=SECONDS)[0].split())
        assert seen > 100 and torn == 0
    assert os.listdir(tmp_path) == ["m.charlm"]
