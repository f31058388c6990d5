"""`charlm train`: what it writes, what it refuses, and that it repeats itself."""

import bz2
import gzip
import io
import json
import os
import re
import shlex
import threading
import time

import click
import numpy as np
import pytest

from charlm.errors import CharlmError, CorpusError, StorageError, UsageError
from charlm.modelfile import load
from charlm.text.tokenizers.base import decode
from tests.helpers.runners import error_line, run_in_process, run_process
from tests.helpers.texts import TINY


def events(done):
    """Progress lines as (event, line)."""
    return [(re.match(r'event=(\w+)', line)[1], line) for line in done.stderr.splitlines()]


def test_train_writes_the_corpus_name_dot_charlm_in_the_working_directory(trained, verses):
    assert os.listdir(trained.folder) == ["verses.charlm"]
    assert os.listdir(verses.parent) == ["verses.txt"]


def test_progress_in_a_log_is_one_line_an_event_and_stdout_stays_empty(trained):
    names = [name for name, _ in events(trained)]
    assert trained.stdout == b""
    assert names[0] == "plan" and names[-1] == "stopped"
    assert {"step", "validation", "sample", "saved"} < set(names)


def test_same_seed_gives_the_same_bytes_from_stdin_into_a_closed_log(trained, model, verses, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = run_process("train", "-", *TINY, "--seed", "0", stdin=verses.read_bytes(), stderr=writer)
    os.close(writer)
    assert done.code == 0
    assert (tmp_path / "stdin.charlm").read_bytes() == model.read_bytes()


def test_a_gzipped_corpus_trains_as_its_text_and_loses_both_endings(model, verses, tmp_path, monkeypatch):
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
def test_minutes_are_kept_and_the_printed_flags_repeat_the_weights(verses, tmp_path):
    flags = ["train", verses, "--hidden", "16", "--layers", "1", "--patience", "0"]
    began = time.monotonic()
    timed = run_process(*flags, "-o", "timed.charlm", "--minutes", "0.1")
    seconds = time.monotonic() - began
    assert timed.code == 0, timed.stderr
    assert 4 < seconds < 10
    plan = dict(events(timed))["plan"]
    repeat = shlex.split(json.loads(re.search(r'repeat=("[^"]*")', plan)[1]))
    assert repeat[0] == "--steps"
    assert run_process(*flags, "-o", "again.charlm", *repeat, "--quiet").code == 0
    one, two = (load(str(tmp_path / name)).weights for name in ("timed.charlm", "again.charlm"))
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_an_existing_model_is_replaced_only_with_force(verses, tmp_path):
    there = tmp_path / "verses.charlm"
    there.write_bytes(b"precious")
    done = run_process("train", verses, *TINY)
    assert "verses.charlm exists" in error_line(done, 2) and "--force" in error_line(done, 2)
    assert there.read_bytes() == b"precious"
    run_in_process("train", verses, "-o", there, *TINY, "--quiet", "--force").check()
    assert load(str(there)).config.hidden_size == 16


@pytest.mark.parametrize("content, reason", [
    (b"", "empty"), (b"\xef\xbb\xbf", "empty"), (b"x", "too few"),
    (b"a" * 300_000 + b"\xff\n", "0xff at offset 300000"), (b"tail \xe2\x82", "offset 5"),
    (None, "cannot be read")])
def test_a_corpus_that_is_no_text_is_refused_in_one_line(tmp_path, monkeypatch, content, reason):
    if content is not None:
        (tmp_path / "corpus.txt").write_bytes(content)
    done = run_in_process("train", "corpus.txt")
    assert "corpus.txt: " in error_line(done, 4) and reason in error_line(done, 4)
    assert not (tmp_path / "corpus.charlm").exists()


def test_a_folder_or_a_damaged_archive_as_corpus_is_a_corpus_error(tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"some text " * 1000)[:-12])
    for corpus in (tmp_path, tmp_path / "cut.gz"):
        with pytest.raises(CorpusError, match="cannot be read"):
            run_in_process("train", corpus, "-o", tmp_path / "m.charlm").check()


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


def test_an_output_that_is_a_folder_or_has_none_is_a_storage_error(tmp_path):
    for output in (tmp_path, tmp_path / "missing" / "m.charlm"):
        with pytest.raises(StorageError):
            run_in_process("train", tmp_path / "no-such-corpus", "--force", "-o", output).check()


