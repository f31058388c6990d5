"""A training records its story in the model that it writes, and nothing of it that a second run would not repeat.

Not here: how a history is thinned and stored (test_history.py), nor how it is resumed (test_resume_exactness.py).
"""

import dataclasses

import numpy as np
import pytest

from charlm.modelfile import content_digest, load
from charlm.training.loop import TrainingState, train
from charlm.training.objectives.base import ValidationMetrics
from charlm.training.worker import Interrupted
from tests.helpers.runners import run_in_process
from tests.helpers.texts import BRIEF

TEXT = "a cat sat\non a mat\n" * 30
CLOCK = {"SOURCE_DATE_EPOCH": None}     # a clock that goes


@pytest.fixture
def train_as(tmp_path, monkeypatch):
    """Return a function that trains a model under a name, on a text or with other flags, and loads it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus.txt").write_text(TEXT, encoding="utf-8")

    def make(name, *flags, env=None):
        run_in_process("train", "corpus.txt", "-o", name, *BRIEF, "--quiet", *flags, env=env).check()
        return load(name)
    return make


def test_a_model_has_the_figures_of_its_run(train_as):
    model = train_as("m.charlm", "--steps", "30", env=CLOCK)
    history, last = model.history, model.history.validations()[-1]
    assert history.steps.tolist() == list(range(1, 31)) and last.step == 30
    assert history.loss[0] > history.loss[-1] and (history.gradient_norm > 0).all()
    assert 0 < history.learning_rate[-1] < history.learning_rate.max() <= model.training["learning_rate"]
    assert last.loss == np.float32(model.training["nats_per_token"])
    assert 0 < history.seconds[0] <= history.seconds[-1] <= model.provenance.seconds + 0.05
    assert history.layer_names == ("embedding", "decoder 1", "head")
    squares = (history.layer_norms.astype(float) ** 2).sum(axis=1)
    assert squares ** 0.5 == pytest.approx(history.gradient_norm, rel=1e-5) and history.layer_steps.tolist() == [
        *history.steps]
    assert [sample.step for sample in history.samples] == history.held_out_steps.tolist()
    assert model.provenance.corpus == ("corpus.txt",) and model.provenance.date.endswith("Z")


def test_two_runs_of_a_command_differ_only_in_times_and_provenance(train_as):
    one, other = (train_as(name, env=CLOCK) for name in ("a.charlm", "b.charlm"))
    assert one.history.seconds.tolist() != other.history.seconds.tolist()
    assert content_digest(one) == content_digest(other) == content_digest(train_as("c.charlm"))
    assert content_digest(one) != content_digest(train_as("d.charlm", "--seed", "5"))


def test_a_fixed_date_makes_whole_files_equal(train_as, tmp_path):
    model = train_as("a.charlm")
    train_as("b.charlm")
    assert (tmp_path / "a.charlm").read_bytes() == (tmp_path / "b.charlm").read_bytes()
    assert not model.provenance.command and len(model.history.seconds) == 0 < len(model.history.steps)


def test_a_fine_tuned_model_names_the_one_that_it_started_from(train_as):
    first = train_as("first.charlm")
    second = train_as("second.charlm", "--init-from", "first.charlm", env=CLOCK)
    assert (second.provenance.init_from, second.provenance.init_digest) == ("first.charlm", content_digest(first))


def test_the_history_goes_on_after_the_best_validation(train_as, monkeypatch):
    losses = iter(range(1, 99))
    monkeypatch.setattr("charlm.training.trainer.Trainer.validate",
                        lambda trainer, interrupted: ValidationMetrics(float(next(losses)), 1.0))
    model = train_as("m.charlm", "--steps", "30", "--patience", "3")
    # The fifth is that of the weights after the rate has fallen to zero.
    assert model.history.held_out_loss.tolist() == [1, 2, 3, 4, 5] and model.training["nats_per_token"] == 1
    assert model.training["step"] < model.history.steps[-1] == model.history.held_out_steps[-1]


def test_a_validation_whose_sample_is_interrupted_is_made_again(runner_of, one_thread):
    runner, saved, samples = runner_of("text"), [], []

    def interrupted_sample(weights, validation):
        if not samples:
            samples.append("")
            raise Interrupted
        samples.append(f"after {validation.step}")
        return samples[-1]

    trainer, state = runner.trainer(), TrainingState()
    how = {"keep": lambda *_: "model", "checkpoint": lambda state: saved.append(dataclasses.replace(state)),
           "preview": interrupted_sample, "state": state}
    *_, stopped = train(trainer, **how)
    assert stopped.reason == "interrupted" and state.validated == 0 and not len(state.history.history().held_out_steps)
    *_, stopped = train(trainer, **how)
    history = state.history.history()
    assert stopped.reason == "finished" and samples[1] == f"after {history.held_out_steps[0]}"
    assert [text for _, text in history.samples] == samples[1:]
