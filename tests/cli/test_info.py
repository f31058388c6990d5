"""`charlm info`: the description of a model, and the refusal of files that are not models."""

import dataclasses
import json
import shutil

import pytest

from charlm.modelfile import load, save
from charlm.provenance import Provenance
from tests.helpers.runners import error_line, run_in_process, run_process
from tests.helpers.texts import BRIEF


def test_info_describes_the_model_and_its_training(model, verses):
    info = json.loads(run_process("info", model, "--jsonl").stdout)
    text = verses.read_text(encoding="utf-8")
    assert info["file"] == str(model)
    assert info["model"].startswith("lstm 1x16")
    assert info["tokenizer"] == f"char, {len(set(text)) + 1} tokens"
    assert info["steps"] == 30 and info["seed"] == 0
    assert info["train_characters"] + info["validation_characters"] == len(text)
    assert 0 < info["bits_per_character"] < 8


def test_info_as_a_table_has_the_names_of_the_record(model):
    names = [line.split("\t")[0] for line in run_process("info", model).text.splitlines()]
    assert names == ["file", "task", "model", "tokenizer", *load(str(model)).training, "content_digest", "charlm",
                     "date", "history", "training_curve", "held_out_curve", "gradient_norms"]


def test_a_model_is_named_by_argument_flag_or_variable_or_is_the_newest(model, tmp_path):
    shutil.copy(model, tmp_path / "m.charlm")
    ways = [run_process("info", "m.charlm"), run_process("info", "-m", "m.charlm"), run_process("info"),
            run_process("info", env={"CHARLM_MODEL": "m.charlm"})]
    assert len({way.stdout for way in ways}) == 1
    assert [way.stderr for way in ways] == ["", "", "charlm: using m.charlm\n", ""]


def damaged(data):
    """Return contents of files that are not models, by the fault they have."""
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    return {"empty": b"", "text": b"Once upon a time there was no model.\n" * 20,
            "truncated": data[:-100], "header only": data[:200], "flipped bit": bytes(flipped),
            "longer": data + b"\0"}


@pytest.mark.parametrize("fault", ["empty", "text", "truncated", "header only", "flipped bit", "longer"])
def test_a_damaged_or_foreign_file_is_refused_in_one_line(model, tmp_path, fault):
    (tmp_path / "bad.charlm").write_bytes(damaged(model.read_bytes())[fault])
    for verb in ("sample", "info", "translate", "fill", "score", "classify", "tokenize", "detokenize"):
        done = run_in_process(verb, "-m", tmp_path / "bad.charlm")
        assert "bad.charlm: " in error_line(done, 3)


def test_a_missing_model_and_a_folder_are_refused_in_one_line():
    for name in ("missing.charlm", "."):
        done = run_in_process("info", name)
        assert f"{name}: cannot be read" in error_line(done, 3)


@pytest.mark.parametrize("given, task, architecture", [
    ("model", "text", "lstm 1x16, embedding 64"),
    ("pairs_model", "pairs", "bidirectional encoder lstm 1x16, attention, decoder lstm 1x16, embedding 64"),
    ("fill_model", "fill", "bidirectional encoder lstm 1x16, attention, decoder lstm 1x16, embedding 64"),
    ("lines_model", "lines", "lstm 1x16, embedding 64"), ("labels_model", "labels", "lstm 1x16, embedding 64")])
def test_info_names_the_task_and_the_architecture(request, given, task, architecture):
    path = request.getfixturevalue(given)
    rows = dict(line.split("\t") for line in run_in_process("info", path).text.splitlines())
    assert rows["task"] == task
    assert rows["model"] == f"{architecture}, {load(str(path)).config.parameter_count() / 1e6:.2f} M parameters"


@pytest.mark.parametrize("flags, architecture", [
    (["--bidirectional", "--bptt", "32"],
     "bidirectional encoder gru 2x8 of the last 32 tokens, attention, decoder gru 2x8"),
    (["--encoder", "stacked", "--no-attention", "--pairs"], "stacked encoder gru 2x8, fixed context, decoder gru 2x8"),
    (["--encoder", "shared", "--pairs"], "shared encoder, attention, decoder gru 2x8")])
