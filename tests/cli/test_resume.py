"""`charlm train`: resuming a run, starting from a model, and the refusals of both."""

import os
import random
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from charlm.errors import CorpusError, InUseError
from charlm.lock import locked
from charlm.modelfile import load
from tests.helpers.runners import error_line, run_in_process, start_process

FLAGS = ["--hidden", "8", "--layers", "1", "--embedding", "6", "--batch-size", "4", "--bptt", "16", "--steps", "12",
         "--dropout", "0.2", "--averaging", "0.9"]
TEXT = "a cat sat\non a mat\n" * 30


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "corpus").write_text(TEXT, encoding="utf-8")
    return tmp_path / "corpus"


@pytest.fixture
def train():
    """Return a function that trains on `corpus` in this process and returns the exit code and stderr."""
    def run(*flags, **options):
        done = run_in_process("train", "corpus", "-o", "model", *flags, **options)
        return done.code, done.stderr
    return run


@pytest.fixture
def unfinished(corpus, monkeypatch, train):
    """A run of `FLAGS` that ended at step 6, as if it had been killed there."""
    from charlm.training import trainer
    real = trainer.Trainer.update

    def until_the_sixth(self, step, *commit):
        if step == 6:
            raise MemoryError
        return real(self, step, *commit)

    def no_measurement(self, *_, **__):
        from charlm.training.speed import Speed
        return Speed(1e-3, 1e-3)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "update", until_the_sixth)
        patch.setattr("charlm.training.time_plan.measure", no_measurement)
        code, progress = train(*FLAGS, "--checkpoint-every", "0")
    assert code == 1 and "out of memory" in progress
    return corpus


@pytest.mark.slow
def test_an_interrupted_run_is_resumed_to_the_same_bytes(tmp_path, corpus):
    long = [*FLAGS, "--steps", "250", "--patience", "0"]
    with start_process("train", "corpus", "-o", "cut", "--threads", 1, *long, "--checkpoint-every", 0.2) as started:
        progress = b""
        while b"step=" not in progress.split(b"event=planned")[-1]:
            progress += started.stderr.readline()
        started.send_signal(signal.SIGINT)
        progress += started.stderr.read()
        assert started.wait(20) == -signal.SIGINT
    assert b"charlm train corpus -o cut --resume" in progress
    run_in_process("train", "corpus", "-o", "cut", "--resume").check()
    run_in_process("train", "corpus", "-o", "whole", *long).check()
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "cut", "whole"]


def test_resume_needs_no_flag_of_the_run(unfinished, train, tmp_path):
    code, progress = train("--resume")
    assert code == 0 and "event=resumed step=6" in progress, progress
    resumed = (tmp_path / "model").read_bytes()
    assert train(*FLAGS, "--force")[0] == 0
    assert (tmp_path / "model").read_bytes() == resumed


def test_a_length_behind_the_run_is_refused_and_costs_no_checkpoint(unfinished, train, tmp_path):
    before = {path.name: path.read_bytes() for path in tmp_path.glob("model*")}
    code, progress = train("--resume", "--steps", "5")
    assert code == 2 and "the run is at step 6 already" in progress, progress
    assert {path.name: path.read_bytes() for path in tmp_path.glob("model*")} == before


def test_a_checkpoint_named_as_a_model_is_called_one(unfinished):
    assert "it is a checkpoint, which `charlm train --resume` reads" in \
        error_line(run_in_process("score", "-m", "model.checkpoint-a", stdin=b"a\n"), 3)


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_resume_alone_never_starts_from_nothing(corpus, train, tmp_path, quiet):
    code, progress = train(*FLAGS, "--resume", *quiet)
    assert code == 2 and progress.startswith("charlm: error: model has no run to resume") and "--force" in progress
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_resume_with_force_starts_a_run_then_leaves_it_finished(corpus, train, tmp_path):
    code, progress = train(*FLAGS, "--resume", "--force")
    assert code == 0 and "no checkpoint yet; starting from scratch" in progress
    before = (tmp_path / "model").stat().st_mtime_ns
    assert train(*FLAGS, "--resume", "--force")[0] == 0
    assert (tmp_path / "model").stat().st_mtime_ns == before


