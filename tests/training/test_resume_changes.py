"""What a resumption refuses, what it may change, and what a checkpoint says of its run."""

import dataclasses

import pytest

from charlm.checkpoint import Checkpoint
from charlm.errors import ModelFileError, UsageError
from charlm.training.checkpoint_state import described, go_on, going_on, recorded, take, texts_of, wishes_of
from charlm.training.loop import TrainingState
from charlm.training.options import TrainingOptions, choose_model, choose_run

pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = ["stream", "lines", "labels", "pairs", "fill"]


# What is refused


@pytest.mark.parametrize("other", [
    {"hidden": 9}, {"cell": "lstm"}, {"layers": 2}, {"averaging": 0.0}, {"optimizer": "adamw"},
    {"encoder": "shared"}, {"batch_size": 3}, {"batch_size": 5}, {"embedding": 7}], ids=str)
def test_the_tensors_of_another_run_are_refused(rich, runner_of, other):
    wishes = {"encoder": "bidirectional", "averaging": 0.9, "dropout": 0.3, "cell": "gru"}
    runner = runner_of("stream", **wishes | other)
    for mine, its in ((runner, rich[1].checkpoints[20]), (rich[0], runner.to_the_end().checkpoints[20])):
        with pytest.raises(ModelFileError):
            go_on(its, mine.trainer())


def test_the_checkpoint_of_another_task_is_refused(rich, runner_of):
    for kind in ("lines", "pairs", "fill"):
        with pytest.raises(ModelFileError):
            go_on(rich[1].checkpoints[20], runner_of(kind, cell="gru", averaging=0.9).trainer())


@pytest.mark.parametrize(("what", "wrong"), [*(("standing", wrong) for wrong in ("text", 3, [], {"x": 1}, None)),
                                             *(("best", wrong) for wrong in ("text", 3, [3], {"x": 1}))], ids=str)
def test_a_standing_of_another_kind_is_refused(rich, what, wrong):
    run = rich[1].checkpoints[20].run
    broken = {"standing": wrong} if what == "standing" else {"standing": run["standing"] | {"best": wrong}}
    with pytest.raises(ModelFileError):
        checkpoint = Checkpoint(run | broken, rich[1].checkpoints[20].tensors)
        described(checkpoint)
        go_on(checkpoint, rich[0].trainer())


# What may change, and what may not


def changed(runner, **wishes):
    """The run as its corpus would now have it, with other wishes."""
    wished = dataclasses.replace(runner.wishes, **wishes)
    return going_on(runner.run, choose_model(runner.corpus, wished), choose_run(runner.corpus, wished), runner.corpus)


@pytest.mark.parametrize(("wishes", "named"), [
    ({"hidden": 9}, "--hidden 8 → 9"), ({"cell": "gru"}, "--cell lstm → gru"), ({"layers": 2}, "--layers 1 → 2"),
    ({"embedding": 7}, "--embedding 6 → 7"), ({"batch_size": 5}, "--batch-size 4 → 5"), ({"bptt": 7}, "--bptt 8 → 7"),
    ({"seed": 1}, "--seed 0 → 1"), ({"dropout": 0.5}, "--dropout 0.0 → 0.5"), ({"warmup": 4}, "--warmup 3 → 4"),
    ({"optimizer": "adamw"}, "--optimizer muon → adamw"), ({"averaging": 0.5}, "--averaging 0.0 → 0.5"),
    ({"clip": 2.0}, "--clip 1.0 → 2.0"), ({"clip_value": 2.0}, "--clip-value 0.0 → 2.0"),
    ({"weight_decay": 0.5}, "--weight-decay 0.1 → 0.5"), ({"label_smoothing": 0.5}, "--label-smoothing 0.0 → 0.5"),
    ({"nonlinearity": "relu"}, "--nonlinearity tanh → relu"), ({"encoder": "bidirectional"}, "--encoder shared → bidirectional"),
    ({"tied": True, "embedding": 8}, "--tied False → True")], ids=str)
def test_a_change_of_the_run_is_refused_with_old_and_new(runner_of, wishes, named):
    with pytest.raises(UsageError) as error:
        changed(runner_of("stream"), **wishes)
    assert f"{named}," in f"{error.value},"


def test_all_changes_are_listed_at_once(runner_of):
    with pytest.raises(UsageError, match="--hidden 8 → 16, --batch-size 4 → 2, --seed 0 → 3$"):
        changed(runner_of("stream"), hidden=16, seed=3, batch_size=2, lr=0.5)


