"""`charlm train`: what it writes, what it refuses, and that it repeats itself."""

import gzip
import json
import os
import re
import shlex
import time

import click
import numpy as np
import pytest

from charlm.errors import CharlmError, CorpusError, StorageError, UsageError
from charlm.modelfile import load
from charlm.text.tokenizer import decode


def events(done):
    """Progress lines as (event, line)."""
    return [(re.match(r'event=(\w+)', line)[1], line) for line in done.stderr.decode().splitlines()]


def test_train_writes_the_corpus_name_dot_charlm_in_the_working_directory(trained, verses):
    assert os.listdir(trained.folder) == ["verses.charlm"]
    assert os.listdir(verses.parent) == ["verses.txt"]


def test_progress_in_a_log_is_one_line_an_event_and_stdout_stays_empty(trained):
    names = [name for name, _ in events(trained)]
    assert trained.stdout == b""
    assert names[0] == "plan" and names[-1] == "stopped"
    assert {"step", "validation", "sample", "saved"} < set(names)


def test_same_seed_gives_the_same_bytes_from_stdin_into_a_closed_log(charlm, tiny, trained, model,
                                                                      verses, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = charlm("train", "-", *tiny, "--seed", "0", input=verses.read_bytes(), stderr=writer)
    os.close(writer)
    assert done.returncode == 0
    assert (tmp_path / "stdin.charlm").read_bytes() == model.read_bytes()


def test_a_gzipped_corpus_trains_as_its_text_and_loses_both_endings(here, tiny, model, verses, tmp_path,
                                                                    monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/verses.txt.gz").write_bytes(gzip.compress(verses.read_bytes()))
    here("train", "folder/verses.txt.gz", *tiny, "--quiet")
    assert (tmp_path / "verses.charlm").read_bytes() == model.read_bytes()


def test_another_seed_gives_other_weights(here, tiny, verses, tmp_path):
    weights = []
    for seed in (1, 2):
        here("train", verses, "-o", tmp_path / f"{seed}.charlm", *tiny, "--quiet", "--seed", seed)
        weights.append(load(str(tmp_path / f"{seed}.charlm")).weights["decoder.0.weight_hh_l0"])
    assert not np.array_equal(*weights)


def test_minutes_are_kept_and_the_printed_flags_repeat_the_weights(charlm, verses, tmp_path):
    flags = ["train", verses, "--hidden", "16", "--layers", "1", "--patience", "0"]
    began = time.monotonic()
    timed = charlm(*flags, "-o", "timed.charlm", "--minutes", "0.1")
    seconds = time.monotonic() - began
    assert timed.returncode == 0, timed.stderr
    assert 4 < seconds < 10
    plan = dict(events(timed))["plan"]
    repeat = shlex.split(json.loads(re.search(r'repeat=("[^"]*")', plan)[1]))
    assert repeat[0] == "--steps"
    assert charlm(*flags, "-o", "again.charlm", *repeat, "--quiet").returncode == 0
    one, two = (load(str(tmp_path / name)).weights for name in ("timed.charlm", "again.charlm"))
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_an_existing_model_is_replaced_only_with_force(charlm, here, tiny, refusal, verses, tmp_path):
    there = tmp_path / "verses.charlm"
    there.write_bytes(b"precious")
    done = charlm("train", verses, *tiny)
    assert done.returncode == 2
    assert "verses.charlm exists" in refusal(done) and "--force" in refusal(done)
    assert there.read_bytes() == b"precious"
    here("train", verses, "-o", there, *tiny, "--quiet", "--force")
    assert load(str(there)).config.hidden_size == 16


@pytest.mark.parametrize("content, reason", [
    (b"", "empty"), (b"\xef\xbb\xbf", "empty"), (b"x", "too few"),
    (b"a" * 300_000 + b"\xff\n", "0xff at offset 300000"), (b"tail \xe2\x82", "offset 5"),
    (None, "cannot be read")])
def test_a_corpus_that_is_no_text_is_refused_in_one_line(charlm, refusal, tmp_path, content, reason):
    if content is not None:
        (tmp_path / "corpus.txt").write_bytes(content)
    done = charlm("train", "corpus.txt")
    assert done.returncode == 4
    assert "corpus.txt: " in refusal(done) and reason in refusal(done)
    assert not (tmp_path / "corpus.charlm").exists()


def test_a_folder_or_a_damaged_archive_as_corpus_is_a_corpus_error(here, tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"some text " * 1000)[:-12])
    for corpus in (tmp_path, tmp_path / "cut.gz"):
        with pytest.raises(CorpusError, match="cannot be read"):
            here("train", corpus, "-o", tmp_path / "m.charlm")


def test_bad_bytes_can_be_replaced_or_ignored(here, tiny, tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_bytes(b"caf\xe9 au lait\n" * 40)
    for errors, known in (("replace", True), ("ignore", False)):
        path = tmp_path / f"{errors}.charlm"
        here("train", corpus, "-o", path, *tiny, "--steps", 2, "--quiet", "--errors", errors)
        tokenizer = load(str(path)).tokenizer
        assert ("\ufffd" in decode(tokenizer, range(1, tokenizer.size))) == known


def test_an_unwritable_output_is_refused_before_the_corpus_is_read(charlm, refusal, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = charlm("train", "no-such-corpus.txt", "-o", "file/model.charlm")
    assert done.returncode == 6
    assert "file/model.charlm: cannot be written" in refusal(done)


def test_an_output_that_is_a_folder_or_has_none_is_a_storage_error(here, tmp_path):
    for output in (tmp_path, tmp_path / "missing" / "m.charlm"):
        with pytest.raises(StorageError):
            here("train", tmp_path / "no-such-corpus", "--force", "-o", output)


def test_two_of_steps_epochs_and_minutes_are_wrong_usage(charlm, here, refusal, verses, tmp_path):
    done = charlm("train", verses, "--steps", 3, "--epochs", 2, "--minutes", 1)
    assert done.returncode == 2
    assert "--steps and --epochs" in refusal(done)
    for pair in (["--steps", 3, "--minutes", 1], ["--epochs", 2, "--minutes", 1]):
        with pytest.raises(UsageError):
            here("train", verses, "-o", tmp_path / "m.charlm", *pair)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("flags", [
    ["--steps", "0"], ["--minutes", "0"], ["--minutes", "nan"], ["--epochs", "-1"], ["--lr", "nan"],
    ["--dropout", "1"], ["--hidden", "0"], ["--layers", "0"], ["--seed", "-1"], ["--clip", "inf"],
    ["--bptt", "0", "--steps", "2"], ["--bptt", "-3", "--steps", "2"],
    ["--batch-size", "0", "--steps", "2"], ["--batch-size", "-5", "--steps", "2"]])
def test_a_number_out_of_range_names_its_flag(here, verses, tmp_path, flags):
    with pytest.raises(CharlmError, match=flags[0]) as caught:
        here("train", verses, "-o", tmp_path / "m.charlm", *flags)
    assert caught.value.exit_code == 2
    assert os.listdir(tmp_path) == []


def test_a_corpus_of_one_line_trains_and_samples(charlm, here, tiny, tmp_path):
    (tmp_path / "line.txt").write_text("to be or not to be")
    here("train", tmp_path / "line.txt", "-o", tmp_path / "line.charlm", *tiny, "--quiet")
    done = charlm("sample", "-n", 30)
    assert done.returncode == 0
    assert len(done.stdout) == 30 and set(done.stdout) <= set(b"to be rn")


def test_three_characters_are_enough(here, tiny, tmp_path):
    (tmp_path / "abc").write_text("abc")
    here("train", tmp_path / "abc", "-o", tmp_path / "m.charlm", *tiny, "--steps", 2, "--quiet")
    assert load(str(tmp_path / "m.charlm")).training["train_characters"] == 2


def test_controls_and_line_ends_are_learnt_and_a_bom_is_dropped(wild_model):
    tokenizer = load(str(wild_model)).tokenizer
    known = dict(zip("\x1b\x00\r\n[\ufeff", tokenizer.encode("\x1b\x00\r\n[\ufeff") != 0))
    assert known == dict.fromkeys("\x1b\x00\r\n[", True) | {"\ufeff": False}


def test_held_out_text_may_be_another_file(here, tiny, verses, tmp_path):
    (tmp_path / "other.txt").write_text("1234567 green bottles\n")
    here("train", verses, "-o", tmp_path / "m.charlm", *tiny, "--quiet",
         "--validation", tmp_path / "other.txt")
    training = load(str(tmp_path / "m.charlm")).training
    assert training["train_characters"] == len(verses.read_text(encoding="utf-8"))
    assert training["validation_characters"] == 22


def test_a_fraction_held_out_lies_between_0_and_1(here, verses, tmp_path):
    for fraction in ("0", "1", "-0.5", "nan"):
        with pytest.raises(Exception, match="between 0 and 1") as caught:
            here("train", verses, "-o", tmp_path / "m.charlm", "--validation", fraction)
        assert caught.value.exit_code == 2


def test_measuring_longer_than_the_run_never_climbs_the_loss(here, tiny, verses, tmp_path, monkeypatch):
    from charlm.training import optimizers
    factors, original = [], optimizers.rate_factor

    def watched(step, config):
        factors.append(original(step, config))
        return factors[-1]

    monkeypatch.setattr(optimizers, "rate_factor", watched)
    here("train", verses, "-o", tmp_path / "m.charlm", *tiny, "--steps", 1, "--quiet")
    assert len(factors) > 2 and min(factors) >= 0


def test_quiet_says_nothing(here, tiny, verses, tmp_path, capfd):
    here("train", verses, "-o", tmp_path / "m.charlm", *tiny, "--steps", 3, "--quiet")
    assert capfd.readouterr() == ("", "")


def test_force_never_replaces_a_text_of_the_run(here, verses, tmp_path):
    held_out = tmp_path / "held-out.txt"
    held_out.write_text("bottles\n" * 20)
    for output in (verses, held_out):
        before = output.read_bytes()
        with pytest.raises(click.UsageError, match="itself a text"):
            here("train", verses, "--validation", held_out, "-o", output, "--force")
        assert output.read_bytes() == before


def test_a_fifo_is_no_output(here, verses, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StorageError, match="regular"):
        here("train", verses, "-o", tmp_path / "fifo", "--force")


def test_wrong_sizes_are_refused_before_the_corpus_is_read(here, tmp_path):
    for flags in (["--lr", "nan"], ["--hidden", -1], ["--dropout", 2], ["--steps", 0],
                  ["--tied", "--embedding", 8, "--hidden", 16]):
        with pytest.raises(UsageError, match=flags[0] if flags[0] != "--tied" else "--tied"):
            here("train", tmp_path / "missing.txt", "-o", tmp_path / "m.charlm", *flags)
