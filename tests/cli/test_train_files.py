"""`train` and `eval` over folders, globs, CSV and JSON lines: the same corpus as the same text in one file."""

import csv
import gzip
import json
import os

import pytest

from charlm.checkpoint import Checkpoints
from charlm.modelfile import load
from tests.helpers.runners import error_line, run_in_process
from tests.helpers.texts import BRIEF

TEXTS = [f'the {word} cat, "{word}"\nsat on the mat'
         for word in ("black", "white", "grey", "old", "young", "fat", "thin", "big")]


@pytest.fixture
def files(tmp_path):
    """A folder `d` with the texts in two files, and the texts as CSV, JSON lines and one plain file."""
    os.makedirs("d/e")
    lines = "".join(f"{text}\n" for text in TEXTS)
    with open("d/a.txt", "w") as first, gzip.open("d/e/b.txt.gz", "wt") as second:
        first.write(lines[:100])
        second.write(lines[100:])
    with open("plain", "w") as plain, open("texts.csv", "w", newline="") as table, open("texts.jsonl", "w") as objects:
        plain.write(lines)
        writer = csv.writer(table, delimiter=";")
        writer.writerow(["n", "text"])
        for number, text in enumerate(TEXTS):
            writer.writerow([number, text])
            print(json.dumps({"n": number, "in": {"text": text}}), file=objects)
    return tmp_path


def train(*words, output="model.charlm"):
    """Train a tiny model; return it and what was said."""
    done = run_in_process("train", *words, "-o", output, "--force", *BRIEF).check()
    return load(output), done.stderr


@pytest.mark.parametrize("words", [["d"], ["d/**/*.txt*"], ["texts.csv", "--csv-column", "text"],
                                   ["texts.jsonl", "--json-field", "in.text"]])
def test_a_corpus_is_the_same_however_it_is_written(files, words):
    expected = train("plain", "--text")[0].training["corpus_digest"]
    model, said = train(*words, "--text")
    assert model.training["corpus_digest"] == expected and "looks like" not in said
    evaluated = [run_in_process("eval", "-m", "model.charlm", *each).check().text for each in (words, ["plain"])]
    assert evaluated[0] == evaluated[1]


def test_a_record_is_an_example_of_lines(files):
    model, _ = train("texts.csv", "--csv-column", "text", "--lines", "--validation", "texts.csv")
    assert model.training["train_lines"] == len(TEXTS)
    assert all(text.replace("\n", " ") in model.line_hashes for text in TEXTS)
    done = run_in_process("eval", "-m", "model.charlm", "--csv-column", "text", "texts.csv").check()
    assert f"lines\t{len(TEXTS)}\n" in done.text


def test_a_folder_can_be_held_out(files):
    model, said = train("plain", "--text", "--validation", "d")
    assert model.training["validation_characters"] == model.training["train_characters"]
    assert "all of the held-out text is in the training text" in said


def test_a_folder_gives_the_model_its_name(files):
    run_in_process("train", "d/", "--text", *BRIEF).check()
    assert load("d.charlm").training["train_characters"]
    assert "d.charlm exists" in error_line(run_in_process("train", "./d", "--text", *BRIEF), 2)


@pytest.mark.parametrize("name, flag", [("texts.csv", "--csv-column text"), ("texts.jsonl", "--json-field in.text")])
def test_records_that_are_learned_as_raw_text_are_hinted_at(files, name, flag):
    assert f"charlm: {name} looks like {'CSV' if 'csv' in name else 'JSON lines'}; {flag} would" in train(name)[1]
    assert "looks like" not in train("plain", "--text")[1]


@pytest.mark.parametrize("data, message", [
    ('{"t": "a"}\n{"t": 1}\n', "line 2: field 't' is a number, not a string; leave such lines out with: jq -c"),
    ('{"t": "a"}\n{\n', "line 2: not JSON")])
def test_a_corpus_with_a_bad_record_is_refused_by_its_number(files, data, message):
    (files / "bad.jsonl").write_text(data)
    assert message in error_line(run_in_process("train", "bad.jsonl", "--json-field", "t", *BRIEF), 4)


def test_fields_of_records_are_neither_labelled_nor_pairs(files):
    for task in ("--labels", "--pairs"):
        done = run_in_process("train", "texts.csv", "--csv-column", "text", task, *BRIEF)
        assert "from lines of two columns" in error_line(done, 2)


def test_a_resumed_run_reads_the_same_field(files, monkeypatch):
    from charlm.training import trainer
    real = trainer.Trainer.update

    def until_the_third(self, step, *commit):
        if step == 3:
            raise MemoryError
        return real(self, step, *commit)

    words = ["train", "texts.csv", "--csv-column", "text", "--text", "-o", "m.charlm", *BRIEF, "--steps", "6"]
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "update", until_the_third)
        assert run_in_process(*words, "--checkpoint-every", "0").code == 1
    assert Checkpoints("m.charlm").exist()
    assert "--csv-column text → n" in error_line(
        run_in_process("train", "texts.csv", "-o", "m.charlm", "--resume", "--csv-column", "n"), 2)
    run_in_process("train", "texts.csv", "-o", "m.charlm", "--resume").check()
    assert load("m.charlm").training["corpus_digest"] == train("plain", "--text")[0].training["corpus_digest"]
