"""What resuming refuses, what it may change, and where a run starts from."""

import dataclasses

import pytest

from charlm.config import CorpusConfig
from charlm.errors import ModelFileError, UsageError
from charlm.modelfile import save
from charlm.tasks import TASKS
from charlm.text.tokenizers.registry import Extendable
from charlm.training.checkpoint_state import restore, snapshot
from charlm.training.defaults import resolve
from charlm.training.loop import TrainingState
from charlm.training.options import TrainingOptions
from charlm.training.run import make_model, parse_model, parse_run, resume_run, with_changes
from charlm.training.starting_point import StartingPoint

pytestmark = pytest.mark.usefixtures("one_thread")


# Checkpoints of other runs


@pytest.mark.parametrize("other", [
    {"hidden_size": 9}, {"num_layers": 2}, {"averaging": 0.0}, {"optimizer": "adamw"}, {"encoder": "shared"},
    {"batch_size": 5}, *(pytest.param(each, marks=pytest.mark.slow) for each in (
        {"cell": "lstm"}, {"batch_size": 3}, {"embedding_size": 7}))], ids=str)
def test_the_tensors_of_another_run_are_refused(rich, runner_of, other):
    options = {"encoder": "bidirectional", "averaging": 0.9, "dropout": 0.3, "cell": "gru"}
    runner = runner_of("text", **options | other)
    for mine, its in ((runner, rich[1].checkpoints[20]), (rich[0], runner.finish().checkpoints[20])):
        with pytest.raises(ModelFileError):
            restore(its, mine.trainer())


def test_the_checkpoint_of_another_task_is_refused(rich, runner_of):
    for task in ("lines", "pairs", "fill"):
        with pytest.raises(ModelFileError):
            restore(rich[1].checkpoints[20], runner_of(task, cell="gru", averaging=0.9).trainer())


@pytest.mark.parametrize("what, wrong", [*(("state", wrong) for wrong in ("text", 3, [], {"x": 1}, None)),
                                         *(("best", wrong) for wrong in ("text", 3, [3], {"x": 1}))], ids=str)
def test_a_state_of_another_form_is_refused(rich, what, wrong):
    checkpoint = rich[1].checkpoints[20]
    run = checkpoint.run
    broken = run | ({"state": wrong} if what == "state" else {"state": run["state"] | {"best": wrong}})
    with pytest.raises(ModelFileError):
        parse_run(dataclasses.replace(checkpoint, run=broken))


# What may change, and what may not


def changed(runner, **options):
    """The runner's run as it is resumed with other options."""
    given = dataclasses.replace(runner.options, **options)
    return resume_run(runner.run, *resolve(runner.task, given, runner.corpus), runner.corpus)


@pytest.mark.parametrize("options, named", [
    ({"hidden_size": 9}, "--hidden 8 → 9"), ({"cell": "gru"}, "--cell lstm → gru"),
    ({"num_layers": 2}, "--layers 1 → 2"), ({"embedding_size": 7}, "--embedding 6 → 7"),
    ({"batch_size": 5}, "--batch-size 4 → 5"), ({"bptt": 7}, "--bptt 8 → 7"), ({"seed": 1}, "--seed 0 → 1"),
    ({"dropout": 0.5}, "--dropout 0.0 → 0.5"), ({"warmup": 4}, "--warmup 3 → 4"),
    ({"optimizer": "adamw"}, "--optimizer muon → adamw"), ({"averaging": 0.5}, "--averaging 0.0 → 0.5"),
    ({"clip": 2.0}, "--clip 1.0 → 2.0"), ({"clip_value": 2.0}, "--clip-value 0.0 → 2.0"),
    ({"weight_decay": 0.5}, "--weight-decay 0.1 → 0.5"), ({"label_smoothing": 0.5}, "--label-smoothing 0.0 → 0.5"),
    ({"nonlinearity": "relu"}, "--nonlinearity tanh → relu"),
    ({"encoder": "bidirectional"}, "--encoder shared → bidirectional"),
    ({"tied": True, "embedding_size": 8}, "--tied False → True")], ids=str)
def test_a_change_of_the_run_is_refused_with_old_and_new(runner_of, options, named):
    with pytest.raises(UsageError) as error:
        changed(runner_of("text"), **options)
    assert f"{named}," in f"{error.value},"


def test_all_changes_are_listed_at_once(runner_of):
    with pytest.raises(UsageError) as error:
        changed(runner_of("text"), hidden_size=16, seed=3, batch_size=2, learning_rate=0.5)
    assert all(change in str(error.value) for change in ("--hidden 8 → 16", "--batch-size 4 → 2", "--seed 0 → 3"))
    assert "--lr" not in str(error.value)


