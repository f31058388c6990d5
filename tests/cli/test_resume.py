"""`charlm train`: going on with a run, beginning with a model, and what is refused of both."""

import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest

from charlm.errors import CorpusError, InUseError
from charlm.lock import locked
from charlm.modelfile import load
from tests.helpers.runners import environment, run_in_process, run_process

FLAGS = ["--hidden", "8", "--layers", "1", "--embedding", "6", "--batch-size", "4", "--bptt", "16", "--steps", "12",
         "--dropout", "0.2", "--averaging", "0.9"]
TEXT = "a cat sat\non a mat\n" * 30


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    (tmp_path / "corpus").write_text(TEXT, encoding="utf-8")
    return tmp_path / "corpus"


@pytest.fixture
def train():
    """Trains in this process with the error boundary; returns exit code and what was said."""
    def run(*flags):
        done = run_in_process("train", "corpus", "-o", "model", *flags)
        return done.code, done.stderr
    return run


@pytest.fixture
def unfinished(corpus, monkeypatch, train):
    """A run of `FLAGS` that stands at step 6: as if it had been killed there."""
    from charlm.training import trainer
    real = trainer.Trainer.update

    def until_the_sixth(self, step):
        if step == 6:
            raise MemoryError
        return real(self, step)

    def no_measurement(self, *_, **__):
        from charlm.training.speed import Speed
        return Speed(1e-3, 1e-3)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "update", until_the_sixth)
        patch.setattr("charlm.training.session.measure", no_measurement)
        code, said = train(*FLAGS, "--checkpoint-every", "0")
    assert code == 1 and "out of memory" in said
    return corpus


def test_an_interrupted_run_says_how_to_go_on_and_ends_with_the_same_bytes(tmp_path, corpus):
    def process(output, *flags):
        return subprocess.Popen([sys.executable, "-m", "charlm", "train", "corpus", "-o", output, "--threads", "1", *flags],
                                cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)

    long = [*FLAGS[:-6], "--steps", "250", "--dropout", "0.2", "--averaging", "0.9", "--patience", "0"]
    started = process("cut", *long, "--checkpoint-every", "0.2")
    said = ""
    while "step=" not in said.split("event=planned")[-1]:
        said += started.stderr.readline()
    started.send_signal(signal.SIGINT)
    said += started.stderr.read()
    assert started.wait(20) == -signal.SIGINT
    assert "charlm train corpus -o cut --resume" in said
    for output, flags in (("cut", ["--resume"]), ("whole", long)):
        done = process(output, *flags)
        assert done.stderr.read() and done.wait(60) == 0
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "cut", "whole"]


def test_resume_without_any_flag_of_the_run_is_that_run(unfinished, train, tmp_path):
    code, said = train("--resume")
    assert code == 0 and "event=resumed step=6" in said
    resumed = (tmp_path / "model").read_bytes()
    assert train(*FLAGS, "--force")[0] == 0
    assert (tmp_path / "model").read_bytes() == resumed


def test_resume_without_a_checkpoint_begins_at_the_beginning(corpus, train):
    code, said = train(*FLAGS, "--resume")
    assert code == 0 and "no checkpoint yet; starting from the beginning" in said


def test_resume_of_a_finished_run_says_so(corpus, train, tmp_path):
    assert train(*FLAGS)[0] == 0
    before = (tmp_path / "model").read_bytes()
    code, said = train("--resume")
    assert code == 0 and "model has no checkpoint: its run is finished" in said and len(said.splitlines()) == 1
    assert (tmp_path / "model").read_bytes() == before


def test_an_unfinished_run_is_neither_forgotten_nor_replaced_unasked(unfinished, train, tmp_path):
    (tmp_path / "model").unlink(missing_ok=True)
    code, said = train(*FLAGS)
    assert code == 2 and "--resume" in said and "--force" in said
    assert "event=resumed step=6" in train("--resume")[1]


def test_force_starts_anew(unfinished, train):
    code, said = train(*FLAGS, "--force")
    assert code == 0 and "event=resumed" not in said
    assert sorted(path.name for path in unfinished.parent.iterdir()) == ["corpus", "model"]


@pytest.mark.parametrize("wrong", [["--tokenizer", "bpe", "--vocab-size", "5"], ["--validation", "nowhere"]])
def test_a_new_run_that_cannot_begin_leaves_the_unfinished_one(unfinished, train, wrong):
    assert train(*FLAGS, "--force", *wrong)[0] in (2, 4)
    assert "event=resumed step=6" in train("--resume")[1]


@pytest.fixture
def unplanned(corpus, train, monkeypatch):
    """A run that has minutes and no steps yet: as if it had been killed while it was measured."""
    def killed(*_, **__):
        raise MemoryError

    minutes = [*FLAGS[:FLAGS.index("--steps")], *FLAGS[FLAGS.index("--steps") + 2:], "--minutes", "0.02"]
    with monkeypatch.context() as patch:
        patch.setattr("charlm.training.session.measure", killed)
        assert train(*minutes)[0] == 1


