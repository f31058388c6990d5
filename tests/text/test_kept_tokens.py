"""Kept tokens: the same text and options are served, anything else is made again, and no damage goes unnoticed."""

import os
import threading

import numpy as np
import pytest

from charlm.errors import CorpusError, StorageError
from charlm.text import text_corpus
from charlm.text.reading import Text
from charlm.text.temporary import TemporaryFiles
from charlm.text.text_corpus import build_text_corpus
from charlm.text.tokenizers import registry
from charlm.text.tokenizers.registry import Extendable

WORDS = "she sells sea shells by the sea shore\nthé shells she sells are surely sea shells\n" * 30


@pytest.fixture
def build(tmp_path):
    """A function from a text and options to its corpus, and to the reports, with a directory for tokens."""
    (tmp_path / "cache").mkdir()

    def make(text=WORDS, *, held_out=None, **options):
        lines = []
        (tmp_path / "corpus").write_text(text, encoding="utf-8")
        if held_out is not None:
            (tmp_path / "held").write_text(held_out, encoding="utf-8")
            options["validation"] = Text(str(tmp_path / "held"))
        files = TemporaryFiles(str(tmp_path / "cache"), lines.append)
        return build_text_corpus([Text(str(tmp_path / "corpus"))], files=files, **options), lines
    return make


@pytest.fixture
def kept(tmp_path):
    """A function that returns the paths of the files in the directory for tokens."""
    return lambda: sorted((tmp_path / "cache").iterdir())


@pytest.fixture
def tokenizing(monkeypatch):
    """The kinds of tokenizers that are trained from here on."""
    trained, train = [], registry.train
    monkeypatch.setattr(registry, "train", lambda kind, *given, **named: trained.append(kind) or train(
        kind, *given, **named))
    return trained


def contents(corpus):
    """Return all that a corpus holds."""
    tensors = {name: values.tolist() for name, values in corpus.tokenizer.tensors().items()}
    return (tensors, corpus.tokenizer.kind, *(part.slice(0, len(part)).tolist() for part in (
        corpus.train, corpus.validation)), corpus.metadata(), corpus.remarks)


def first_name(options):
    return next(iter(options), "none")


@pytest.mark.parametrize("options", [
    {}, {"tokenizer": "bpe"}, {"tokenizer": "byte"}, {"validation": 0.3}, {"held_out": WORDS[:500]},
    {"vocabulary_size": 5}, {"tokenizer": registry.train("char", ["xyz"], vocabulary_size=None)},
    {"tokenizer": Extendable(registry.train("char", ["xyz"], vocabulary_size=None))}], ids=first_name)
def test_a_second_run_has_the_corpus_of_the_first_without_tokenizing(build, kept, tokenizing, options):
    first, reports = build(**options)
    assert reports == [] and len(kept()) == 1
    tokenizing.clear()
    second, reports = build(**options)
    assert tokenizing == [] and str(kept()[0]) in reports[0]
    assert contents(second) == contents(first)
    assert contents(first) == contents(build_text_corpus([Text(str(kept()[0].parents[1] / "corpus"))], **(
        options if "held_out" not in options else {"validation": Text(str(kept()[0].parents[1] / "held"))})))


@pytest.mark.parametrize("other", [
    {"text": WORDS[:-1]}, {"tokenizer": "byte"}, {"validation": 0.2}, {"vocabulary_size": 9}, {"held_out": "sea\n"},
    {"tokenizer": registry.train("char", ["ab"], vocabulary_size=None)},
    {"tokenizer": Extendable(registry.train("char", ["ab"], vocabulary_size=None))}], ids=first_name)
def test_another_text_or_option_is_never_served_and_leaves_the_first(build, kept, tokenizing, other):
    build()
    tokenizing.clear()
    _, reports = build(**other)
    assert len(tokenizing) == 1 and reports == [] and len(kept()) == 2


def test_an_extended_tokenizer_is_not_taken_for_the_given_one(build, kept):
    known = registry.train("char", ["ab"], vocabulary_size=None)
    given, _ = build(tokenizer=known)
    extended, _ = build(tokenizer=Extendable(known))
    assert (given.tokenizer.size, extended.tokenizer.size > 3) == (3, True) and len(kept()) == 2


def damaged(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


@pytest.mark.parametrize("change", [
    lambda data: b"", lambda data: data[:-1], lambda data: data[:len(data) // 2], lambda data: damaged(data, 20),
    lambda data: damaged(data, 1000), lambda data: damaged(data, len(data) - 1),
    lambda data: damaged(data, len(data) - 24), lambda data: damaged(data, len(data) - 60), lambda data: data + b"x",
    lambda data: os.urandom(len(data))], ids=["empty", "cut by 1", "cut in half", "first id", "later id", "digest",
                                              "length of table", "table", "longer", "random"])
def test_a_damaged_file_is_noticed_and_made_again(build, kept, tokenizing, change):
    first, _ = build()
    path, = kept()
    whole = path.read_bytes()
    path.unlink()                       # the first corpus still reads it
    path.write_bytes(change(whole))
    tokenizing.clear()
    again, reports = build()
    assert len(tokenizing) == 1 and "is damaged" in reports[0]
    assert contents(again) == contents(first) and kept() == [path] and path.read_bytes() == whole


def test_the_file_of_another_text_under_this_name_is_not_served(build, kept):
    build(WORDS.upper())
    foreign, = kept()
    first, _ = build()
    own, = {*kept()} - {foreign}
    own.unlink()
    own.write_bytes(foreign.read_bytes())
    again, reports = build()
    assert "is damaged" in reports[0] and contents(again) == contents(first)


def test_two_runs_at_once_make_one_file(build, kept, tmp_path):
    build()
    path, = kept()
    path.unlink()
    together, found = threading.Barrier(2), []

    def run():
        together.wait()
        found.append(build_text_corpus([Text(str(tmp_path / "corpus"))], files=TemporaryFiles(str(tmp_path / "cache"))))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(found[0]) == contents(found[1]) and kept() == [path]


def test_an_error_leaves_nothing_behind(build, kept, monkeypatch):
    monkeypatch.setattr(text_corpus, "write_table", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(StorageError, match="cannot be written .No space left.*--cache-dir"):
        build()
    assert kept() == []
    with pytest.raises(CorpusError):
        build("ab")
    assert kept() == []


@pytest.mark.parametrize("nameless", [True, False])
def test_a_file_has_no_name_before_it_is_complete(build, kept, monkeypatch, nameless):
    if not nameless:
        monkeypatch.setattr("charlm.text.kept_tokens._nameless", lambda directory: None)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("needs O_TMPFILE")
    seen, write = [], text_corpus.write_table
    monkeypatch.setattr(text_corpus, "write_table", lambda *given: seen.extend(kept()) or write(*given))
    build()
    assert [path.suffix for path in seen] == ([] if nameless else [".part"])
    assert [path.suffix for path in kept()] == [".tokens"]


def test_tokens_in_use_survive_the_removal_of_their_file(build, kept):
    corpus, _ = build()
    kept()[0].unlink()
    assert corpus.train.ring(np.array([0]), 3).shape == (1, 3)