def test_length_rate_and_patience_may_change_and_are_recorded(runner_of):
    runner = runner_of("stream")
    assert recorded(runner.run, changed(runner)) == runner.run
    first = recorded(runner.run, changed(runner, steps=50, lr=0.5, patience=3))
    assert (first.config.steps, first.config.learning_rate, first.config.patience) == (50, 0.5, 3)
    assert first.changes == ({"steps": [30, 50], "learning_rate": [0.006, 0.5], "patience": [0, 3]},)
    second = recorded(first, going_on(first, first.model, dataclasses.replace(first.config, steps=60), runner.corpus))
    assert second.changes == (*first.changes, {"steps": [50, 60]})


def test_the_first_plan_of_a_length_is_no_change_of_it(runner_of):
    unplanned = dataclasses.replace(runner_of("stream").run, minutes=2.0)
    planned = dataclasses.replace(unplanned, minutes=None, config=dataclasses.replace(unplanned.config, steps=70))
    assert recorded(unplanned, planned).changes == ()
    faster = dataclasses.replace(planned, config=dataclasses.replace(planned.config, learning_rate=0.5))
    assert recorded(unplanned, faster).changes == ({"learning_rate": [0.006, 0.5]},)


def test_a_run_without_a_plan_is_planned_again_from_its_minutes(runner_of):
    runner = runner_of("stream")
    unplanned = dataclasses.replace(runner.run, minutes=2.0)
    assert described(take(unplanned, runner.corpus, runner.trainer(), TrainingState())) == unplanned
    assert wishes_of(unplanned)["minutes"] == 2.0 and "steps" not in wishes_of(unplanned)
    assert wishes_of(runner.run)["steps"] == 30 and "minutes" not in wishes_of(runner.run)


def test_a_run_is_the_one_that_its_checkpoint_describes(runner_of):
    runner = runner_of("labels")
    run = dataclasses.replace(changed(runner, steps=50), flags={"task": "labels", "validation": 0.1})
    assert described(take(run, runner.corpus, runner.trainer(), TrainingState())) == run


@pytest.mark.parametrize("kind", KINDS)
def test_wishes_of_a_run_make_it_again_whatever_the_corpus_suggests(runner_of, kind):
    odd = {"hidden": 10, "embedding": None, "layers": 2, "cell": "rnn", "nonlinearity": "relu", "tied": True,
           "dropout": 0.35, "label_smoothing": 0.05, "averaging": 0.8, "optimizer": "adamw", "lr": 0.02,
           "weight_decay": 0.3, "warmup": 4, "batch_size": 3, "bptt": 7, "clip": 2.0, "clip_value": 0.5,
           "patience": 4, "seed": 9, "steps": 31}
    if kind == "labels":
        odd |= {"tied": False, "embedding": 7}
    if kind in ("stream", "fill", "pairs"):
        odd |= {"encoder": "stacked", "attention": False}
    runner = runner_of(kind, **odd)
    wishes = TrainingOptions(**wishes_of(runner.run))
    assert (choose_model(runner.corpus, wishes), choose_run(runner.corpus, wishes)) == (runner.run.model, runner.run.config)


# How its texts are read


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_says_how_its_texts_are_read(runner_of, kind):
    runner = runner_of(kind)
    texts = texts_of(runner.at_the_beginning())
    assert texts.tokenizer.encode("aé b").tolist() == runner.corpus.tokenizer.encode("aé b").tolist()
    assert (texts.labels and texts.labels.names) == (("High", "Low") if kind == "labels" else None)
    assert (texts.separate_source and texts.separate_source.kind) == ("nfd" if kind == "pairs" else None)
    if kind == "pairs":
        assert texts.separate_source.encode("é").tolist() == runner.corpus.source_tokenizer.encode("é").tolist()


@pytest.mark.parametrize("broken", [
    lambda run, tensors: run["texts"].pop("tokenizer"), lambda run, tensors: run.pop("texts"),
    lambda run, tensors: run["texts"].update(tokenizer="morse"), lambda run, tensors: run.update(texts=[]),
    lambda run, tensors: run["texts"].update(labels=3), lambda run, tensors: tensors.pop("writes.tokenizer.characters"),
    lambda run, tensors: tensors.pop("reads.tokenizer.characters"),
    lambda run, tensors: run["texts"].update(tokenizer=["char"])])
def test_a_checkpoint_that_does_not_say_so_is_refused(runner_of, broken):
    runner = runner_of("pairs")
    checkpoint = runner.at_the_beginning()
    run, tensors = checkpoint.run | {"texts": dict(checkpoint.run["texts"])}, dict(checkpoint.tensors)
    broken(run, tensors)
    with pytest.raises(ModelFileError):
        texts_of(Checkpoint(run, tensors))
