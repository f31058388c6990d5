"""A whole run, from plan to stored model."""

import time

import pytest

from charlm.checkpoint import Checkpoints
from charlm.events import Planned, Sampled, Step, Stopped, Validation
from charlm.modelfile import load
from charlm.training.options import TrainingOptions
from charlm.training.session import Session, run


def test_a_run_stopped_before_its_first_validation_leaves_an_older_model_alone(corpus_of, tmp_path, monkeypatch):
    output = tmp_path / "m.charlm"
    output.write_bytes(b"the good old model")
    monkeypatch.setattr("charlm.training.session.MIN_MEASURED", 0.0)
    records = []
    session = Session(str(output), "cpu", 1, time.monotonic(), lambda: any(isinstance(one, Step) for one in records))
    wishes = TrainingOptions(hidden=8, layers=1, steps=1000, batch_size=1)
    for record in run(corpus_of("namaskar\n" * 64), wishes, session):
        records.append(record)
    assert (records[-1].reason, records[-1].step, records[-1].path) == ("interrupted", 1, "")
    assert output.read_bytes() == b"the good old model"


def test_a_run_that_was_planned_by_the_clock_keeps_its_plan(corpus_of, tmp_path, monkeypatch):
    monkeypatch.setattr("charlm.training.session.MIN_MEASURED", 0.0)
    output, records = str(tmp_path / "m.charlm"), []
    session = Session(output, "cpu", 1, time.monotonic(), lambda: any(isinstance(one, Step) for one in records),
                      checkpoints=Checkpoints(output))
    for record in run(corpus_of("namaskar\n" * 64), TrainingOptions(hidden=8, layers=1, minutes=5, batch_size=1), session):
        records.append(record)
    planned = next(record for record in records if isinstance(record, Planned))
    kept = Checkpoints(output).newest(pytest.fail).run
    assert (kept["minutes"], kept["config"]["steps"], kept["standing"]["step"]) == (None, planned.steps, 1)


@pytest.mark.parametrize("labelled", [False, True])
def test_a_run_of_lines_stores_its_labels_and_known_lines(lines_of, tmp_path, monkeypatch, labelled):
    monkeypatch.setattr("charlm.training.session.MIN_MEASURED", 0.0)
    lines = [("one", "two")[number % 2:][:1] + (f"line {number}",) for number in range(20)]
    corpus = lines_of(lines if labelled else [line for _, line in lines], validation=0.1)
    output = str(tmp_path / "m.charlm")
    session = Session(output, "cpu", 1, time.monotonic(), lambda: False)
    records = list(run(corpus, TrainingOptions(task="lines", hidden=8, layers=1, steps=4, batch_size=4), session))
    model = load(output)
    assert (model.task, model.config.encoder, model.separate_source) == ("lines", "shared", None)
    assert model.labels == corpus.labels and (model.labels is not None) == labelled
    assert model.line_hashes.contains([line for _, line in lines]).all() and "line 20" not in model.line_hashes
    assert (model.training["train_lines"], model.training["validation_lines"]) == (18, 2)
    assert records[-1].reason == "finished" and model.training["nats_per_token"] == pytest.approx(records[-1].loss)


@pytest.mark.parametrize("task, encoder", [("stream", None), ("stream", "bidirectional"), ("pairs", None), ("fill", None)])
def test_a_run_of_every_task_stores_a_model_that_says_what_it_is(corpus_of, pairs_of, tmp_path, monkeypatch, task, encoder):
    monkeypatch.setattr("charlm.training.session.MIN_MEASURED", 0.0)
    corpus = pairs_of([(f"s{number}", "up") for number in range(20)]) if task == "pairs" else corpus_of("namaskar\n" * 40)
    output, seen = str(tmp_path / "m.charlm"), []
    session = Session(output, "cpu", 1, time.monotonic(), lambda: False, lambda model, _: seen.append(model) or model.task)
    records = list(run(corpus, TrainingOptions(task=task, encoder=encoder, hidden=8, layers=1, steps=4, batch_size=4, bptt=16), session))
    model, stopped = load(output), records[-1]
    assert isinstance(stopped, Stopped) and (stopped.task, stopped.path, stopped.reason) == (task, output, "finished")
    assert (model.task, model.config.encoder) == (task, encoder or ("shared" if task == "stream" else "bidirectional"))
    assert (model.separate_source is not None) == (task == "pairs") == (stopped.error_rate is not None)
    assert ("word_error_rate" in model.training) == ("train_pairs" in model.training) == (task == "pairs")
    validations = [record for record in records if isinstance(record, Validation)]
    assert [record.text for record in records if isinstance(record, Sampled)] == [task] * len(validations) and len(seen) >= 1
