"""`charlm train --lines` and `--labels`: the models they make, and the files they refuse.

Not here: all other training (test_train.py).
"""

import json
import re
import shlex

import numpy as np
import pytest

from tests.helpers.runners import error_line, run_in_process, run_process
from tests.helpers.texts import BRIEF

NAMES = "".join(f"{stem}{end}\n" for stem in ("Ban", "Lut", "Fot", "Mañ") for end in ("a", "ez", "son", "ey")).encode()
LABELLED = b"".join(b"%s\t%s\n" % (b"odd" if number % 2 else b"even number", line)
                    for number, line in enumerate(NAMES.splitlines()))


def plan_of(progress):
    """Return the progress line of the plan."""
    return next(line for line in progress.splitlines() if line.startswith("event=plan "))


def test_lines_are_learnt_separately_and_without_labels(learn):
    model, progress = learn("names.txt", NAMES, "--lines")
    assert (model.task, model.labels, model.config.vocabulary_size) == ("lines", None, model.tokenizer.size + 1)
    summary = model.training
    assert summary["train_lines"] + summary["validation_lines"] == 16 and summary["validation_lines"] >= 1
    assert summary["train_characters"] + summary["validation_characters"] == len(NAMES.decode())
    assert f"{summary['train_lines']} lines to learn from, {summary['validation_lines']} held out" in plan_of(progress)


def test_labels_are_counted_and_are_not_part_of_the_text(learn):
    model, progress = learn("names.tsv", LABELLED, "--labels")
    assert (model.task, model.labels.names, model.labels.counts) == ("labels", ("even number", "odd"), (8, 8))
    assert (model.config.vocabulary_size, model.config.labels) == (model.tokenizer.size + 1, 2)
    assert (model.tokenizer.encode("\tdv") == model.tokenizer.unknown_id).all()
    assert "2 labels" in plan_of(progress)


@pytest.mark.parametrize("name", ["names.tsv", "names.txt"])
def test_recognised_pairs_can_be_read_as_lines_or_labelled_lines(learn, name):
    assert learn(name, LABELLED)[0].task == "pairs"
    lines, progress = learn(name, LABELLED, "--lines")
    assert (lines.task, lines.labels) == ("lines", None) and "these are pairs" not in progress
    assert (lines.tokenizer.encode("\t") != lines.tokenizer.unknown_id).all()
    labels, progress = learn(name, LABELLED, "--labels")
    assert (labels.task, len(labels.labels)) == ("labels", 2) and "these are pairs" not in progress


def test_the_help_of_train_explains_lines_and_labels():
    text = " ".join(run_process("train", "--help").text.split())
    assert "--lines Independent lines" in text
    assert "--labels Lines of label<TAB>text" in text and "classify" in text
    assert "charlm train names.txt --lines && charlm sample" in text


@pytest.mark.parametrize("content, reason", [
    (LABELLED + b"no tab\n", "line 17 has no tab; a line is label<TAB>text"),
    (b"a\tb\n\nb\tc\td\n", "line 3 has 2 tabs; a line is label<TAB>text"),
    (b"\tb\nc\td\n", "line 1 has an empty label"),
    (b"a\t\r\nc\td\n", "line 1 has an empty text"), (b"", "empty; there is nothing to learn"),
    (b"\n\r\n", "empty; there is nothing to learn"), (b"a\tb\nb\tb\n", "all lines are the same"),
    (b"a\tb\nc\xff\td\n", "not UTF-8: byte 0xff at offset 5")])
def test_malformed_labelled_lines_are_refused_in_one_line(tmp_path, content, reason):
    (tmp_path / "names.tsv").write_bytes(content)
    done = run_in_process("train", tmp_path / "names.tsv", "--labels", "-o", tmp_path / "m.charlm", *BRIEF)
    assert f"{tmp_path / 'names.tsv'}: {reason}" in error_line(done, 4)
    assert not (tmp_path / "m.charlm").exists()


@pytest.mark.parametrize("content, reason", [
    (b"", "empty; there is nothing to learn"), (b"a\n", "one line only"), (b"a\na\r\na", "all lines are the same"),
    (b"a\nb\xff\n", "not UTF-8: byte 0xff at offset 3")])
def test_lines_that_are_too_few_are_refused_in_one_line(tmp_path, content, reason):
    done = run_in_process("train", "-", "--lines", "-o", tmp_path / "m.charlm", *BRIEF, stdin=content)
    assert f"standard input: {reason}" in error_line(done, 4)


def test_two_different_lines_are_enough_to_hold_one_out(learn):
    for content in (b"a\nb\n", b"a\n\nb"):
        summary = learn("two.txt", content, "--lines")[0].training
        assert min(summary["train_lines"], summary["validation_lines"]) >= 1


