"""Tiny trained models of every task, and a separate folder for each test to run the command in."""

import itertools

import pytest

from tests.helpers.runners import run_in_process
from tests.helpers.texts import BRIEF, CONTROLS, EAGER, LABELLED_NAMES, PAIRS, TINY, VERSES, as_lines, as_rows


@pytest.fixture(autouse=True)
def folder_of_the_test(tmp_path, monkeypatch):
    """Run each test, and the commands that it starts, in `tmp_path`."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def uniform(tmp_path_factory):
    """Return a function that copies a model file, with weights that make all ids equally likely."""
    folder = tmp_path_factory.mktemp("uniform")

    def copy(path):
        from charlm.modelfile import load, save
        model = load(str(path))
        for values in model.weights.values():
            values[...] = 0
        save(str(folder / path.name), model)
        return folder / path.name
    return copy


@pytest.fixture
def train_on(tmp_path):
    """Return a function that trains `learnt.charlm` on a file, which it writes first unless the content is None."""
    def train(name, content=None, *flags):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        return run_in_process("train", tmp_path / name, "-o", tmp_path / "learnt.charlm", "--force", *BRIEF, *flags)
    return train


@pytest.fixture
def learn(train_on, tmp_path):
    """Return a function that trains as `train_on` does, and returns the model and the progress on stderr."""
    def train(*arguments):
        from charlm.modelfile import load
        progress = train_on(*arguments).check().stderr
        return load(str(tmp_path / "learnt.charlm")), progress
    return train


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    """Return a function that writes a text file and returns its path."""
    folder = tmp_path_factory.mktemp("texts")

    def write(name, text):
        (folder / name).write_text(text, encoding="utf-8", newline="")
        return folder / name
    return write


@pytest.fixture(scope="session")
def train_quietly(tmp_path_factory):
    """Return a function that trains a model in this process and returns its path."""
    folder, numbers = tmp_path_factory.mktemp("trained"), itertools.count()

    def train(corpus, *flags):
        path = folder / f"{corpus.stem}-{next(numbers)}.charlm"
        run_in_process("train", corpus, "-o", path, *flags, "--quiet").check()
        return path
    return train


@pytest.fixture(scope="session")
def verses(tmp_path_factory):
    """A small text with a non-ASCII letter in every verse, alone in its folder."""
    path = tmp_path_factory.mktemp("verses") / "verses.txt"
    path.write_text(VERSES, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def wild_text(text_file):
    """A text of control characters and markup."""
    return text_file("wild.txt", CONTROLS)


@pytest.fixture(scope="session")
def lexicon(text_file):
    """Pairs: short words, and the same in capitals."""
    return text_file("lexicon.tsv", as_rows(PAIRS))


@pytest.fixture(scope="session")
def held_out_pairs(text_file):
    """Pairs that `pairs_model` was validated on."""
    return text_file("held-out.tsv", as_rows((source * 2, target * 2) for source, target in PAIRS[::8]))


@pytest.fixture(scope="session")
def names(text_file):
    """Lines: short names, some of them with an apostrophe or a letter that is not ASCII."""
    return text_file("names.txt", as_lines(name for _, name in LABELLED_NAMES))


@pytest.fixture(scope="session")
def labelled_names(text_file):
    """The same names, each after its label."""
    return text_file("surnames.tsv", as_rows(LABELLED_NAMES))


@pytest.fixture(scope="session")
def model(train_quietly, verses):
    """A model of running text."""
    return train_quietly(verses, *TINY)


@pytest.fixture(scope="session")
def wild_model(train_quietly, wild_text):
    """A model of running text that knows control characters."""
    return train_quietly(wild_text, *TINY)


@pytest.fixture(scope="session")
def pairs_model(train_quietly, lexicon, held_out_pairs):
    """A model of pairs that writes different targets for different sources, though not always the right ones."""
    return train_quietly(lexicon, *EAGER, "--seed", 1, "--validation", held_out_pairs)


@pytest.fixture(scope="session")
def fill_model(train_quietly, verses):
    """A model of gaps in a text."""
    return train_quietly(verses, *TINY, "--fill")


@pytest.fixture(scope="session")
def lines_model(train_quietly, names):
    """A model of lines without labels."""
    return train_quietly(names, *EAGER, "--lines")


@pytest.fixture(scope="session")
def labels_model(train_quietly, labelled_names):
    """A model of labelled lines that classifies most of its lines correctly."""
    return train_quietly(labelled_names, *EAGER, "--steps", 90, "--labels")