def test_two_of_steps_epochs_and_minutes_are_wrong_usage(verses, tmp_path):
    done = run_process("train", verses, "--steps", 3, "--epochs", 2, "--minutes", 1)
    assert "--steps and --epochs" in error_line(done, 2)
    for pair in (["--steps", 3, "--minutes", 1], ["--epochs", 2, "--minutes", 1]):
        with pytest.raises(UsageError):
            run_in_process("train", verses, "-o", tmp_path / "m.charlm", *pair).check()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("flags", [
    ["--steps", "0"], ["--minutes", "0"], ["--minutes", "nan"], ["--epochs", "-1"], ["--lr", "nan"],
    ["--dropout", "1"], ["--hidden", "0"], ["--layers", "0"], ["--seed", "-1"], ["--clip", "inf"],
    ["--bptt", "0", "--steps", "2"], ["--bptt", "-3", "--steps", "2"],
    ["--batch-size", "0", "--steps", "2"], ["--batch-size", "-5", "--steps", "2"]])
def test_a_number_out_of_range_names_its_flag(verses, tmp_path, flags):
    with pytest.raises(CharlmError, match=flags[0]) as caught:
        run_in_process("train", verses, "-o", tmp_path / "m.charlm", *flags).check()
    assert caught.value.exit_code == 2
    assert os.listdir(tmp_path) == []


def test_a_corpus_of_one_line_trains_and_samples(tmp_path):
    (tmp_path / "line.txt").write_text("to be or not to be")
    run_in_process("train", tmp_path / "line.txt", "-o", tmp_path / "line.charlm", *TINY, "--quiet").check()
    done = run_process("sample", "-n", 30)
    assert done.code == 0
    assert len(done.stdout) == 30 and set(done.stdout) <= set(b"to be rn")


def test_three_characters_are_enough(tmp_path):
    (tmp_path / "abc").write_text("abc")
    run_in_process("train", tmp_path / "abc", "-o", tmp_path / "m.charlm", *TINY, "--steps", 2, "--quiet").check()
    assert load(str(tmp_path / "m.charlm")).training["train_characters"] == 2


def test_controls_and_line_ends_are_learnt_and_a_bom_is_dropped(wild_model):
    tokenizer = load(str(wild_model)).tokenizer
    known = dict(zip("\x1b\x00\r\n[\ufeff", tokenizer.encode("\x1b\x00\r\n[\ufeff") != 0))
    assert known == dict.fromkeys("\x1b\x00\r\n[", True) | {"\ufeff": False}


def test_held_out_text_may_be_another_file(verses, tmp_path):
    (tmp_path / "other.txt").write_text("1234567 green bottles\n")
    run_in_process("train", verses, "-o", tmp_path / "m.charlm", *TINY, "--quiet", "--validation", tmp_path / "other.txt").check()
    training = load(str(tmp_path / "m.charlm")).training
    assert training["train_characters"] == len(verses.read_text(encoding="utf-8"))
    assert training["validation_characters"] == 22


def test_a_fraction_held_out_lies_between_0_and_1(verses, tmp_path):
    for fraction in ("0", "1", "-0.5", "nan"):
        with pytest.raises(Exception, match="between 0 and 1") as caught:
            run_in_process("train", verses, "-o", tmp_path / "m.charlm", "--validation", fraction).check()
        assert caught.value.exit_code == 2


def test_measuring_longer_than_the_run_never_climbs_the_loss(verses, tmp_path, monkeypatch):
    from charlm.training import optimizers
    factors, original = [], optimizers.rate_factor

    def watched(step, config):
        factors.append(original(step, config))
        return factors[-1]

    monkeypatch.setattr(optimizers, "rate_factor", watched)
    run_in_process("train", verses, "-o", tmp_path / "m.charlm", *TINY, "--steps", 1, "--quiet").check()
    assert len(factors) > 2 and min(factors) >= 0


def test_quiet_says_nothing(verses, tmp_path, capfd):
    run_in_process("train", verses, "-o", tmp_path / "m.charlm", *TINY, "--steps", 3, "--quiet").check()
    assert capfd.readouterr() == ("", "")


def test_force_never_replaces_a_text_of_the_run(verses, tmp_path):
    held_out = tmp_path / "held-out.txt"
    held_out.write_text("bottles\n" * 20)
    for output in (verses, held_out):
        before = output.read_bytes()
        with pytest.raises(click.UsageError, match="itself a text"):
            run_in_process("train", verses, "--validation", held_out, "-o", output, "--force").check()
        assert output.read_bytes() == before