def test_resuming_a_finished_run_only_prints_that_it_is_finished(corpus, train, tmp_path):
    assert train(*FLAGS)[0] == 0
    before = (tmp_path / "model").read_bytes()
    code, progress = train("--resume")
    assert code == 0 and "model has no checkpoint: its run finished" in progress and len(progress.splitlines()) == 1
    assert (tmp_path / "model").read_bytes() == before


def test_a_quiet_job_says_nothing_when_it_starts_or_has_finished(corpus, train):
    for _ in range(2):
        assert train(*FLAGS, "--resume", "--force", "--quiet") == (0, "")


def test_an_unfinished_run_is_not_replaced_without_force(unfinished, train, tmp_path):
    (tmp_path / "model").unlink(missing_ok=True)
    code, progress = train(*FLAGS)
    assert code == 2 and "--resume" in progress and "--force" in progress
    assert "event=resumed step=6" in train("--resume")[1]


def test_force_starts_from_scratch(unfinished, train):
    code, progress = train(*FLAGS, "--force")
    assert code == 0 and "event=resumed" not in progress
    assert sorted(path.name for path in unfinished.parent.iterdir()) == ["corpus", "model"]


@pytest.mark.parametrize("wrong", [["--tokenizer", "bpe", "--vocab-size", "5"], ["--validation", "nowhere"]])
def test_a_new_run_that_cannot_start_keeps_the_unfinished_one(unfinished, train, wrong):
    assert train(*FLAGS, "--force", *wrong)[0] in (2, 4)
    assert "event=resumed step=6" in train("--resume")[1]


@pytest.fixture
def unplanned(corpus, train, monkeypatch):
    """A run of some minutes without a number of steps, as if it had been killed while its speed was measured."""
    def killed(*_, **__):
        raise MemoryError

    minutes = [*FLAGS[:FLAGS.index("--steps")], *FLAGS[FLAGS.index("--steps") + 2:], "--minutes", "0.02"]
    with monkeypatch.context() as patch:
        patch.setattr("charlm.training.time_plan.measure", killed)
        assert train(*minutes)[0] == 1


def test_steps_replace_minutes_on_resume(unplanned, train):
    code, progress = train("--resume", "--steps", "7")
    assert code == 0 and "event=stopped reason=finished step=7" in progress


def test_a_run_killed_while_measuring_is_planned_again_from_its_minutes(unplanned, train, tmp_path):
    code, progress = train("--resume")
    summary = load(str(tmp_path / "model")).training
    assert code == 0 and "event=resumed step=0" in progress and f"steps={summary['steps']} " in progress
    assert summary["dropout"] == 0.2 and "changes" not in summary
    assert summary["steps"] < 1000                          # the default number is 2,344


def test_a_resumed_run_keeps_its_device(unfinished, train, monkeypatch):
    import torch
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    code, progress = train("--resume")
    assert code == 0 and "event=resumed step=6" in progress and "event=warning" not in progress


def test_a_resumed_run_keeps_its_number_of_threads(unfinished, train):
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(2)                                # as in an environment with other defaults
    try:
        code, progress = train("--resume", "--steps", "7", threads=None)
    finally:
        torch.set_num_threads(before)
    assert code == 0 and '--threads 1"' in progress and "event=warning" not in progress


def test_another_number_of_threads_is_a_warning(unfinished, train):
    code, progress = train("--resume", threads=2)
    warning, = [line for line in progress.splitlines() if "event=warning" in line]
    assert code == 0 and "--threads was 1 and is 2; " in warning


def test_minutes_given_on_resume_count_from_then_on(unfinished, train, monkeypatch):
    from charlm.training.speed import Speed
    time_for_one_step = Speed(1e6, 0.0)
    monkeypatch.setattr("charlm.training.time_plan.measure", lambda *_, **__: time_for_one_step)
    code, progress = train("--resume", "--minutes", "1")
    first = progress.splitlines()[0]
    assert first.startswith("event=measuring") and "--minutes 1 counts from now on, after 6 steps" in first
    assert code == 0 and " steps=7 " in progress and "event=stopped reason=finished step=7" in progress