def test_length_rate_and_patience_may_change_and_are_recorded(runner_of):
    runner = runner_of("text")
    assert with_changes(runner.run, changed(runner)) == runner.run
    first = with_changes(runner.run, changed(runner, steps=50, learning_rate=0.5, patience=3))
    assert (first.config.steps, first.config.learning_rate, first.config.patience) == (50, 0.5, 3)
    assert first.changes == ({"steps": [30, 50], "learning_rate": [0.006, 0.5], "patience": [0, 3]},)
    longer = dataclasses.replace(first.config, steps=60)
    second = with_changes(first, resume_run(first, first.model, longer, runner.corpus))
    assert second.changes == (*first.changes, {"steps": [50, 60]})


def test_a_run_that_runs_out_of_memory_resumes_in_smaller_parts(runner_of):
    runner = runner_of("text")
    smaller = with_changes(runner.run, changed(runner, accumulate=2))
    assert smaller.config.accumulate == 2 and smaller.changes == ({"accumulate": [1, 2]},)


def test_checkpoints_from_before_accumulation_are_those_of_whole_batches(runner_of):
    runner = runner_of("text")
    checkpoint = runner.first_checkpoint()
    older = {name: value for name, value in checkpoint.run["config"].items() if name != "accumulate"}
    assert parse_run(dataclasses.replace(checkpoint, run=checkpoint.run | {"config": older})) == saved(runner.run)


def test_the_first_plan_of_a_length_is_not_a_change(runner_of):
    unplanned = dataclasses.replace(runner_of("text").run, minutes=2.0)
    planned = dataclasses.replace(unplanned, minutes=None, config=dataclasses.replace(unplanned.config, steps=70))
    assert with_changes(unplanned, planned).changes == ()
    faster = dataclasses.replace(planned, config=dataclasses.replace(planned.config, learning_rate=0.5))
    assert with_changes(unplanned, faster).changes == ({"learning_rate": [0.006, 0.5]},)


def saved(run):
    """Return the run as its checkpoint stores it, with only the digest of the corpus metadata."""
    return dataclasses.replace(run, corpus={"corpus_digest": run.corpus["corpus_digest"]})


@pytest.mark.parametrize("task", TASKS)
def test_a_checkpoint_describes_its_run(runner_of, task):
    runner = runner_of(task)
    run = dataclasses.replace(changed(runner, steps=50), reading=CorpusConfig(validation="0.1"), minutes=2.0)
    assert parse_run(snapshot(run, runner.corpus, runner.trainer(), TrainingState())) == saved(run)


def test_an_unplanned_run_is_planned_again_from_its_minutes(runner_of):
    runner = runner_of("text")
    unplanned = dataclasses.replace(runner.run, minutes=2.0)
    for run, steps, minutes in ((unplanned, None, 2.0), (runner.run, 30, None)):
        start = StartingPoint.from_checkpoint(snapshot(run, runner.corpus, runner.trainer(), TrainingState()))
        options = start.training_options(TrainingOptions())
        assert (options.steps, options.minutes) == (steps, minutes)
        assert start.training_options(TrainingOptions(epochs=3)).given.keys().isdisjoint({"steps", "minutes"})


ODD = {"hidden_size": 10, "embedding_size": None, "num_layers": 2, "cell": "rnn", "nonlinearity": "relu", "tied": True,
       "dropout": 0.35, "label_smoothing": 0.05, "averaging": 0.8, "optimizer": "adamw", "learning_rate": 0.02,
       "weight_decay": 0.3, "warmup": 4, "batch_size": 3, "bptt": 7, "clip": 2.0, "clip_value": 0.5,
       "patience": 4, "seed": 9, "steps": 31}


@pytest.mark.parametrize("task", TASKS)
def test_the_options_of_a_run_make_it_again_whatever_the_corpus(runner_of, task):
    odd = dict(ODD)
    if task == "labels":
        odd |= {"tied": False, "embedding_size": 7}
    if task in ("text", "fill", "pairs"):
        odd |= {"encoder": "stacked", "attention": False}
    runner = runner_of(task, **odd)
    start = StartingPoint.from_checkpoint(runner.first_checkpoint())
    options = start.training_options(TrainingOptions())
    assert resolve(task, options, runner.corpus) == (runner.run.model, runner.run.config)


# Where a run starts