def test_a_fifo_is_no_output(verses, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StorageError, match="regular"):
        run_in_process("train", verses, "-o", tmp_path / "fifo", "--force").check()


def test_wrong_sizes_are_refused_before_the_corpus_is_read(tmp_path):
    for flags in (["--lr", "nan"], ["--hidden", -1], ["--dropout", 2], ["--steps", 0],
                  ["--tied", "--embedding", 8, "--hidden", 16]):
        with pytest.raises(UsageError, match=flags[0] if flags[0] != "--tied" else "--tied"):
            run_in_process("train", tmp_path / "missing.txt", "-o", tmp_path / "m.charlm", *flags).check()


PAIRS = b"ja\tyes\nnee\tno\nmisschien\tmaybe\n" * 8
BRIEF = ["--hidden", "8", "--layers", "1", "--steps", "2"]


def plan(said):
    return next(line for line in said.splitlines() if line.startswith("event=plan "))


@pytest.mark.parametrize("name, content", [
    ("lexicon.tsv", PAIRS), ("LEXICON.TSV", PAIRS), ("lexicon.txt", PAIRS), ("lexicon", PAIRS),
    ("lexicon.tsv.gz", gzip.compress(PAIRS, mtime=0)), ("lexicon.txt.bz2", bz2.compress(PAIRS)),
    ("crlf.txt", PAIRS.replace(b"\n", b"\r\n")), ("blank.txt", b"\n" + PAIRS + b"\n\n"),
    ("open.txt", PAIRS.removesuffix(b"\n"))])
def test_pairs_are_known_by_their_name_or_by_their_content(learn, name, content):
    model, said = learn(name, content)
    assert model.task == "pairs"
    assert "pairs to learn from" in plan(said) and "encoder" in plan(said)


@pytest.mark.parametrize("content", [
    PAIRS + b"a line without a tab\n", b"a line without a tab\n" + PAIRS, PAIRS + b"a\tb\tc\n", PAIRS + b"\tb\n",
    b"plain text without any tab\n" * 9])
def test_a_text_with_one_line_that_is_no_pair_is_plain_text(learn, content):
    model, said = learn("text.txt", content)
    assert model.task == "stream"
    assert "characters to learn from" in plan(said) and "pairs" not in plan(said)


def test_text_pairs_and_fill_overrule_what_is_recognised(learn):
    assert learn("lexicon.tsv", PAIRS, "--text")[0].task == "stream"
    assert learn("lexicon.tsv", PAIRS, "--fill")[0].task == "fill"
    with pytest.raises(CorpusError, match="text.txt: line 25 has no tab;"):
        learn("text.txt", PAIRS + b"no tab\n", "--pairs")
    for name, pack in (("lexicon.tsv", bytes), ("LEXICON.TSV", bytes), ("lexicon.tsv.gz", gzip.compress)):
        with pytest.raises(CorpusError, match=f"{name}: line 25 has no tab;"):
            learn(name, pack(PAIRS + b"no tab\n"))


def test_attention_may_be_asked_for_where_pairs_are_recognised(learn):
    assert learn("lexicon.tsv", PAIRS, "--attention")[0].config.attention


def test_a_table_taken_for_pairs_is_refused_with_the_way_out(learn):
    with pytest.raises(CorpusError, match="line 1 has 2 tabs; .* --text"):
        learn("table.tsv", b"a\tb\tc\n")


def test_tabs_and_line_breaks_of_pairs_taken_as_text_are_learnt(learn):
    tokenizer = learn("lexicon.tsv", PAIRS, "--text")[0].tokenizer
    assert (tokenizer.encode("\t\n") != tokenizer.unknown_id).all()


def test_pairs_are_known_on_stdin_and_through_a_fifo(learn, tmp_path):
    done = run_in_process("train", "-", "-o", tmp_path / "stdin.charlm", *BRIEF, stdin=PAIRS)
    assert done.code == 0, done.stderr
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=(tmp_path / "fifo").write_bytes, args=[PAIRS], daemon=True)
    writer.start()
    model, _ = learn("fifo")
    writer.join(10)
    from_stdin = load(str(tmp_path / "stdin.charlm"))
    assert model.task == from_stdin.task == "pairs"
    assert model.training["corpus_digest"] == from_stdin.training["corpus_digest"]


@pytest.mark.parametrize("content, at_once, task", [
    (PAIRS, 2, "pairs"), (PAIRS + b"no tab\n", len("ja\tyes\n"), "stream")])
