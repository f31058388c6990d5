"""`charlm info`: what a model is, and which files are none."""

import json
import shutil

import pytest

from charlm.modelfile import load


def test_info_tells_what_the_model_is_and_how_it_was_trained(charlm, model, verses):
    facts = json.loads(charlm("info", model, "--jsonl").stdout)
    text = verses.read_text(encoding="utf-8")
    assert facts["file"] == str(model)
    assert facts["model"].startswith("lstm 1x16")
    assert facts["tokenizer"] == f"char, {len(set(text)) + 1} tokens"
    assert facts["steps"] == 30 and facts["seed"] == 0
    assert facts["train_characters"] + facts["validation_characters"] == len(text)
    assert 0 < facts["bits_per_character"] < 8


def test_info_as_a_table_has_the_same_names(charlm, model):
    names = [line.split("\t")[0] for line in charlm("info", model).stdout.decode().splitlines()]
    assert names == ["file", "task", "model", "tokenizer", *load(str(model)).training]


def test_a_model_is_given_by_argument_by_flag_or_by_lying_here(charlm, model, tmp_path):
    shutil.copy(model, tmp_path / "m.charlm")
    ways = [charlm("info", "m.charlm"), charlm("info", "-m", "m.charlm"), charlm("info"),
            charlm("info", env={"CHARLM_MODEL": "m.charlm"})]
    assert len({way.stdout for way in ways}) == 1
    assert [way.stderr for way in ways] == [b"", b"", b"charlm: using m.charlm\n", b""]


def damaged(data):
    """Files that are not models, by what is wrong with them."""
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    return {"empty": b"", "text": b"Once upon a time there was no model.\n" * 20,
            "truncated": data[:-100], "header only": data[:200], "flipped bit": bytes(flipped),
            "longer": data + b"\0"}


@pytest.mark.parametrize("fault", ["empty", "text", "truncated", "header only", "flipped bit", "longer"])
def test_a_file_that_is_no_whole_model_is_refused_in_one_line(piped, refusal, model, tmp_path, fault):
    (tmp_path / "bad.charlm").write_bytes(damaged(model.read_bytes())[fault])
    for verb in ("sample", "info", "translate", "fill", "score", "classify", "tokenize", "detokenize"):
        done = piped(b"", verb, "-m", tmp_path / "bad.charlm")
        assert done.returncode == 3
        assert "bad.charlm: " in refusal(done)


def test_a_missing_model_and_a_folder_are_refused_in_one_line(piped, refusal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("missing.charlm", "."):
        done = piped(b"", "info", name)
        assert done.returncode == 3
        assert f"{name}: cannot be read" in refusal(done)


@pytest.mark.parametrize("given, task, architecture", [
    ("model", "stream", "lstm 1x16, embedding 64"),
    ("pairs_model", "pairs", "bidirectional encoder lstm 1x16, attention, decoder lstm 1x16, embedding 64"),
    ("fill_model", "fill", "bidirectional encoder lstm 1x16, attention, decoder lstm 1x16, embedding 64"),
    ("lines_model", "lines", "lstm 1x16, embedding 64"), ("labels_model", "lines", "lstm 1x16, embedding 64")])
def test_info_names_task_and_architecture_in_a_line_each(request, piped, given, task, architecture):
    path = request.getfixturevalue(given)
    rows = dict(line.split("\t") for line in piped(b"", "info", path).stdout.decode().splitlines())
    assert rows["task"] == task
    assert rows["model"] == f"{architecture}, {load(str(path)).config.parameter_count() / 1e6:.2f} M parameters"


@pytest.mark.parametrize("flags, architecture", [
    (["--bidirectional", "--bptt", "32"],
     "bidirectional encoder gru 2x8 of the last 32 tokens, attention, decoder gru 2x8"),
    (["--encoder", "stacked", "--no-attention", "--pairs"], "stacked encoder gru 2x8, fixed context, decoder gru 2x8"),
    (["--encoder", "shared", "--pairs"], "shared encoder, attention, decoder gru 2x8")])
def test_every_encoder_is_named(here, piped, lexicon, tmp_path, flags, architecture):
    task = [] if "--pairs" in flags else ["--text"]
    here("train", lexicon, "-o", tmp_path / "m.charlm", "--hidden", 8, "--cell", "gru", "--steps", 1, "--quiet",
         *flags, *task)
    facts = json.loads(piped(b"", "info", tmp_path / "m.charlm", "--jsonl").stdout)
    assert facts["model"].startswith(f"{architecture}, embedding 64, ")


def test_info_of_pairs_tells_both_vocabularies_and_how_many_errors_it_made(piped, pairs_model, lexicon):
    facts = json.loads(piped(b"", "info", pairs_model, "--jsonl").stdout)
    assert facts["source_tokenizer"] == "nfd, 5 tokens"         # a, b, e, its accent, and unknown
    assert facts["tokenizer"] == "char, 4 tokens"               # A, B, É, and unknown
    assert facts["train_pairs"] == len(lexicon.read_text(encoding="utf-8").splitlines())
    assert 0 < facts["word_error_rate"] < 1 and facts["validation_pairs"] == 15


def test_info_of_lines_tells_how_many_are_known_and_what_they_take(piped, lines_model, names):
    facts = json.loads(piped(b"", "info", lines_model, "--jsonl").stdout)
    count = len({*names.read_text(encoding="utf-8").splitlines()})
    assert facts["known_lines"] == f"{count} hashes, {4 * count} bytes"
    assert "labels" not in facts and facts["train_lines"] + facts["validation_lines"] == 144


def test_info_names_the_labels_and_a_model_of_text_has_neither(piped, labels_model, model):
    rows = dict(line.split("\t") for line in piped(b"", "info", labels_model).stdout.decode().splitlines())
    assert rows["labels"] == "3: Español, Icelandic, Irish"
    assert not {"labels", "known_lines"} & set(json.loads(piped(b"", "info", model, "--jsonl").stdout))


def test_info_names_twenty_of_many_labels(here, piped, tmp_path):
    (tmp_path / "many.tsv").write_text("".join(f"label {number:02}\ttext {number}\n" for number in range(21)))
    here("train", tmp_path / "many.tsv", "--labels", "-o", tmp_path / "m.charlm", "--hidden", 4, "--steps", 1, "--quiet")
    said = json.loads(piped(b"", "info", tmp_path / "m.charlm", "--jsonl").stdout)["labels"]
    assert said == "21: " + ", ".join(f"label {number:02}" for number in range(20)) + ", …"
