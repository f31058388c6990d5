"""charlm.train: the command's model from texts in files and in memory, events, interruption, and what is refused."""

import os
import signal
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import charlm
from charlm.checkpoint import Checkpoints
from charlm.errors import CharlmError, CorpusError, InUseError, StorageError, UsageError
from charlm.events import Planned, Sampled, Saved, Step, Stopped, Warned
from charlm.tasks import TASKS
from charlm.training.spinning import environment_for_torch
from tests.helpers.runners import run_in_process

SMALL = {"hidden_size": 8, "num_layers": 1, "batch_size": 4, "threads": 1}
NAMES = [first + second + third for first in "bflé" for second in "aeiou" for third in "nrt"]
PAIRS = [(name, name.upper()) for name in NAMES]
LABELLED = [(("low", "high")[number % 2], name) for number, name in enumerate(NAMES)]
TEXTS = {"text": NAMES, "fill": NAMES, "lines": NAMES, "labels": LABELLED, "pairs": PAIRS}

pytestmark = [pytest.mark.usefixtures("one_thread"),
              pytest.mark.filterwarnings("ignore:.*too few for a useful model")]


def written(texts, path):
    """Write texts or pairs to a file, one a line, and return its path."""
    lines = [text if isinstance(text, str) else "\t".join(text) for text in texts]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def digest(model):
    return model.info["content_digest"]


@pytest.mark.parametrize("task", TASKS)
def test_texts_in_memory_give_the_file_of_the_command(tmp_path, task):
    corpus = written(TEXTS[task], tmp_path / "corpus.txt")
    run_in_process("train", corpus, f"--{task}", "-o", tmp_path / "command", "--steps", 2, "--hidden", 8, "--layers", 1,
                   "--batch-size", 4)
    model = charlm.train(iter(TEXTS[task]), task=task, output=tmp_path / "python", steps=2, **SMALL)
    assert (tmp_path / "python").read_bytes() == (tmp_path / "command").read_bytes()
    assert model.task == task and digest(model) == digest(charlm.load(tmp_path / "command"))


def test_a_path_several_paths_and_texts_are_told_apart(tmp_path):
    one, two = written(NAMES[:30], tmp_path / "one"), written(NAMES[30:], tmp_path / "two")
    whole = written(NAMES, tmp_path / "whole")
    given = (str(whole), whole, [one, two], NAMES, ["\n".join(NAMES)])
    assert len({digest(charlm.train(texts, steps=1, **SMALL)) for texts in given}) == 1


def test_pairs_are_recognized_and_held_out_texts_may_be_in_memory():
    model = charlm.train(PAIRS[:50], validation=PAIRS[50:], steps=1, on_event=lambda event: None, **SMALL)
    assert model.task == "pairs" and model.info["validation_pairs"] == 10 and model.info["train_pairs"] == 50


def test_without_an_output_nothing_is_left_on_disk_and_the_model_works(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model = charlm.train(NAMES, task="lines", steps=2, **SMALL)
    assert not os.listdir(tmp_path) and len(model.lines(3, seed=1)) == 3


def test_events_are_the_records_of_a_run_and_name_no_file_that_is_removed():
    events = []
    charlm.train(NAMES, steps=2, on_event=events.append, **SMALL)
    assert {Planned, Step, Sampled, Stopped} <= set(map(type, events)) and Saved not in map(type, events)
    assert events[-1].path == events[-1].next_command == ""
    assert events[0].repeat == "steps=2, seed=0, threads=1"
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2]


def test_a_run_by_the_clock_tells_the_call_that_repeats_it(monkeypatch):
    monkeypatch.setattr("charlm.training.time_plan.MIN_MEASURED", 0.0)
    events = []
    timed = charlm.train(NAMES, minutes=0.01, tokenizer="byte", attention=False, on_event=events.append, **SMALL)
    again = eval(events[-1].repeat_command.replace("…", "NAMES"))
    assert all(np.array_equal(values, again.stored.weights[name]) for name, values in timed.stored.weights.items())