def test_crlf_a_bom_and_a_missing_last_newline_do_not_change_lines(learn):
    plain = learn("plain.txt", NAMES, "--lines")[0]
    for content in (NAMES.replace(b"\n", b"\r\n"), NAMES.removesuffix(b"\n"), b"\xef\xbb\xbf" + NAMES):
        other = learn("other.txt", content, "--lines")[0]
        assert plain.training == other.training
        assert all(np.array_equal(plain.weights[name], other.weights[name]) for name in plain.weights)


def test_held_out_lines_may_be_another_file(learn, tmp_path):
    (tmp_path / "other.tsv").write_bytes(b"odd\tBana\nodd\tQ\n")
    for kind, content, kept in (("--labels", LABELLED, 16), ("--lines", NAMES, 16)):
        summary = learn("names.tsv", content, kind, "--validation", tmp_path / "other.tsv")[0].training
        assert (summary["train_lines"], summary["validation_lines"]) == (kept, 2)


@pytest.mark.parametrize("content, reason", [
    (b"odd\tBan\neven\tBan\n", "label 'even' is not one of the 2 to learn from"),
    (b"odd\n", "other.tsv: line 1 has no tab"), (b"", "other.tsv: empty; there is nothing to validate on")])
def test_held_out_lines_without_a_known_label_are_refused(train_on, tmp_path, content, reason):
    (tmp_path / "other.tsv").write_bytes(content)
    assert reason in error_line(train_on("names.tsv", LABELLED, "--labels", "--validation", tmp_path / "other.tsv"), 4)
    assert not (tmp_path / "learnt.charlm").exists()


@pytest.mark.parametrize("kind", ["--lines", "--labels"])
@pytest.mark.parametrize("flags, message", [
    (["--bidirectional"], "--encoder bidirectional has nothing to read"),
    (["--encoder", "stacked"], "--encoder stacked"),
    (["--attention"], "--attention needs")])
def test_an_encoder_is_refused_because_lines_have_nothing_to_read(kind, flags, message):
    done = run_in_process("train", "missing.txt", kind, "-o", "m.charlm", *BRIEF, *flags)
    assert message in error_line(done, 2)


@pytest.mark.parametrize("flags, message", [
    (["--tokenizer", "word"], "--tokenizer word"), (["--source-tokenizer", "char"], "--source-tokenizer")])
def test_lines_have_a_single_tokenizer_that_keeps_their_text(tmp_path, flags, message):
    (tmp_path / "names.txt").write_bytes(NAMES)
    done = run_in_process("train", tmp_path / "names.txt", "--lines", "-o", tmp_path / "m.charlm", *BRIEF, *flags)
    assert message in error_line(done, 2)


@pytest.mark.parametrize("flags", [("--cell", "gru"), ("--cell", "rnn", "--nonlinearity", "relu"), ("--tied",),
                                   ("--encoder", "shared"),
                                   ("--tokenizer", "byte"), ("--layers", "3")])
def test_eval_of_every_network_of_lines_equals_the_validation_loss(learn, tmp_path, flags):
    (tmp_path / "held-out").write_bytes(b"odd\tBanson\neven number\tQ\nodd\tLut\n")
    model, _ = learn("names.tsv", LABELLED, "--labels", *flags, "--validation", tmp_path / "held-out")
    done = run_in_process("eval", "-m", tmp_path / "learnt.charlm", "--jsonl", tmp_path / "held-out")
    measured = json.loads(done.stdout)
    assert measured["nats_per_token"] == pytest.approx(model.training["nats_per_token"], abs=1e-5)
    assert measured["bits_per_character"] == pytest.approx(model.training["bits_per_character"], abs=1e-5)


def test_the_next_command_printed_for_lines_works(learn):
    for content, kind in ((NAMES, "--lines"), (LABELLED, "--labels")):
        _, progress = learn("names", content, kind)
        words = shlex.split(json.loads(re.search(r' next=("[^"]*")', progress)[1]))
        assert words[:2] == ["charlm", "sample"]
        assert run_in_process(*words[1:]).stdout.count(b"\n") == 10
    assert re.search(r'event=sample text="(odd|even number): ', progress)


def test_a_line_longer_than_any_batch_is_learnt(learn):
    model, _ = learn("long.txt", b"ab" * 3000 + b"\na\nb\n", "--lines")
    assert model.training["longest_line"] in (1024, 6001)


def test_blank_lines_between_names_are_left_out_with_a_word(learn, train_on):
    plain, spaced = learn("plain.txt", NAMES, "--lines")[0], NAMES.replace(b"\n", b"\n\n")
    left_out, progress = learn("spaced.txt", spaced, "--lines")
    count = NAMES.count(b"\n")
    assert f"charlm: warning: {count} of {2 * count} lines are blank and are left out; --keep-blank" in progress
    assert left_out.training == {**plain.training, "blank_lines_left_out": count}
    kept, progress = learn("spaced.txt", spaced, "--lines", "--keep-blank")
    assert kept.training["train_lines"] > plain.training["train_lines"] and "lines are blank" not in progress
    assert "--keep-blank is for --lines" in error_line(train_on("spaced.txt", spaced, "--keep-blank"), 2)