def test_from_scratch_nothing_is_decided():
    start = StartingPoint.from_scratch()
    given = CorpusConfig(tokenizer="byte"), TrainingOptions(steps=3)
    start.check_task("lines")
    assert (start.corpus_config(given[0]), start.training_options(given[1])) == given


@pytest.mark.parametrize("task", TASKS)
def test_a_checkpoint_decides_how_its_corpus_is_read(runner_of, task):
    runner = runner_of(task)
    start = StartingPoint.from_checkpoint(runner.first_checkpoint())
    assert start.task == task and start.initial is None and start.run == saved(runner.run)
    assert start.tokenizer.encode("aé b").tolist() == runner.corpus.tokenizer.encode("aé b").tolist()
    assert (start.labels and start.labels.names) == (("High", "Low") if task == "labels" else None)
    assert (start.source_tokenizer and start.source_tokenizer.kind) == ("nfd" if task == "pairs" else None)
    if task == "pairs":
        assert start.source_tokenizer.encode("é").tolist() == runner.corpus.source_tokenizer.encode("é").tolist()


@pytest.mark.parametrize("task", TASKS)
def test_a_model_decides_network_and_tokens_and_extends_them(runner_of, tmp_path, task):
    runner = runner_of(task)
    weights = {name: values.numpy() for name, values in runner.trainer().export_weights().items()}
    save(str(tmp_path / "m.charlm"), make_model(runner.run, runner.corpus, weights, None))
    start = StartingPoint.from_model(str(tmp_path / "m.charlm"))
    assert start.task == task and start.run is None and isinstance(start.tokenizer, Extendable)
    assert start.initial.weights.keys() == weights.keys()
    options = start.training_options(TrainingOptions(steps=5))
    assert (options.hidden_size, options.embedding_size, options.num_layers, options.steps) == (8, 6, 1, 5)
    with pytest.raises(UsageError, match="--init-from .*--vocab-size None → 9"):
        start.corpus_config(CorpusConfig(vocabulary_size=9))


def test_another_task_or_tokenizer_is_refused_with_old_and_new(runner_of):
    start = StartingPoint.from_checkpoint(runner_of("text").first_checkpoint())
    with pytest.raises(UsageError, match="changed: --text → --lines"):
        start.check_task("lines")
    with pytest.raises(UsageError, match="changed: --tokenizer char → byte"):
        start.corpus_config(CorpusConfig(tokenizer="byte"))
    start.check_task("text")
    assert start.corpus_config(CorpusConfig(tokenizer="char")).tokenizer == "char"


def test_a_held_out_text_may_have_moved_but_not_become_a_fraction(runner_of):
    runner = runner_of("text")
    run = dataclasses.replace(runner.run, reading=CorpusConfig(validation="held-out.txt", errors="replace"))
    start = StartingPoint.from_checkpoint(snapshot(run, runner.corpus, runner.trainer(), TrainingState()))
    assert start.corpus_config(CorpusConfig(validation="moved.txt")) == CorpusConfig(validation="moved.txt",
                                                                                     errors="replace")
    with pytest.raises(UsageError, match="--validation held-out.txt → 0.2"):
        start.corpus_config(CorpusConfig(validation="0.2"))
    assert start.corpus_config(CorpusConfig(validation="0.2"), new_corpus=True).held_out == 0.2


# A checkpoint's model


@pytest.mark.parametrize("task", TASKS)
def test_a_checkpoint_holds_a_whole_model(runner_of, task):
    runner = runner_of(task)
    model = parse_model(runner.whole.checkpoints[30])
    assert (model.task, model.config, model.tokenizer.kind) == (task, runner.run.model, runner.corpus.tokenizer.kind)
    assert model.training["corpus_digest"] == runner.corpus.digest
    assert (model.line_hashes is not None) == TASKS[task].by_line


@pytest.mark.parametrize("broken", [
    lambda model, tensors: model.pop("tokenizer"), lambda model, tensors: model.update(tokenizer={"kind": "morse"}),
    lambda model, tensors: model.update(tokenizer={"kind": ["char"]}), lambda model, tensors: model.update(labels=3),
    lambda model, tensors: tensors.pop("model.tokenizer.characters"),
    lambda model, tensors: tensors.pop("model.source.tokenizer.characters")])
def test_a_checkpoint_without_a_sound_model_is_refused(runner_of, broken):
    checkpoint = runner_of("pairs").first_checkpoint()
    model, tensors = dict(checkpoint.model), dict(checkpoint.tensors)
    broken(model, tensors)
    with pytest.raises(ModelFileError):
        parse_run(dataclasses.replace(checkpoint, model=model, tensors=tensors))