def test_what_a_pipe_holds_is_recognised_however_slowly_it_arrives(monkeypatch, tmp_path, content, at_once, task):
    class Slow(io.BytesIO):
        def read1(self, size=-1):
            return super().read1(at_once)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Slow(content)))
    run_in_process("train", "-", "-o", tmp_path / "m.charlm", *BRIEF, "--quiet").check()
    assert load(str(tmp_path / "m.charlm")).task == task


def test_crlf_pairs_are_the_pairs(learn):
    plain, crlf = learn("plain.tsv", PAIRS)[0], learn("crlf.tsv", PAIRS.replace(b"\n", b"\r\n"))[0]
    assert plain.training == crlf.training
    assert all(np.array_equal(plain.weights[name], crlf.weights[name]) for name in plain.weights)


@pytest.mark.parametrize("content, reason", [
    (b"a\tb\nc\n", "line 2 has no tab"), (b"a\tb\n\nb\tc\td\n", "line 3 has 2 tabs"),
    (b"\tb\nc\td\n", "line 1 has an empty source"), (b"a\t\r\nc\td\n", "line 1 has an empty target"),
    (b"\t\n", "line 1 has an empty"), (b"a\tb\n", "a single source"), (b"a\tb\na\tc\n", "a single source"),
    (b"", "empty"), (b"\n\r\n", "empty"), (b"a\tb\nc\xff\td\n", "0xff at offset 5")])
def test_a_lexicon_that_is_none_is_refused_in_one_line(tmp_path, content, reason):
    (tmp_path / "lexicon.tsv").write_bytes(content)
    done = run_in_process("train", tmp_path / "lexicon.tsv", "-o", tmp_path / "m.charlm", *BRIEF)
    assert f"{tmp_path / 'lexicon.tsv'}: {reason}" in error_line(done, 4) or reason in error_line(done, 4).split("UTF-8: ")[-1]
    assert not (tmp_path / "m.charlm").exists()


def test_sources_that_stand_twice_are_told_of_and_nothing_is_told_without_any(learn, lexicon, tmp_path):
    _, said = learn("twice.tsv", b"a\tb\na\tc\nb\td\na\tb\n")
    recognised, twice, plan = said.splitlines()[:3]
    assert recognised.startswith("charlm: these are pairs") and "--text" in recognised
    assert twice.startswith("charlm: pairs whose source stood before: 2;") and plan.startswith("event=plan")
    done = run_in_process("train", lexicon, "--pairs", "-o", tmp_path / "once.charlm", *BRIEF)
    assert done.stderr.startswith("event=plan")


def test_quiet_says_nothing_of_sources_that_stand_twice(learn):
    assert learn("twice.tsv", b"a\tb\na\tc\nb\td\n", "--quiet")[1] == ""


def test_pairs_of_one_source_are_never_parted(learn):
    content = b"".join(b"%d\tone\n%d\ttwo\n" % (number, number) for number in range(40))
    facts = learn("twice.tsv", content)[0].training
    assert (facts["train_pairs"], facts["validation_pairs"]) == (72, 8)


def test_held_out_pairs_may_be_another_file_and_must_be_pairs(learn, tmp_path):
    (tmp_path / "other.tsv").write_bytes(b"a\tb\nc\td\n")
    facts = learn("lexicon.tsv", PAIRS, "--validation", tmp_path / "other.tsv")[0].training
    assert (facts["train_pairs"], facts["validation_pairs"]) == (24, 2)
    for content, reason in ((b"a\tb\nno pair\n", "other.tsv: line 2 has no tab"), (b"", "other.tsv: empty")):
        (tmp_path / "other.tsv").write_bytes(content)
        with pytest.raises(CorpusError, match=reason):
            learn("lexicon.tsv", None, "--validation", tmp_path / "other.tsv")


@pytest.mark.parametrize("flags, verb, question", [
    (["--text"], "sample", b""), (["--pairs"], "translate", b"ja\nnee\n"), (["--fill"], "fill", b"j___es\n")])
def test_the_next_command_that_is_told_works(learn, flags, verb, question):
    _, said = learn("lexicon.tsv", PAIRS, *flags)
    words = shlex.split(json.loads(re.search(r' next=("[^"]*")', said)[1]))
    assert words[:2] == ["charlm", verb]
    done = run_in_process(*words[1:], stdin=question)
    assert done.code == 0, done.stderr
    assert done.stdout.count(b"\n") >= question.count(b"\n") and done.stdout