def test_steps_take_the_place_of_minutes(unplanned, train):
    code, said = train("--resume", "--steps", "7")
    assert code == 0 and "event=stopped reason=finished step=7" in said


def test_a_run_killed_while_it_was_measured_is_planned_again_from_its_minutes(unplanned, train, tmp_path):
    code, said = train("--resume")
    summary = load(str(tmp_path / "model")).training
    assert code == 0 and "event=resumed step=0" in said and f"steps={summary['steps']} " in said
    assert summary["dropout"] == 0.2 and "changes" not in summary
    assert summary["steps"] < 1000                          # without minutes there would be 2,344


def test_a_resumed_run_has_its_device_again(unfinished, train, monkeypatch):
    import torch
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    code, said = train("--resume")
    assert code == 0 and "event=resumed step=6" in said and "event=warning" not in said


def test_a_resumed_run_has_its_threads_again(unfinished):
    again = run_process("train", "corpus", "-o", "model", "--resume", "--steps", "7", env={"OMP_NUM_THREADS": "2"})
    assert again.code == 0 and b'--threads 1"' in again.stderr and b"event=warning" not in again.stderr


def test_other_threads_are_warned_of(unfinished):
    others = run_process("train", "corpus", "-o", "model", "--resume", "--threads", "2")
    assert others.code == 0 and [line for line in others.stderr.splitlines() if "event=warning" in line] == [
        'event=warning message="--threads was 1 and is 2; the weights will not be those of an uninterrupted run to the bit"']


def test_minutes_given_anew_are_those_from_now_on(unfinished, train, monkeypatch):
    from charlm.training.speed import Speed
    monkeypatch.setattr("charlm.training.session.measure", lambda *_, **__: Speed(1e6, 0.0))     # a single step fits
    code, said = train("--resume", "--minutes", "1")
    assert code == 0 and " steps=7 " in said and "event=stopped reason=finished step=7" in said


def test_a_finished_run_ends_at_once_when_its_length_is_reached(unfinished, train):
    code, said = train("--resume", "--steps", "6")
    assert code == 0 and "event=resumed step=6" in said and "expected_seconds=0" in said


def test_a_run_of_labels_is_one_of_labels_again(corpus, train, tmp_path, monkeypatch):
    corpus.write_text("".join(f"{'ab'[n % 2]}\tname {n}\n" for n in range(40)), encoding="utf-8")
    flags = [flag for flag in FLAGS if flag not in ("--bptt", "16")]
    with monkeypatch.context() as patch:
        patch.setattr("charlm.training.loop._Loop._steps", lambda loop: 1 / 0)
        assert train(*flags, "--labels")[0] == 1
    assert train("--resume", "--lines")[0] == 2
    assert train("--resume", "--labels")[0] == 0 and load(str(tmp_path / "model")).labels.names == ("a", "b")


@pytest.mark.parametrize("same", [["--tokenizer", "char"], ["--text"], ["--hidden", "8"], ["--errors", "strict"]])
def test_flags_that_say_what_the_run_is_are_taken(unfinished, train, same):
    code, said = train("--resume", *same)
    assert code == 0 and "event=resumed step=6" in said


