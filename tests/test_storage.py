"""Files are replaced whole and durably, or not at all.

Not here: their contents (test_container.py, test_modelfile.py).
"""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading

import pytest

from charlm import storage
from charlm.errors import StorageError
from charlm.storage import require_writable, write_durably


@pytest.fixture
def umask():
    """Return `os.umask`, and restore the umask after the test."""
    old = os.umask(0o022)
    yield os.umask
    os.umask(old)


def failing(number):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))
    return fail


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_holds_exactly_the_data(tmp_path):
    path = tmp_path / "model"
    for data in (b"first", b"", b"\0" * 1_000_000, b"last"):
        write_durably(str(path), data)
        assert path.read_bytes() == data
    assert names_in(tmp_path) == ["model"]


def test_a_name_without_a_folder_is_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    require_writable("model")
    write_durably("model", b"data")
    assert (tmp_path / "model").read_bytes() == b"data"


@pytest.mark.parametrize("call", ["fsync", "fchmod", "replace", "write"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failure_leaves_the_old_file_and_no_temporary_file(tmp_path, monkeypatch, call, number):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    monkeypatch.setattr(storage.os, call, failing(number))
    with pytest.raises(StorageError, match=os.strerror(number)) as caught:
        write_durably(str(path), b"new")
    monkeypatch.undo()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["model"]


def test_a_full_disk_leaves_the_old_file_and_no_temporary_file(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "model"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StorageError):
            write_durably(str(path), b"n" * 300_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["model"]


def test_a_failed_first_write_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.os, "replace", failing(errno.EIO))
    with pytest.raises(StorageError):
        write_durably(str(tmp_path / "model"), b"new")
    assert names_in(tmp_path) == []


def test_an_interruption_leaves_the_old_file_and_no_temporary_file(tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt
    path = tmp_path / "model"
    path.write_bytes(b"old")
    monkeypatch.setattr(storage.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_durably(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["model"]


def test_data_is_synced_before_the_rename_and_the_folder_after_it(tmp_path, monkeypatch):
    path, events = tmp_path / "model", []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor):
        status = os.fstat(descriptor)
        events.append(("folder" if stat.S_ISDIR(status.st_mode) else "file", status.st_ino, status.st_size))
        fsync(descriptor)

    def watched_replace(source, target):
        events.append(("rename", os.stat(source).st_ino, os.stat(source).st_size))
        assert os.path.dirname(source) == str(tmp_path)     # a rename across folders might not be atomic
        replace(source, target)

    monkeypatch.setattr(storage.os, "fsync", watched_fsync)
    monkeypatch.setattr(storage.os, "replace", watched_replace)
    write_durably(str(path), b"12345")
    monkeypatch.undo()
    assert [name for name, _, _ in events] == ["file", "rename", "folder"]
    written = path.stat().st_ino
    assert events[0] == ("file", written, 5)                # all data was written before the sync
    assert events[1] == ("rename", written, 5)
    assert events[2][1] == tmp_path.stat().st_ino


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_kill_leaves_the_old_file_whole(tmp_path, call):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    program = f"""
import os, signal, sys
from charlm import storage
storage.os.{call} = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
storage.write_durably(sys.argv[1], b"new")
"""
    ended = subprocess.run([sys.executable, "-c", program, str(path)], timeout=30)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def test_readers_always_see_whole_files(tmp_path):
    path, done, contents = tmp_path / "model", threading.Event(), set()
    path.write_bytes(b"0" * 50_000)

    def read():
        while not done.is_set():
            contents.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        write_durably(str(path), (b"%d" % (number % 10)) * 50_000)
    done.set()
    reader.join()
    assert contents and all(len(data) == 50_000 and len(set(data)) == 1 for data in contents)


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path, umask, mask, mode):
    umask(mask)
    write_durably(str(tmp_path / "model"), b"data")
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == mode
    assert umask(mask) == mask                              # write_durably restored it


@pytest.mark.parametrize("act", [require_writable, lambda path: write_durably(path, b"data")])
@pytest.mark.parametrize("name", ["missing/model", "file/model", "folder"])
def test_an_impossible_output_is_a_storage_error_that_names_it(tmp_path, act, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    before = names_in(tmp_path)
    with pytest.raises(StorageError, match="-o") as caught:
        act(str(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)
    assert names_in(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_a_storage_error(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError):
            require_writable(str(tmp_path / "model"))
    finally:
        tmp_path.chmod(0o700)


def test_require_writable_changes_nothing(tmp_path):
    (tmp_path / "old").write_bytes(b"old")
    require_writable(str(tmp_path / "new"))
    require_writable(str(tmp_path / "old"))
    assert names_in(tmp_path) == ["old"]
    assert (tmp_path / "old").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["x" * 300, "new/"])
def test_a_name_that_no_file_can_have_is_refused_early(tmp_path, name):
    with pytest.raises(StorageError):
        require_writable(f"{tmp_path}/{name}")