def say_false(event):
    return not isinstance(event, Step)


def raise_interrupt(event):
    if isinstance(event, Step):
        raise KeyboardInterrupt


@pytest.mark.parametrize("on_event", [say_false, raise_interrupt])
def test_a_listener_can_stop_a_run_which_keeps_its_model(on_event):
    model = charlm.train(NAMES, steps=10**6, on_event=on_event, **SMALL)
    assert model.info["step"] == 1 and model.score("ban").bits > 0


def test_ctrl_c_stops_a_run_without_any_signal_handler(tmp_path):
    before, seen = signal.getsignal(signal.SIGINT), set()

    def press(event):
        seen.add(signal.getsignal(signal.SIGINT))
        if isinstance(event, Step) and event.step == 1:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()

    model = charlm.train(NAMES, steps=10**9, on_event=press, hidden_size=400, num_layers=1, threads=1,
                         output=tmp_path / "m", checkpoint_every=10**6)
    assert seen == {before} and model.task == "text" and (tmp_path / "m.checkpoint-a").exists()


def test_two_runs_never_write_one_output(tmp_path):
    def train_again(event):
        if isinstance(event, Planned):
            with pytest.raises(InUseError, match="wait for it, or name another file with output$"):
                charlm.train(NAMES, steps=1, output=tmp_path / "m", replace=True, **SMALL)
    assert charlm.train(NAMES, steps=1, output=tmp_path / "m", on_event=train_again, **SMALL).info["step"] == 1


def test_an_unfinished_run_is_superseded_by_the_first_checkpoint_after_it(tmp_path):
    charlm.train(NAMES, steps=9, output=tmp_path / "m", on_event=say_false, **SMALL)
    newest = {}

    def look(event):
        newest.setdefault(type(event), Checkpoints(str(tmp_path / "m")).newest(pytest.fail).run["config"]["steps"])
        return not isinstance(event, Step)

    charlm.train(NAMES, steps=7, output=tmp_path / "m", replace=True, on_event=look, **SMALL)
    assert newest[Planned] == 9 and newest[Step] == 7


def test_an_error_of_a_listener_ends_the_run_and_frees_its_output(tmp_path):
    def fail(event):
        if isinstance(event, Step):
            raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        charlm.train(NAMES, steps=9, output=tmp_path / "m", on_event=fail, **SMALL)
    assert charlm.train(NAMES, steps=1, output=tmp_path / "m", replace=True, **SMALL).info["step"] == 1
    assert os.listdir(tmp_path) == ["m"]


def test_a_resumed_run_ends_like_an_uninterrupted_one(tmp_path):
    whole = charlm.train(NAMES, steps=6, **SMALL)
    charlm.train(NAMES, steps=6, output=tmp_path / "m", **SMALL,
                 on_event=lambda event: not (isinstance(event, Step) and event.step == 3))
    resumed = charlm.train(NAMES, output=tmp_path / "m", resume=True, threads=1)
    assert all(np.array_equal(values, whole.stored.weights[name]) for name, values in resumed.stored.weights.items())
    with pytest.warns(UserWarning, match="no checkpoint: its run finished.*init_from"):
        again = charlm.train(NAMES, output=tmp_path / "m", resume=True)
    assert digest(again) == digest(resumed)


def test_a_run_starts_from_a_model_in_memory_or_in_a_file(tmp_path):
    first = charlm.train(NAMES, task="lines", steps=1, **SMALL)
    first.save(tmp_path / "m")
    ends = [charlm.train(["zoë", *NAMES], init_from=start, steps=1, threads=1) for start in (first, tmp_path / "m")]
    assert digest(ends[0]) == digest(ends[1]) and ends[0].task == "lines" and ends[0].stored.config.hidden_size == 8


