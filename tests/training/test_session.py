"""Whole runs, from the plan to the stored model."""

import contextlib
import time

import pytest

from charlm.checkpoint import Checkpoints
from charlm.errors import UsageError
from charlm.events import Planned, Sampled, Step, Stopped, Validation
from charlm.modelfile import load
from charlm.training.options import TrainingOptions
from charlm.training.session import Session, run
from charlm.training.speed import measure


def test_a_run_stopped_before_validation_keeps_the_older_model(corpus_of, tmp_path, monkeypatch):
    output = tmp_path / "m.charlm"
    output.write_bytes(b"the good old model")
    monkeypatch.setattr("charlm.training.loop.LAST_VALIDATION", 0.0)
    monkeypatch.setattr("charlm.training.time_plan.MIN_MEASURED", 0.0)
    events = []
    session = Session(str(output), "cpu", 1, time.monotonic(), lambda: any(isinstance(one, Step) for one in events))
    options = TrainingOptions(hidden_size=8, num_layers=1, steps=1000, batch_size=1)
    for event in run(corpus_of("namaskar\n" * 64), "text", options, session):
        events.append(event)
    assert (events[-1].reason, events[-1].step, events[-1].path) == ("interrupted", 1, "")
    assert output.read_bytes() == b"the good old model"


def test_a_run_planned_by_the_clock_keeps_its_plan(corpus_of, tmp_path, monkeypatch):
    monkeypatch.setattr("charlm.training.time_plan.MIN_MEASURED", 0.0)
    output, events = str(tmp_path / "m.charlm"), []
    session = Session(output, "cpu", 1, time.monotonic(), lambda: any(isinstance(one, Step) for one in events),
                      checkpoints=Checkpoints(output))
    for event in run(corpus_of("namaskar\n" * 64), "text", TrainingOptions(hidden_size=8, num_layers=1, minutes=0.05,
                                                                           batch_size=1), session):
        events.append(event)
    planned = next(event for event in events if isinstance(event, Planned))
    kept = Checkpoints(output).newest(pytest.fail).run
    assert (kept["minutes"], kept["config"]["steps"], kept["state"]["step"]) == (None, planned.steps, 1)


@pytest.mark.parametrize("accumulate, fits", [(4, True), (5, False)])
def test_a_batch_is_not_cut_into_more_parts_than_it_has_rows(corpus_of, tmp_path, accumulate, fits):
    session = Session(str(tmp_path / "m.charlm"), "cpu", 1, time.monotonic(), lambda: False)
    options = TrainingOptions(hidden_size=8, num_layers=1, steps=1, batch_size=4, bptt=8, accumulate=accumulate)
    with contextlib.nullcontext() if fits else pytest.raises(UsageError, match="--accumulate 5 .* --batch-size 4"):
        list(run(corpus_of("namaskar\n" * 64), "text", options, session))


@pytest.mark.parametrize("labelled", [False, True])
def test_a_run_of_lines_stores_its_labels_and_line_hashes(lines_of, tmp_path, monkeypatch, labelled):
    monkeypatch.setattr("charlm.training.time_plan.MIN_MEASURED", 0.0)
    lines = [("one", "two")[number % 2:][:1] + (f"line {number}",) for number in range(20)]
    corpus = lines_of(lines if labelled else [line for _, line in lines], validation=0.1)
    output = str(tmp_path / "m.charlm")
    session = Session(output, "cpu", 1, time.monotonic(), lambda: False)
    events = list(run(corpus, "labels" if labelled else "lines",
                      TrainingOptions(hidden_size=8, num_layers=1, steps=4, batch_size=4), session))
    model = load(output)
    assert (model.task, model.config.encoder, model.separate_source) == ("labels" if labelled else "lines", "shared",
                                                                         None)
    assert model.labels == corpus.labels and (model.labels is not None) == labelled
    assert model.line_hashes.contains([line for _, line in lines]).all() and "line 20" not in model.line_hashes
    assert (model.training["train_lines"], model.training["validation_lines"]) == (18, 2)
    assert events[-1].reason == "finished" and model.training["nats_per_token"] == pytest.approx(events[-1].loss)


@pytest.mark.parametrize("task, encoder", [("text", None), ("text", "bidirectional"), ("pairs", None), ("fill", None)])
def test_a_run_of_every_task_stores_a_model_of_that_task(corpus_of, pairs_of, tmp_path, monkeypatch, task, encoder):
    monkeypatch.setattr("charlm.training.time_plan.MIN_MEASURED", 0.0)
    corpus = pairs_of([(f"s{number}",
                        "up") for number in range(20)]) if task == "pairs" else corpus_of("namaskar\n" * 40)
    output, seen = str(tmp_path / "m.charlm"), []
    session = Session(output, "cpu", 1, time.monotonic(), lambda: False, preview=lambda model,
                      _: seen.append(model) or model.task)
    events = list(run(corpus, task, TrainingOptions(encoder=encoder, hidden_size=8, num_layers=1, steps=4,
                                                    batch_size=4, bptt=16), session))
    model, stopped = load(output), events[-1]
    assert isinstance(stopped, Stopped) and (stopped.task, stopped.path, stopped.reason) == (task, output, "finished")
    assert (model.task, model.config.encoder) == (task, encoder or ("shared" if task == "text" else "bidirectional"))
    assert (model.separate_source is not None) == (task == "pairs") == (stopped.error_rate is not None)
    assert ("word_error_rate" in model.training) == ("train_pairs" in model.training) == (task == "pairs")
    validations = [event for event in events if isinstance(event, Validation)]
    assert [event.text for event in events if isinstance(event,
                                                         Sampled)] == [task] * len(validations) and len(seen) >= 1


@pytest.mark.parametrize("options, measured", [({"steps": 3}, False), ({"epochs": 0.1}, False),
                                               ({"minutes": 0.01}, True)])
def test_speed_is_measured_only_if_the_plan_needs_it(corpus_of, tmp_path, monkeypatch, options, measured):
    calls = []
    monkeypatch.setattr("charlm.training.time_plan.MIN_MEASURED", 0.0)
    monkeypatch.setattr("charlm.training.time_plan.measure", lambda *given,
                        **how: calls.append(1) or measure(*given, **how))
    session = Session(str(tmp_path / "m.charlm"), "cpu", 1, time.monotonic(), lambda: False)
    planned, *_ = run(corpus_of("namaskar\n" * 128), "text", TrainingOptions(hidden_size=8, num_layers=1, **options),
                      session)
    assert bool(calls) == measured == (planned.seconds is not None)