def test_every_encoder_is_named(lexicon, tmp_path, flags, architecture):
    task = [] if "--pairs" in flags else ["--text"]
    run_in_process("train", lexicon, "-o", "m.charlm", *BRIEF, "--layers", 2, "--cell", "gru", "--quiet", *flags,
                   *task).check()
    info = json.loads(run_in_process("info", tmp_path / "m.charlm", "--jsonl").stdout)
    assert info["model"].startswith(f"{architecture}, embedding 64, ")


def test_info_of_pairs_shows_both_vocabularies_and_the_error_rate(pairs_model, lexicon):
    info = json.loads(run_in_process("info", pairs_model, "--jsonl").stdout)
    assert info["source_tokenizer"] == "nfd, 5 tokens"         # a, b, e, its accent, and unknown
    assert info["tokenizer"] == "char, 4 tokens"               # A, B, É, and unknown
    assert info["train_pairs"] == len(lexicon.read_text(encoding="utf-8").splitlines())
    assert 0 < info["word_error_rate"] < 1 and info["validation_pairs"] == 15


def test_info_of_lines_shows_the_number_and_size_of_line_hashes(lines_model, names):
    info = json.loads(run_in_process("info", lines_model, "--jsonl").stdout)
    count = len({*names.read_text(encoding="utf-8").splitlines()})
    assert info["known_lines"] == f"{count} hashes, {4 * count} bytes"
    assert "labels" not in info and info["train_lines"] + info["validation_lines"] == 144


def test_only_a_model_of_lines_has_labels_and_known_lines(labels_model, model):
    rows = dict(line.split("\t") for line in run_in_process("info", labels_model).text.splitlines())
    assert rows["labels"] == "3: Español, Icelandic, Irish"
    assert not {"labels", "known_lines"} & set(json.loads(run_in_process("info", model, "--jsonl").stdout))


def test_info_names_the_first_twenty_of_many_labels(tmp_path):
    (tmp_path / "many.tsv").write_text("".join(f"label {number:02}\ttext {number}\n" for number in range(21)))
    run_in_process("train", "many.tsv", "--labels", "-o", "m.charlm", *BRIEF, "--quiet").check()
    labels = json.loads(run_in_process("info", tmp_path / "m.charlm", "--jsonl").stdout)["labels"]
    assert labels == "21: " + ", ".join(f"label {number:02}" for number in range(20)) + ", …"


def test_info_as_a_record_has_the_whole_history(pairs_model):
    info = json.loads(run_in_process("info", pairs_model, "--jsonl").stdout)
    history = info["history"]
    assert history["steps"] == list(range(1, info["steps"] + 1)) and len(history["loss"]) == len(history["steps"])
    assert history["held_out_error_rate"][history["held_out_steps"].index(info["step"])] == pytest.approx(
        info["word_error_rate"], rel=1e-5)
    assert "→" in history["samples"][0]["text"] and info["provenance"]["date"] == "2017-07-14T02:40:00Z"


def test_info_shows_where_a_model_comes_from_in_one_line_each(model, tmp_path):
    came = Provenance("0.2.0", command="charlm train 'a\nb\tc'", corpus=("a\nb",), seconds=75.2)
    save(str(tmp_path / "m.charlm"), dataclasses.replace(load(str(model)), provenance=came))
    rows = dict(line.split("\t") for line in run_in_process("info", "m.charlm").text.splitlines())
    assert (rows["command"], rows["corpus"]) == ("charlm train 'a\\nb\\tc'", "a\\nb")
    first, last = load(str(model)).history.held_out_loss[[0, -1]]
    assert f" {first:.4f} → {last:.4f}, least " in rows["held_out_curve"]


def test_a_terminal_gets_aligned_names_and_units():
    from charlm.cli.info import _aligned
    fields = {"steps": 12_000, "word_error_rate": 0.021, "seconds": 75.2, "warmup": 50, "clip": 1.0, "charlm": "0.2.0"}
    assert _aligned(fields).splitlines() == [
        "steps            12,000 updates", "word error rate  2.1 %", "seconds          75.2 s (1:15)",
        "warmup           50 updates", "clip             1", "charlm           0.2.0"]
