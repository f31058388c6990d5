"""Names on the command line as files: folders, globs, files and standard input."""

import os

import pytest

from charlm.errors import CorpusError, UsageError
from charlm.text.sources import expand


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder `d`, in which this process works, with text files, hidden ones and charlm's own."""
    monkeypatch.chdir(tmp_path)
    for name in ("d/b.txt", "d/a/z.gz", "d/B.txt", "d/.hidden", "d/.git/c.txt", "d/m.charlm",
                 "d/m.charlm.checkpoint-a", "d/a[1].txt", "empty/.x"):
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "w") as file:
            file.write(name)
    os.mkfifo("d/pipe")
    return tmp_path


@pytest.mark.parametrize("names, paths, named", [
    (["d"], ["d/B.txt", "d/a/z.gz", "d/a[1].txt", "d/b.txt"], True),
    (["d/"], ["d/B.txt", "d/a/z.gz", "d/a[1].txt", "d/b.txt"], True),
    (["d/*.txt"], ["d/B.txt", "d/a[1].txt", "d/b.txt"], True),
    (["d/**/*.gz"], ["d/a/z.gz"], True),
    (["d/*"], ["d/B.txt", "d/a/z.gz", "d/a[1].txt", "d/b.txt"], True),
    (["d/**"], ["d/B.txt", "d/a/z.gz", "d/a[1].txt", "d/b.txt"], True),
    (["d/a[1].txt"], ["d/a[1].txt"], False),                # a file of that name is no pattern
    (["d/m.charlm"], ["d/m.charlm"], False),                # who names a model is told so when it is read
    (["no-such-file"], ["no-such-file"], False),
    (["d/b.txt", "-", "d/b.txt"], ["d/b.txt", "-", "d/b.txt"], True)])
def test_names_stand_for_files_in_order(folder, names, paths, named):
    found = expand(names)
    assert (list(found.paths), found.named) == (paths, named)


@pytest.mark.parametrize("name, reason", [("empty", "has no files"), ("*.md", "matches no file")])
def test_names_that_stand_for_nothing_are_refused(folder, name, reason):
    with pytest.raises(CorpusError, match=reason):
        expand([name])
    with pytest.raises(UsageError, match="more than once"):
        expand(["-", "-"])


def test_the_size_is_known_only_of_regular_files(folder):
    assert expand(["d/*.txt", "no-such-file"]).size == len("d/B.txt" "d/a[1].txt" "d/b.txt")
    assert expand(["d/b.txt", "d/pipe"]).size is None