def test_progress_of_pairs_tells_errors_and_shows_translations(learn):
    _, said = learn("lexicon.tsv", PAIRS)
    for event in ("validation", "stopped"):
        line = next(line for line in said.splitlines() if line.startswith(f"event={event} "))
        assert 0 <= float(re.search(r" word_error_rate=([\d.]+)", line)[1]) <= 1
    assert re.search(r'event=sample text="(ja|nee|misschien) → ', said)
    assert "word_error_rate" not in learn("lexicon.tsv", PAIRS, "--fill")[1]


NETWORKS = {
    "stream": [("--bidirectional",), ("--encoder", "stacked", "--cell", "gru"), ("--encoder", "bidirectional",
               "--no-attention", "--cell", "rnn"), ("--cell", "rnn", "--nonlinearity", "relu")],
    "pairs": [(), ("--encoder", "shared", "--cell", "gru"), ("--encoder", "stacked", "--cell", "rnn"),
              ("--no-attention",), ("--encoder", "shared", "--no-attention", "--tied", "--embedding", "8")],
    "fill": [("--cell", "gru"), ("--encoder", "shared"), ("--encoder", "stacked", "--no-attention", "--cell", "rnn")]}


@pytest.mark.parametrize("task, flags", [(task, flags) for task, some in NETWORKS.items() for flags in some])
def test_every_network_does_every_task_as_well_as_training_said(learn, tmp_path, task, flags):
    (tmp_path / "held-out").write_bytes(b"ja\tyes\nneen\tnones\nmis\tmay\n" * 4)
    kind = {"stream": "--text"}.get(task, f"--{task}")
    model, _ = learn("lexicon.tsv", PAIRS, kind, *flags, "--validation", tmp_path / "held-out", "--bptt", 8)
    assert model.task == task
    assert model.config.encoder == (
        flags[flags.index("--encoder") + 1] if "--encoder" in flags
        else "bidirectional" if task != "stream" or "--bidirectional" in flags else "shared")
    assert model.config.attention == (model.config.has_source and "--no-attention" not in flags)
    done = run_in_process("eval", "-m", tmp_path / "learnt.charlm", "--jsonl", tmp_path / "held-out")
    said = json.loads(done.stdout)["nats_per_token"]
    assert said == pytest.approx(model.training["nats_per_token"], abs=2e-4)


@pytest.mark.parametrize("flags, said", [
    (["--bidirectional", "--encoder", "shared"], "--bidirectional and --encoder shared"),
    (["--encoder", "stacked", "--bidirectional", "--pairs"], "--bidirectional and --encoder stacked"),
    (["--attention"], "--attention needs"), (["--attention", "--encoder", "shared"], "--attention needs"),
    (["--tokenizer", "word"], "--tokenizer word"), (["--source-tokenizer", "nfd"], "--source-tokenizer"),
    (["--fill", "--tokenizer", "word"], "--tokenizer word"), (["--fill", "--source-tokenizer", "char"], "--source-tok"),
    (["--label-smoothing", "nan"], "--label-smoothing"), (["--label-smoothing", "1"], "--label-smoothing")])
def test_flags_that_do_not_go_together_are_wrong_usage(verses, tmp_path, flags, said):
    done = run_in_process("train", verses, "-o", tmp_path / "m.charlm", *BRIEF, *flags)
    assert said in error_line(done, 2)
    assert os.listdir(tmp_path) == []


def test_bidirectional_twice_is_no_contradiction(learn):
    model, _ = learn("text.txt", b"plain text\n" * 20, "--bidirectional", "--encoder", "bidirectional")
    assert model.config.encoder == "bidirectional"


def test_targets_of_few_words_are_written_word_by_word_unless_told_otherwise(learn):
    content = b"".join(b"%d\tone two\n%d\ttwo\n" % (number, number + 300) for number in range(300))
    assert learn("words.tsv", content)[0].tokenizer.kind == "word"
    assert learn("words.tsv", None, "--tokenizer", "char")[0].tokenizer.kind == "char"
    model, _ = learn("letters.tsv", b"".join(b"%d\t%d%d\n" % (n, n, n) for n in range(300)))
    assert (model.tokenizer.kind, model.source_tokenizer.kind) == ("char", "nfd")
    assert learn("letters.tsv", None, "--source-tokenizer", "byte")[0].source_tokenizer.kind == "byte"