def test_a_held_out_text_may_be_named_from_elsewhere_and_must_be_the_same(corpus, train, tmp_path, monkeypatch):
    (tmp_path / "held-out").write_text("a cat\n" * 9, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("charlm.training.loop._Loop._steps", lambda loop: 1 / 0)
        assert train(*FLAGS, "--validation", "held-out")[0] == 1
    (tmp_path / "moved").write_text("a cat\n" * 9, encoding="utf-8")
    (tmp_path / "other").write_text("a mat\n" * 9, encoding="utf-8")
    assert train("--resume", "--validation", "other")[0] == 4
    (tmp_path / "held-out").unlink()
    assert train("--resume", "--validation", "moved")[0] == 0


def test_what_killed_processes_left_of_checkpoints_goes_at_the_next_start(unfinished, train, tmp_path):
    left = tmp_path / ".model.checkpoint-a-0123456789ab.charlm-tmp"
    left.write_bytes(b"")
    assert train("--resume", "--hidden", "9")[0] == 2
    assert not left.exists()


def test_a_model_that_cannot_be_stored_at_the_end_is_stored_by_resuming(corpus, train, tmp_path, monkeypatch):
    from charlm.errors import StorageError

    def full(path, model):
        raise StorageError(f"{path}: cannot be written (No space left on device)")

    with monkeypatch.context() as patch:
        patch.setattr("charlm.training.session.save", full)
        code, said = train(*FLAGS)
    assert code == 6 and said.splitlines()[-1].endswith("with: charlm train corpus -o model --resume")
    assert train("--resume")[0] == 0 and load(str(tmp_path / "model")).training["step"] > 0


def test_under_torchrun_the_way_to_go_on_is_torchrun(monkeypatch):
    from charlm.cli.train import _resume_command
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert _resume_command({"corpus": ("a b",), "output": None}, "b.charlm") \
        == "torchrun --nproc-per-node 3 -m charlm train 'a b' --resume"


def test_a_changed_corpus_is_refused_unless_it_is_meant(unfinished, train):
    unfinished.write_text(TEXT + "a cat\n", encoding="utf-8")
    code, said = train("--resume")
    assert code == CorpusError.exit_code == 4 and "--new-corpus" in said
    code, said = train("--resume", "--new-corpus")
    assert code == 0 and "event=resumed step=6" in said


def test_characters_that_a_new_text_brings_are_unknown_ones(unfinished, train, tmp_path):
    unfinished.write_text(TEXT.replace("cat", "çæt"), encoding="utf-8")
    assert train("--resume", "--new-corpus")[0] == 0
    assert "ç" not in load(str(tmp_path / "model")).tokenizer.known_text()


def test_a_harder_text_is_learned_though_the_one_before_was_easier(unfinished, train, tmp_path):
    letters = random.Random(0)
    unfinished.write_text("".join(letters.choices("acmnost \n", k=600)), encoding="utf-8")
    code, said = train("--resume", "--new-corpus")
    assert code == 0 and load(str(tmp_path / "model")).training["step"] > 6
    assert train(*FLAGS, "-o", "anew")[0] == 0
    assert load(str(tmp_path / "model")).training["corpus_digest"] == load(str(tmp_path / "anew")).training["corpus_digest"]
    first = next(line for line in said.splitlines() if "event=validation" in line)
    assert "best=1" in first


@pytest.mark.parametrize(("flags", "named"), [
    (["--hidden", "9"], "--hidden 8 → 9"), (["--seed", "1"], "--seed 0 → 1"), (["--cell", "gru"], "--cell lstm → gru"),
    (["--tokenizer", "byte"], "--tokenizer char → byte"), (["--lines"], "--text → --lines")])
def test_flags_that_would_make_another_run_are_refused(unfinished, train, flags, named):
    code, said = train("--resume", *flags)
    assert code == 2 and named in said, said
    assert train("--resume")[0] == 0


def test_rate_and_length_may_change_and_the_model_says_so(unfinished, train, tmp_path):
    assert train("--resume", "--steps", "14", "--lr", "0.001")[0] == 0
    assert load(str(tmp_path / "model")).training["changes"] == [{"steps": [12, 14], "learning_rate": [0.006, 0.001]}]


def test_resume_and_init_from_exclude_each_other(corpus, train):
    assert train("--resume", "--init-from", "x")[0] == 2
    assert train("--new-corpus")[0] == 2


# Beginning with a model


@pytest.fixture
def first(corpus, train, tmp_path):
    """A model of the corpus, under another name."""
    assert train(*FLAGS)[0] == 0
    os.rename(tmp_path / "model", tmp_path / "first")
    return corpus


def test_init_from_learns_more_characters_on_top(first, train, tmp_path):
    first.write_text(TEXT.replace("cat", "çæt"), encoding="utf-8")
    code, said = train("--init-from", "first", "--steps", "5")
    assert code == 0, said
    model = load(str(tmp_path / "model"))
    assert set("çæcat") <= set(model.tokenizer.known_text())
    assert model.config.hidden_size == 8 and model.training["steps"] == 5


def test_init_from_begins_where_the_model_ended(first, train, tmp_path):
    assert train("--init-from", "first", "--steps", "1", "--lr", "1e-9", "--averaging", "0")[0] == 0
    before, after = (load(str(tmp_path / name)).weights for name in ("first", "model"))
    assert all(np.allclose(before[name], after[name], rtol=0, atol=1e-6) for name in before)


def test_init_from_keeps_the_window_of_a_network_that_reads_windows(first, train, tmp_path):
    assert train(*FLAGS, "--bidirectional", "-o", "windowed")[0] == 0
    assert train("--init-from", "windowed", "--steps", "2")[0] == 0
    assert load(str(tmp_path / "windowed")).config.window == load(str(tmp_path / "model")).config.window == 16


@pytest.mark.parametrize("flags", [["--tokenizer", "byte"], ["--lines"], ["--fill"], ["--hidden", "9"], ["--cell", "gru"],
                                   ["--layers", "2"], ["--bidirectional"]], ids=str)
def test_init_from_another_kind_of_model_is_refused(first, train, flags, tmp_path):
    code, said = train("--init-from", "first", "--steps", "5", *flags)
    assert code == 2 and "--init-from" in said and said.count("\n") == 1, said
    assert not (tmp_path / "model").exists()


# One writer


def test_a_second_training_on_the_same_output_names_the_first(corpus, tmp_path):
    with locked(str(tmp_path / "model")):
        done = run_process("train", "corpus", "-o", "model", *FLAGS)
    assert done.code == InUseError.exit_code == 7
    assert f"process {os.getpid()}" in done.stderr


def test_a_name_too_long_for_a_checkpoint_is_refused_before_the_corpus_is_read(tmp_path, train):
    code, said = train(*FLAGS, "-o", "m" * 245)
    assert code == 6 and "File name too long" in said and len(said.splitlines()) == 1
    assert "event=plan" not in said and not list(tmp_path.glob("m*"))
