"""`charlm train`: its files, its refusals, and the same bytes for the same seed."""

import bz2
import gzip
import io
import json
import os
import re
import shlex
import threading
import time

import numpy as np
import pytest

from charlm.modelfile import load
from charlm.text.tokenizers.base import decode
from tests.helpers.runners import Result, error_line, run_in_process, run_process
from tests.helpers.texts import BRIEF, TINY


def events(done):
    """Return the progress lines as (event, line)."""
    return [(re.match(r'event=(\w+)', line)[1], line) for line in done.stderr.splitlines()
            if not line.startswith("charlm: loading")]


def test_the_model_is_named_after_the_corpus_in_the_working_directory(verses, tmp_path):
    run_in_process("train", verses, *TINY, "--steps", 2, "--quiet").check()
    assert os.listdir(tmp_path) == ["verses.charlm"]
    assert os.listdir(verses.parent) == ["verses.txt"]


def test_progress_in_a_log_is_one_line_an_event_and_stdout_is_empty(verses):
    done = run_in_process("train", verses, *TINY).check()
    names = [name for name, _ in events(done)]
    assert done.stdout == b""
    assert names[0] == "plan" and names[-1] == "stopped"
    assert {"step", "validation", "sample", "saved"} < set(names)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_from_stdin_to_a_closed_log(model, verses, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = run_process("train", "-", *TINY, "--seed", "0", stdin=verses.read_bytes(), stderr=writer)
    os.close(writer)
    assert done.code == 0
    assert (tmp_path / "stdin.charlm").read_bytes() == model.read_bytes()


def test_a_gzipped_corpus_gives_the_model_of_its_text(model, verses, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/verses.txt.gz").write_bytes(gzip.compress(verses.read_bytes()))
    run_in_process("train", "folder/verses.txt.gz", *TINY, "--quiet").check()
    assert (tmp_path / "verses.charlm").read_bytes() == model.read_bytes()


def test_another_seed_gives_other_weights(verses, tmp_path):
    weights = []
    for seed in (1, 2):
        run_in_process("train", verses, "-o", tmp_path / f"{seed}.charlm", *TINY, "--quiet", "--seed", seed).check()
        weights.append(load(str(tmp_path / f"{seed}.charlm")).weights["decoder.0.weight_hh_l0"])
    assert not np.array_equal(*weights)


@pytest.mark.slow
def test_minutes_are_kept_and_the_printed_flags_repeat_the_run(verses, tmp_path):
    flags = ["train", verses, "--hidden", "16", "--layers", "1", "--patience", "0"]
    seconds, length = {}, {"short": ["--steps", "1"], "timed": ["--minutes", "0.1"]}
    for name, flag in length.items():
        began = time.monotonic()
        timed = run_process(*flags, "-o", f"{name}.charlm", *flag)
        seconds[name] = time.monotonic() - began
        assert timed.code == 0, timed.stderr
    # Six seconds; how much more depends on how long the machine takes to start torch and to end a run, now.
    assert 4 < seconds["timed"] < 6 + max(4, 2 * seconds["short"])
    stopped = dict(events(timed))["stopped"]
    repeat = shlex.split(json.loads(re.search(r'repeat=("[^"]*")', stopped)[1]))
    assert repeat[:2] == ["charlm", "train"] and "--steps" in repeat and "--minutes" not in repeat
    assert run_process(*repeat[1:], "--quiet").code == 0
    one, two = (load(str(tmp_path / name)).weights for name in ("timed.charlm", "again.charlm"))
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_an_existing_model_is_replaced_only_with_force(verses, model, tmp_path):
    there = tmp_path / "verses.charlm"
    before = model.read_bytes()
    there.write_bytes(before[:-1])                          # even a damaged one
    done = run_process("train", verses, *TINY)
    assert "verses.charlm exists" in error_line(done, 2) and "--force" in error_line(done, 2)
    assert there.read_bytes() == before[:-1]
    run_in_process("train", verses, "-o", there, *TINY, "--quiet", "--force").check()
    assert load(str(there)).config.hidden_size == 16


@pytest.mark.parametrize("content, reason", [
    (b"", "empty"), (b"\xef\xbb\xbf", "empty"), (b"x", "too few"),
    (b"a" * 300_000 + b"\xff\n", "0xff at offset 300000"), (b"tail \xe2\x82", "offset 5"),
    (None, "cannot be read")])
def test_a_corpus_that_is_not_text_is_refused_in_one_line(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "corpus.txt").write_bytes(content)
    done = run_in_process("train", "corpus.txt")
    assert "corpus.txt: " in error_line(done, 4) and reason in error_line(done, 4)
    assert not (tmp_path / "corpus.charlm").exists()


def test_a_folder_or_a_damaged_archive_as_corpus_is_a_corpus_error(tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"some text " * 1000)[:-12])
    for corpus in (tmp_path, tmp_path / "cut.gz"):
        assert "cannot be read" in error_line(run_in_process("train", corpus, "-o", "m.charlm"), 4)


def test_bad_bytes_can_be_replaced_or_ignored(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_bytes(b"caf\xe9 au lait\n" * 40)
    for errors, known in (("replace", True), ("ignore", False)):
        path = tmp_path / f"{errors}.charlm"
        run_in_process("train", corpus, "-o", path, *TINY, "--steps", 2, "--quiet", "--errors", errors).check()
        tokenizer = load(str(path)).tokenizer
        assert ("\ufffd" in decode(tokenizer, range(1, tokenizer.size))) == known


def test_an_unwritable_output_is_refused_before_the_corpus_is_read(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = run_process("train", "no-such-corpus.txt", "-o", "file/model.charlm")
    assert "file/model.charlm: cannot be written" in error_line(done, 6)


def test_an_output_that_is_a_folder_or_in_a_missing_one_is_a_storage_error(tmp_path):
    for output in (tmp_path, tmp_path / "missing" / "m.charlm"):
        error_line(run_in_process("train", "no-such-corpus", "--force", "-o", output), 6)


def test_two_of_steps_epochs_and_minutes_are_a_usage_error(verses, tmp_path):
    for flags in (["--steps", 3, "--epochs", 2, "--minutes", 1], ["--steps", 3, "--minutes", 1],
                  ["--epochs", 2, "--minutes", 1]):
        assert f"{flags[0]} and {flags[2]}" in error_line(run_in_process("train", verses, *flags), 2)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("flags", [
    ["--steps", "0"], ["--minutes", "0"], ["--minutes", "nan"], ["--epochs", "-1"], ["--lr", "nan"],
    ["--dropout", "1"], ["--hidden", "0"], ["--layers", "0"], ["--seed", "-1"], ["--clip", "inf"],
    ["--bptt", "0", "--steps", "2"], ["--bptt", "-3", "--steps", "2"],
    ["--batch-size", "0", "--steps", "2"], ["--batch-size", "-5", "--steps", "2"]])
def test_a_number_out_of_range_names_its_flag(verses, tmp_path, flags):
    assert flags[0] in error_line(run_in_process("train", verses, "-o", "m.charlm", *flags), 2)
    assert os.listdir(tmp_path) == []


def test_a_corpus_of_one_line_trains_and_samples(tmp_path):
    (tmp_path / "line.txt").write_text("to be or not to be")
    run_in_process("train", tmp_path / "line.txt", "-o", tmp_path / "line.charlm", *TINY, "--quiet").check()
    done = run_in_process("sample", "-n", 30).check()
    assert len(done.stdout) == 30 and set(done.stdout) <= set(b"to be rn")


def test_three_characters_are_enough(tmp_path):
    (tmp_path / "abc").write_text("abc")
    run_in_process("train", tmp_path / "abc", "-o", tmp_path / "m.charlm", *TINY, "--steps", 2, "--quiet").check()
    assert load(str(tmp_path / "m.charlm")).training["train_characters"] == 2


def test_control_characters_and_crlf_are_learnt_and_a_bom_is_dropped(wild_model):
    tokenizer = load(str(wild_model)).tokenizer
    known = dict(zip("\x1b\x00\r\n[\ufeff", tokenizer.encode("\x1b\x00\r\n[\ufeff") != 0, strict=True))
    assert known == dict.fromkeys("\x1b\x00\r\n[", True) | {"\ufeff": False}


def test_the_held_out_text_may_be_another_file(verses, tmp_path):
    (tmp_path / "other.txt").write_text("1234567 green bottles\n")
    run_in_process("train", verses, "-o", tmp_path / "m.charlm", *TINY, "--quiet", "--validation",
                   tmp_path / "other.txt").check()
    training = load(str(tmp_path / "m.charlm")).training
    assert training["train_characters"] == len(verses.read_text(encoding="utf-8"))
    assert training["validation_characters"] == 22


def test_validating_on_the_training_text_is_a_warning(learn, verses):
    _, progress = learn("c.txt", verses.read_bytes(), "--validation", "c.txt")
    assert progress.startswith("charlm: warning: all of the held-out text is in the training text, too")


def test_a_held_out_fraction_must_be_between_0_and_1(verses):
    for fraction in ("0", "1", "-0.5", "nan"):
        done = run_in_process("train", verses, "-o", "m.charlm", f"--validation={fraction}")
        assert "between 0 and 1" in error_line(done, 2)


def test_measuring_longer_than_the_run_keeps_the_learning_rate_positive(verses, monkeypatch):
    from charlm.training import trainer
    factors, original = [], trainer.rate_factor

    def watched(step, config):
        factors.append(original(step, config))
        return factors[-1]

    monkeypatch.setattr(trainer, "rate_factor", watched)
    flags = [flag for flag in TINY if flag not in ("--steps", "30")]
    run_in_process("train", verses, "-o", "m.charlm", *flags, "--minutes", 0.001, "--quiet").check()
    assert len(factors) > 2 and min(factors) >= 0


def test_quiet_prints_nothing(verses, capfd):
    done = run_in_process("train", verses, "-o", "m.charlm", *TINY, "--steps", 3, "--quiet")
    assert done == Result(0, b"", "") and capfd.readouterr() == ("", "")


def test_a_model_is_no_text_to_train_on(model, verses):
    done = run_in_process("train", verses, model, "-o", "m.charlm", "--force")
    assert f"is a model, not a text; train it on a text with: charlm train TEXT --init-from {model}\n" \
        in error_line(done, 2)


def test_force_never_replaces_a_text_of_the_run(verses, tmp_path):
    held_out = tmp_path / "held-out.txt"
    held_out.write_text("bottles\n" * 20)
    for output in (verses, held_out):
        before = output.read_bytes()
        done = run_in_process("train", verses, "--validation", held_out, "-o", output, "--force")
        assert "itself a text" in error_line(done, 2)
        assert output.read_bytes() == before


@pytest.mark.parametrize("flags", [[], ["--force"], ["--resume"], ["--resume", "--force"]], ids=str)
def test_a_file_that_is_no_model_is_never_replaced(verses, tmp_path, flags):
    (tmp_path / "notes.txt").write_bytes(b"precious")
    done = run_in_process("train", verses, "-o", "notes.txt", *TINY, *flags)
    assert "notes.txt exists and is not a model" in error_line(done, 2)
    assert (tmp_path / "notes.txt").read_bytes() == b"precious"


def test_an_empty_file_is_replaced_with_force(verses, tmp_path):
    (tmp_path / "made-by-mktemp").touch()
    run_in_process("train", verses, "-o", "made-by-mktemp", *TINY, "--quiet", "--force").check()


def test_an_empty_name_is_refused_as_output_and_as_model(verses, model, tmp_path):
    (tmp_path / "newest.charlm").write_bytes(model.read_bytes())
    assert "-o/--output is empty" in error_line(run_in_process("train", verses, "-o", "", *TINY), 2)
    assert "-m/--model is empty" in error_line(run_in_process("sample", "-m", ""), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["newest.charlm"]


def test_a_fifo_as_output_is_a_storage_error(verses, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert "regular" in error_line(run_in_process("train", verses, "-o", "fifo", "--force"), 6)


def test_invalid_sizes_are_refused_before_the_corpus_is_read():
    for flags in (["--lr", "nan"], ["--hidden", -1], ["--dropout", 2], ["--steps", 0],
                  ["--tied", "--embedding", 8, "--hidden", 16]):
        assert flags[0] in error_line(run_in_process("train", "missing.txt", "-o", "m.charlm", *flags), 2)


PAIRS = b"ja\tyes\nnee\tno\nmisschien\tmaybe\n" * 8


def plan_of(progress):
    """Return the progress line of the plan."""
    return next(line for line in progress.splitlines() if line.startswith("event=plan "))


@pytest.mark.parametrize("name, content", [
    ("lexicon.tsv", PAIRS), ("LEXICON.TSV", PAIRS), ("lexicon.txt", PAIRS), ("lexicon", PAIRS),
    ("lexicon.tsv.gz", gzip.compress(PAIRS, mtime=0)), ("lexicon.txt.bz2", bz2.compress(PAIRS)),
    ("crlf.txt", PAIRS.replace(b"\n", b"\r\n")), ("blank.txt", b"\n" + PAIRS + b"\n\n"),
    ("open.txt", PAIRS.removesuffix(b"\n"))])
def test_pairs_are_recognised_by_file_name_or_content(learn, name, content):
    model, progress = learn(name, content)
    assert model.task == "pairs"
    assert "pairs to learn from" in plan_of(progress) and "encoder" in plan_of(progress)


@pytest.mark.parametrize("content", [
    PAIRS + b"a line without a tab\n", b"a line without a tab\n" + PAIRS, PAIRS + b"a\tb\tc\n", PAIRS + b"\tb\n",
    b"plain text without any tab\n" * 9])
def test_a_text_with_a_line_that_is_not_a_pair_is_running_text(learn, content):
    model, progress = learn("text.txt", content)
    assert model.task == "text"
    assert "characters to learn from" in plan_of(progress) and "pairs" not in plan_of(progress)


def test_text_pairs_and_fill_override_the_recognised_task(learn, train_on):
    assert learn("lexicon.tsv", PAIRS, "--text")[0].task == "text"
    assert learn("lexicon.tsv", PAIRS, "--fill")[0].task == "fill"
    assert "text.txt: line 25 has no tab;" in error_line(train_on("text.txt", PAIRS + b"no tab\n", "--pairs"), 4)
    for name, pack in (("lexicon.tsv", bytes), ("LEXICON.TSV", bytes), ("lexicon.tsv.gz", gzip.compress)):
        assert f"{name}: line 25 has no tab;" in error_line(train_on(name, pack(PAIRS + b"no tab\n")), 4)


def test_attention_can_be_requested_for_recognised_pairs(learn):
    assert learn("lexicon.tsv", PAIRS, "--attention")[0].config.attention


def test_a_table_mistaken_for_pairs_is_refused_with_the_flag_that_helps(train_on):
    message = error_line(train_on("table.tsv", b"a\tb\tc\n"), 4)
    assert "line 1 has 2 tabs; " in message and " --text" in message


def test_tabs_and_newlines_are_learnt_if_pairs_are_read_as_text(learn):
    tokenizer = learn("lexicon.tsv", PAIRS, "--text")[0].tokenizer
    assert (tokenizer.encode("\t\n") != tokenizer.unknown_id).all()


def test_pairs_are_recognised_on_stdin_and_through_a_fifo(learn, tmp_path):
    run_in_process("train", "-", "-o", "stdin.charlm", *BRIEF, stdin=PAIRS).check()
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=(tmp_path / "fifo").write_bytes, args=[PAIRS], daemon=True)
    writer.start()
    model, _ = learn("fifo")
    writer.join(10)
    from_stdin = load(str(tmp_path / "stdin.charlm"))
    assert model.task == from_stdin.task == "pairs"
    assert model.training["corpus_digest"] == from_stdin.training["corpus_digest"]


@pytest.mark.parametrize("content, at_once, task", [
    (PAIRS, 2, "pairs"), (PAIRS + b"no tab\n", len("ja\tyes\n"), "text")])
def test_a_task_is_recognised_however_slowly_stdin_arrives(content, at_once, task):
    class Slow(io.BytesIO):
        def read1(self, size=-1):
            return super().read1(at_once)
    run_in_process("train", "-", "-o", "m.charlm", *BRIEF, "--quiet", stdin=io.TextIOWrapper(Slow(content))).check()
    assert load("m.charlm").task == task


def test_pairs_with_crlf_are_the_same_pairs(learn):
    plain, crlf = learn("plain.tsv", PAIRS)[0], learn("crlf.tsv", PAIRS.replace(b"\n", b"\r\n"))[0]
    assert plain.training == crlf.training
    assert all(np.array_equal(plain.weights[name], crlf.weights[name]) for name in plain.weights)


@pytest.mark.parametrize("content, reason", [
    (b"a\tb\nc\n", "line 2 has no tab"), (b"a\tb\n\nb\tc\td\n", "line 3 has 2 tabs"),
    (b"\tb\nc\td\n", "line 1 has an empty source"), (b"a\t\r\nc\td\n", "line 1 has an empty target"),
    (b"\t\n", "line 1 has an empty"), (b"a\tb\n", "a single source"), (b"a\tb\na\tc\n", "a single source"),
    (b"", "empty"), (b"\n\r\n", "empty"), (b"a\tb\nc\xff\td\n", "0xff at offset 5")])
def test_malformed_pairs_are_refused_in_one_line(tmp_path, content, reason):
    (tmp_path / "lexicon.tsv").write_bytes(content)
    message = error_line(run_in_process("train", "lexicon.tsv", "-o", "m.charlm", *BRIEF), 4)
    assert f"lexicon.tsv: {reason}" in message or reason in message.split("UTF-8: ")[-1]
    assert not (tmp_path / "m.charlm").exists()


def test_repeated_sources_are_reported(learn, lexicon, tmp_path):
    _, progress = learn("twice.tsv", b"a\tb\na\tc\nb\td\na\tb\n")
    recognised, repeated, plan = progress.splitlines()[:3]
    assert recognised.startswith("charlm: these are pairs") and "--text" in recognised
    assert repeated.startswith("charlm: pairs that repeat the source of an earlier pair: 2;")
    assert plan.startswith("event=plan")
    done = run_in_process("train", lexicon, "--pairs", "-o", tmp_path / "once.charlm", *BRIEF)
    assert done.stderr.startswith("event=plan")


def test_repeated_sources_are_not_reported_with_quiet(learn):
    assert learn("twice.tsv", b"a\tb\na\tc\nb\td\n", "--quiet")[1] == ""


def test_all_pairs_of_a_source_are_on_the_same_side_of_the_split(learn):
    content = b"".join(b"%d\tone\n%d\ttwo\n" % (number, number) for number in range(40))
    summary = learn("twice.tsv", content)[0].training
    assert (summary["train_pairs"], summary["validation_pairs"]) == (72, 8)


def test_held_out_pairs_may_be_another_file_and_must_be_pairs(learn, train_on, tmp_path):
    (tmp_path / "other.tsv").write_bytes(b"a\tb\nc\td\n")
    summary = learn("lexicon.tsv", PAIRS, "--validation", tmp_path / "other.tsv")[0].training
    assert (summary["train_pairs"], summary["validation_pairs"]) == (24, 2)
    for content, reason in ((b"a\tb\nno pair\n", "other.tsv: line 2 has no tab"), (b"", "other.tsv: empty")):
        (tmp_path / "other.tsv").write_bytes(content)
        assert reason in error_line(train_on("lexicon.tsv", None, "--validation", tmp_path / "other.tsv"), 4)


@pytest.mark.parametrize("flags, verb, question", [
    (["--text"], "sample", b""), (["--pairs"], "translate", b"ja\nnee\n"), (["--fill"], "fill", b"j___es\n")])
def test_the_next_command_that_is_printed_works(learn, flags, verb, question):
    _, progress = learn("lexicon.tsv", PAIRS, *flags)
    words = shlex.split(json.loads(re.search(r' next=("[^"]*")', progress)[1]))
    assert words[:2] == ["charlm", verb]
    done = run_in_process(*words[1:], stdin=question).check()
    assert done.stdout.count(b"\n") >= question.count(b"\n") and done.stdout


def test_progress_of_pairs_shows_error_rates_and_translations(learn):
    _, progress = learn("lexicon.tsv", PAIRS)
    for event in ("validation", "stopped"):
        line = next(line for line in progress.splitlines() if line.startswith(f"event={event} "))
        assert 0 <= float(re.search(r" word_error_rate=([\d.]+)", line)[1]) <= 1
    assert re.search(r'event=sample text="(ja|nee|misschien) → ', progress)
    assert "word_error_rate" not in learn("lexicon.tsv", PAIRS, "--fill")[1]


NETWORKS = {
    "text": [("--bidirectional",), ("--encoder", "stacked", "--cell", "gru"), ("--encoder", "bidirectional",
               "--no-attention", "--cell", "rnn"), ("--cell", "rnn", "--nonlinearity", "relu")],
    "pairs": [(), ("--encoder", "shared", "--cell", "gru"), ("--encoder", "stacked", "--cell", "rnn"),
              ("--no-attention",), ("--encoder", "shared", "--no-attention", "--tied", "--embedding", "8")],
    "fill": [("--cell", "gru"), ("--encoder", "shared"), ("--encoder", "stacked", "--no-attention", "--cell", "rnn")]}


@pytest.mark.parametrize("task, flags", [(task, flags) for task, networks in NETWORKS.items() for flags in networks])
def test_eval_of_every_network_and_task_equals_the_validation_loss(learn, tmp_path, task, flags):
    (tmp_path / "held-out").write_bytes(b"ja\tyes\nneen\tnones\nmis\tmay\n" * 4)
    model, _ = learn("lexicon.tsv", PAIRS, f"--{task}", *flags, "--validation", tmp_path / "held-out", "--bptt", 8)
    assert model.task == task
    assert model.config.encoder == (
        flags[flags.index("--encoder") + 1] if "--encoder" in flags
        else "bidirectional" if task != "text" or "--bidirectional" in flags else "shared")
    assert model.config.attention == (model.config.has_source and "--no-attention" not in flags)
    done = run_in_process("eval", "-m", tmp_path / "learnt.charlm", "--jsonl", tmp_path / "held-out")
    assert json.loads(done.stdout)["nats_per_token"] == pytest.approx(model.training["nats_per_token"], abs=2e-4)


@pytest.mark.parametrize("flags, message", [
    (["--bidirectional", "--encoder", "shared"], "--bidirectional and --encoder shared"),
    (["--encoder", "stacked", "--bidirectional", "--pairs"], "--bidirectional and --encoder stacked"),
    (["--attention"], "--attention needs"), (["--attention", "--encoder", "shared"], "--attention needs"),
    (["--tokenizer", "word"], "--tokenizer word"), (["--source-tokenizer", "nfd"], "--source-tokenizer"),
    (["--fill", "--tokenizer", "word"], "--tokenizer word"), (["--fill", "--source-tokenizer", "char"], "--source-tok"),
    (["--label-smoothing", "nan"], "--label-smoothing"), (["--label-smoothing", "1"], "--label-smoothing")])
def test_flags_that_contradict_each_other_are_usage_errors(verses, tmp_path, flags, message):
    done = run_in_process("train", verses, "-o", tmp_path / "m.charlm", *BRIEF, *flags)
    assert message in error_line(done, 2)
    assert os.listdir(tmp_path) == []


def test_bidirectional_given_in_both_ways_is_no_contradiction(learn):
    model, _ = learn("text.txt", b"plain text\n" * 20, "--bidirectional", "--encoder", "bidirectional")
    assert model.config.encoder == "bidirectional"


def test_targets_of_few_words_get_a_word_tokenizer_by_default(learn):
    content = b"".join(b"%d\tone two\n%d\ttwo\n" % (number, number + 300) for number in range(300))
    assert learn("words.tsv", content)[0].tokenizer.kind == "word"
    assert learn("words.tsv", None, "--tokenizer", "char")[0].tokenizer.kind == "char"
    model, _ = learn("letters.tsv", b"".join(b"%d\t%d%d\n" % (n, n, n) for n in range(300)))
    assert (model.tokenizer.kind, model.source_tokenizer.kind) == ("char", "nfd")
    assert learn("letters.tsv", None, "--source-tokenizer", "byte")[0].source_tokenizer.kind == "byte"