def test_a_run_resumed_at_its_last_step_ends_at_once(unfinished, train):
    code, progress = train("--resume", "--steps", "6")
    assert code == 0 and "event=resumed step=6" in progress and "event=stopped reason=finished step=6" in progress


def test_a_run_of_labels_is_resumed_as_one_of_labels(corpus, train, tmp_path, monkeypatch):
    corpus.write_text("".join(f"{'ab'[n % 2]}\tname {n}\n" for n in range(40)), encoding="utf-8")
    flags = [flag for flag in FLAGS if flag not in ("--bptt", "16")]
    with monkeypatch.context() as patch:
        patch.setattr("charlm.training.loop._Loop._steps", lambda loop: 1 / 0)
        assert train(*flags, "--labels")[0] == 1
    assert train("--resume", "--lines")[0] == 2
    assert train("--resume", "--labels")[0] == 0 and load(str(tmp_path / "model")).labels.names == ("a", "b")


@pytest.mark.parametrize("same", [["--tokenizer", "char"], ["--text"], ["--hidden", "8"], ["--errors", "strict"]])
def test_flags_that_repeat_those_of_the_run_are_accepted(unfinished, train, same):
    code, progress = train("--resume", *same)
    assert code == 0 and "event=resumed step=6" in progress, progress


def test_a_held_out_text_may_be_moved_but_must_not_change(corpus, train, tmp_path, monkeypatch):
    (tmp_path / "held-out").write_text("a cat\n" * 9, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("charlm.training.loop._Loop._steps", lambda loop: 1 / 0)
        assert train(*FLAGS, "--validation", "held-out")[0] == 1
    (tmp_path / "moved").write_text("a cat\n" * 9, encoding="utf-8")
    (tmp_path / "other").write_text("a mat\n" * 9, encoding="utf-8")
    assert train("--resume", "--validation", "other")[0] == 4
    (tmp_path / "held-out").unlink()
    assert train("--resume", "--validation", "moved")[0] == 0


def test_temporary_files_of_killed_processes_are_removed_at_the_next_start(unfinished, train, tmp_path):
    left = tmp_path / ".model.checkpoint-a-0123456789ab.charlm-tmp"
    left.write_bytes(b"")
    assert train("--resume", "--hidden", "9")[0] == 2
    assert not left.exists()


def test_a_model_that_cannot_be_saved_at_the_end_is_saved_by_resuming(corpus, train, tmp_path, monkeypatch):
    from charlm.errors import StorageError

    def full(path, model):
        raise StorageError(f"{path}: cannot be written (No space left on device)")

    with monkeypatch.context() as patch:
        patch.setattr("charlm.training.session.save", full)
        code, progress = train(*FLAGS)
    assert code == 6 and progress.splitlines()[-1].endswith("with: charlm train corpus -o model --resume")
    assert train("--resume")[0] == 0 and load(str(tmp_path / "model")).training["step"] > 0


def test_under_torchrun_the_resume_command_is_torchrun(monkeypatch):
    from charlm.cli.train_request import TrainRequest
    monkeypatch.setenv("WORLD_SIZE", "3")
    request = SimpleNamespace(corpus=("a b",), output=None, cache_dir=None)
    assert TrainRequest.resume_command.fget(request) == "torchrun --nproc-per-node 3 -m charlm train 'a b' --resume"
    request.cache_dir = "c"
    assert TrainRequest.resume_command.fget(request).endswith("charlm train 'a b' --cache-dir c --resume")


def test_a_changed_corpus_is_refused_without_new_corpus(unfinished, train):
    unfinished.write_text(TEXT + "a cat\n", encoding="utf-8")
    code, progress = train("--resume")
    assert code == CorpusError.exit_code == 4 and "--new-corpus" in progress
    code, progress = train("--resume", "--new-corpus")
    assert code == 0 and "event=resumed step=6" in progress, progress


def test_new_characters_of_a_new_corpus_are_unknown(unfinished, train, tmp_path):
    unfinished.write_text(TEXT.replace("cat", "çæt"), encoding="utf-8")
    assert train("--resume", "--new-corpus")[0] == 0
    assert "ç" not in load(str(tmp_path / "model")).tokenizer.known_text()


def test_a_harder_new_corpus_starts_without_a_best_loss(unfinished, train, tmp_path):
    letters = random.Random(0)
    unfinished.write_text("".join(letters.choices("acmnost \n", k=600)), encoding="utf-8")
    code, progress = train("--resume", "--new-corpus")
    assert code == 0 and load(str(tmp_path / "model")).training["step"] > 6
    assert train(*FLAGS, "-o", "other")[0] == 0
    assert load("model").training["corpus_digest"] == load("other").training["corpus_digest"]
    first = next(line for line in progress.splitlines() if "event=validation" in line)
    assert "best=1" in first


@pytest.mark.parametrize(("flags", "named"), [
    (["--hidden", "9"], "--hidden 8 → 9"), (["--seed", "1"], "--seed 0 → 1"), (["--cell", "gru"], "--cell lstm → gru"),
    (["--tokenizer", "byte"], "--tokenizer char → byte"), (["--lines"], "--text → --lines")])
def test_flags_that_would_change_the_run_are_refused(unfinished, train, flags, named):
    code, progress = train("--resume", *flags)
    assert code == 2 and named in progress, progress
    assert train("--resume")[0] == 0


def test_changes_of_rate_and_length_are_recorded_in_the_model(unfinished, train, tmp_path):
    assert train("--resume", "--steps", "14", "--lr", "0.001")[0] == 0
    assert load(str(tmp_path / "model")).training["changes"] == [{"steps": [12, 14], "learning_rate": [0.006, 0.001]}]


def test_resume_and_init_from_exclude_each_other(corpus, train):
    assert train("--resume", "--init-from", "x")[0] == 2
    assert train("--new-corpus")[0] == 2


# Starting from a model


@pytest.fixture
def first(corpus, train, tmp_path):
    """A model of the corpus, named `first`."""
    assert train(*FLAGS)[0] == 0
    os.rename(tmp_path / "model", tmp_path / "first")
    return corpus


def test_init_from_extends_the_vocabulary_with_new_characters(first, train, tmp_path):
    first.write_text(TEXT.replace("cat", "çæt"), encoding="utf-8")
    code, progress = train("--init-from", "first", "--steps", "5")
    assert code == 0, progress
    model = load(str(tmp_path / "model"))
    assert set("çæcat") <= set(model.tokenizer.known_text())
    assert model.config.hidden_size == 8 and model.training["steps"] == 5


def test_init_from_starts_with_the_weights_of_the_model(first, train, tmp_path):
    assert train("--init-from", "first", "--steps", "1", "--lr", "1e-9", "--averaging", "0")[0] == 0
    before, after = (load(str(tmp_path / name)).weights for name in ("first", "model"))
    assert all(np.allclose(before[name], after[name], rtol=0, atol=1e-6) for name in before)


def test_init_from_keeps_the_window_of_a_windowed_model(first, train, tmp_path):
    assert train(*FLAGS, "--bidirectional", "-o", "windowed")[0] == 0
    assert train("--init-from", "windowed", "--steps", "2")[0] == 0
    assert load(str(tmp_path / "windowed")).config.window == load(str(tmp_path / "model")).config.window == 16


@pytest.mark.parametrize("flags", [["--tokenizer", "byte"], ["--lines"], ["--fill"], ["--hidden", "9"],
                                   ["--cell", "gru"],
                                   ["--layers", "2"], ["--bidirectional"]], ids=str)
def test_flags_of_another_model_than_init_from_are_refused(first, train, flags, tmp_path):
    code, progress = train("--init-from", "first", "--steps", "5", *flags)
    assert code == 2 and "--init-from" in progress and progress.count("\n") == 1, progress
    assert not (tmp_path / "model").exists()


@pytest.fixture
def words(train, tmp_path):
    """A model `first` that writes whole words."""
    (tmp_path / "corpus").write_text("".join(f"s{n}\t{'one two'[n % 2 * 4:][:3]}\n" for n in range(300)))
    assert train("--hidden", "8", "--layers", "1", "--steps", "2")[0] == 0
    os.rename(tmp_path / "model", tmp_path / "first")
    assert load("first").tokenizer.kind == "word"


def test_a_model_of_words_is_not_continued_with_targets_to_spell(words, train, tmp_path):
    (tmp_path / "corpus").write_text("".join(f"s{n}\tspelled{n}\n" for n in range(100)))
    code, progress = train("--init-from", "first", "--steps", "2")
    assert code == 4 and "100 % of all, are new to it" in progress and "--tokenizer char" in progress
    assert progress.count("\n") == 1 and not (tmp_path / "model").exists()


def test_a_model_of_words_learns_a_few_new_ones_with_a_word(words, train, tmp_path):
    (tmp_path / "corpus").write_text("".join(f"s{n}\t{['one', 'two', 'six'][n % 3]}\n" for n in range(99)))
    code, progress = train("--init-from", "first", "--steps", "2")
    assert code == 0 and "charlm: warning: new words in the targets, which the model now learns: 1" in progress
    assert load(str(tmp_path / "model")).tokenizer.size == load("first").tokenizer.size + 1


@pytest.mark.parametrize("task", ["--text", "--lines", "--labels", "--pairs", "--fill"])
def test_init_from_says_how_the_old_text_fares_if_it_is_there(corpus, train, tmp_path, task):
    field = "\t" if task in ("--labels", "--pairs") else " "
    old, new = ("".join(f"{'ab'[n % 2]}{field}{word} {n}\n" for n in range(90)) for word in ("cat", "çæt"))
    (tmp_path / "corpus").write_text(old, encoding="utf-8")
    assert train(*FLAGS, task, "-o", "first.charlm")[0] == 0
    os.rename(tmp_path / "corpus", tmp_path / "first.txt")
    (tmp_path / "corpus").write_text(new, encoding="utf-8")
    code, progress = train("--init-from", "first.charlm", "--steps", "2")
    words = progress.splitlines()[-1].split()
    assert code == 0 and "charlm: held-out part of first.txt, from which first.charlm learned: " in progress
    before, after = float(words[words.index("learned:") + 1]), float(words[words.index("before,") + 1])
    trained = load("first.charlm").training["bits_per_character"]
    assert before != after and (task == "--fill" or before == pytest.approx(trained, abs=1e-3))
    (tmp_path / "first.txt").write_text(old + "x\ty\n", encoding="utf-8")     # no longer what it learned
    assert "held-out part of" not in train("--init-from", "first.charlm", "--steps", "2", "--force")[1]


# One writer


def test_a_second_training_of_the_same_output_names_the_first(corpus, tmp_path, train):
    with locked(str(tmp_path / "model")):
        code, progress = train(*FLAGS)
    assert code == InUseError.exit_code == 7
    assert f"process {os.getpid()}" in progress


def test_a_name_too_long_for_a_checkpoint_is_refused_at_once(tmp_path, train):
    code, progress = train(*FLAGS, "-o", "m" * 245)
    assert code == 6 and "File name too long" in progress and len(progress.splitlines()) == 1
    assert "event=plan" not in progress and not list(tmp_path.glob("m*"))


def test_a_rerun_is_told_how_to_continue_even_if_a_model_exists(unfinished, train, tmp_path):
    checkpoint, = tmp_path.glob("model.checkpoint-a")
    os.rename(checkpoint, tmp_path / "model")               # begins like a model, as the best one so far does
    code, progress = train(*FLAGS)
    assert code == 2 and "has an unfinished run; continue it with: charlm train" in progress and "--resume" in progress
    assert (tmp_path / "model").exists()
