"""Temporary files: without a name, where the user wants them, announced if large, refused if the disk is too small."""

import io
import os
import re
import shutil
import tempfile
from types import SimpleNamespace

import pytest

from charlm.errors import StorageError
from charlm.text.temporary import TemporaryFiles, anonymous_file


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """A folder for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_anonymous_file_has_no_name(in_folder):
    with anonymous_file() as file:
        file.write(b"secret")
        file.flush()
        assert os.fstat(file.fileno()).st_dev == os.stat(in_folder).st_dev
        assert list(in_folder.iterdir()) == []


def test_anonymous_file_is_in_tmpdir_if_it_is_set(monkeypatch):
    folders = []
    monkeypatch.setenv("TMPDIR", "anything")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir=None: folders.append(dir) or io.BytesIO())
    anonymous_file()
    assert folders == [None]                                  # None is TMPDIR to tempfile


def test_no_room_for_a_temporary_file_is_a_storage_error(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(StorageError, match="TMPDIR"):
        anonymous_file()


@pytest.fixture
def free(monkeypatch):
    """A function that sets the free bytes of all disks."""
    def set_free(size):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=size))
    return set_free


def test_files_are_in_the_directory_that_is_given(tmp_path):
    files = TemporaryFiles(str(tmp_path / "new" / "cache"))
    files.prepare()
    with files.open() as file:
        assert os.fstat(file.fileno()).st_dev == os.stat(tmp_path).st_dev
    assert os.listdir(tmp_path / "new" / "cache") == []


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file.*cannot be written.*--cache-dir"):
        TemporaryFiles(str(tmp_path / "file")).prepare()


@pytest.mark.parametrize("size, said", [(9_600_000_000, "9.60 GB"), (150_000_000, "150 MB"), (100_000_000, "")])
def test_large_files_are_announced_with_their_directory(tmp_path, free, size, said):
    lines = []
    free(10_000_000_000)
    TemporaryFiles(str(tmp_path), lines.append).announce("the token cache", size)
    assert lines == ([f"the token cache takes {said} in {tmp_path} …"] if said else [])


def test_a_disk_that_is_too_small_is_refused_with_both_figures(in_folder, free):
    free(3_100_000_000)
    TemporaryFiles().announce("the token cache", 3_100_000_000)
    with pytest.raises(StorageError, match=re.escape(
            f"the token cache needs 9.60 GB in {in_folder}, but 3.10 GB are free; set --cache-dir or TMPDIR to a")):
        TemporaryFiles().announce("the token cache", 9_600_000_000)


def test_a_disk_without_any_temporary_directory_is_a_storage_error(monkeypatch):
    def fail():
        raise FileNotFoundError(2, "No usable temporary directory found")
    monkeypatch.setenv("TMPDIR", "missing")
    monkeypatch.setattr(tempfile, "gettempdir", fail)
    with pytest.raises(StorageError, match="no room .* set TMPDIR"):
        TemporaryFiles().announce("the token cache", 1)