def test_a_warning_is_an_event_or_else_python_s_at_the_caller():
    with pytest.warns(UserWarning, match="too few") as found:
        charlm.train(NAMES, steps=1, **SMALL)
    assert [one.filename for one in found if one.category is UserWarning] == [__file__]
    events = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        charlm.train(PAIRS, steps=1, on_event=events.append, **SMALL)
    assert any('task="labels" would read them' in event.message for event in events if isinstance(event, Warned))


def test_an_existing_model_is_replaced_only_if_asked_for(tmp_path):
    first = charlm.train(NAMES, steps=1, output=tmp_path / "m", **SMALL)
    with pytest.raises(UsageError, match="m exists; name another file with output, or replace it with replace=True$"):
        charlm.train(NAMES, steps=1, output=tmp_path / "m", **SMALL)
    second = charlm.train(NAMES, steps=2, output=tmp_path / "m", replace=True, **SMALL)
    assert digest(charlm.load(tmp_path / "m")) == digest(second) != digest(first)


@pytest.mark.parametrize("given, options, kind, message", [
    (NAMES, {"hiden_size": 3}, TypeError, "^unknown keyword argument 'hiden_size'; did you mean hidden_size"),
    (NAMES, {"hidden_size": "3"}, UsageError, "^hidden_size must be a whole number from 1"),
    (NAMES, {"steps": 3, "epochs": 3}, UsageError, "^steps and epochs both set"),
    (NAMES, {"tied": True, "embedding_size": 4, "hidden_size": 8}, UsageError,
     "^tied needs equal sizes: embedding_size 4 is not hidden_size 8"),
    (NAMES, {"task": "line"}, UsageError, "^task must be one of text, .*'line'"),
    (NAMES, {"resume": True}, UsageError, "^resume=True continues the run of an output"),
    (NAMES, {"threads": 0}, UsageError, "^threads must"), (NAMES, {"device": "gpu"}, UsageError, "^device must"),
    (NAMES, {"checkpoint_every": "x"}, UsageError, "^checkpoint_every must"),
    (NAMES, {"output": ""}, UsageError, "^output is empty"), (NAMES, {"on_event": 3}, TypeError, "^on_event must be"),
    (NAMES, {"validation": True}, TypeError, "^validation must be"),
    (NAMES, {"tasks": "text"}, TypeError, "did you mean task[?]"),
    (NAMES, {"validation": 2.0}, UsageError, "^validation must be a fraction"),
    (NAMES, {"output": "/nonexistent/m"}, StorageError, "name another file with output$"),
    (NAMES, {"on_event": lambda event: False}, CharlmError, "stopped before its first update"),
    ([], {}, CorpusError, "^texts: empty"), (5, {}, TypeError, "^texts is of type int"),
    (b"ab", {}, TypeError, "^texts is of type bytes"), (["ab", 3], {}, TypeError, r"^texts\[1\] is of type int"),
    ([("a", "b", "c")], {}, TypeError, r"^texts\[0\] is of type tuple"),
    ([("a", "b\n")], {}, CorpusError, r"^texts\[0\] has a tab or a line break"),
    (["é\ud800"], {}, CorpusError, r"^texts\[0\] has a lone surrogate"),
    ([Path("a"), "b"], {}, TypeError, r"^texts\[1\] is of type str, the first one is a path"),
    ([__file__], {}, UsageError, "^texts contains file names.*pathlib.Path"),
    ("some words", {}, CorpusError, "there is no file 'some words'; a str is the path"),
    ("a\0b", {}, CorpusError, "there is no file"), (Path("missing"), {}, CorpusError, "^missing: cannot be read")])
def test_what_cannot_work_is_refused_in_words_of_python(given, options, kind, message):
    with pytest.raises(kind, match=message):
        charlm.train(given, **options)


def test_the_environment_is_left_as_it_was(tmp_path, monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    before = dict(os.environ)
    with environment_for_torch():
        assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert dict(os.environ) == before
