"""A run resumed from a checkpoint ends with the very bits of the run that was never stopped."""

import dataclasses

import pytest

from charlm.errors import DivergedError, ModelFileError
from charlm.tasks import TASKS
from charlm.training.checkpoint_state import restore, snapshot
from charlm.training.loop import TrainingState
from charlm.training.run import parse_run
from tests.helpers.pairwise import grid

pytestmark = pytest.mark.usefixtures("one_thread")


def assert_every_resumption_ends_alike(runner):
    whole = runner.whole
    assert sorted(whole.checkpoints) == [4, 8, 12]
    for step, checkpoint in whole.checkpoints.items():
        again = runner.finish(checkpoint, every=100)
        assert again.ends_like(whole), step


@pytest.mark.parametrize("task, cell, extra", grid(
    task=list(TASKS), cell=["lstm", "gru", "rnn"],
    extra={"plain": {}, "dropout": {"dropout": 0.3}, "averaging": {"averaging": 0.9},
           "bfloat16": {"precision": "bfloat16"}}))
def test_resume_at_every_fourth_step_equals_the_uninterrupted_run(runner_of, task, cell, extra):
    assert_every_resumption_ends_alike(runner_of(task, cell=cell, steps=12, **extra))


@pytest.mark.parametrize("options", [
    {"encoder": "bidirectional"}, {"encoder": "stacked", "attention": False, "averaging": 0.9},
    {"optimizer": "adamw"}, {"num_layers": 2, "tied": True, "embedding_size": None, "dropout": 0.3}],
    ids=["windowed", "fixed-context", "adamw", "two-layers"])
def test_resume_equals_uninterrupted_for_other_networks_of_text(runner_of, options):
    assert_every_resumption_ends_alike(runner_of("text", steps=12, **options))


# Nothing that is saved could be left out


def differs(rich, checkpoint):
    """Return True if resuming is refused, or ends differently."""
    runner, whole = rich
    try:
        again = runner.finish(checkpoint, every=100)
    except ModelFileError:
        return True
    return not again.ends_like(whole)


def without(checkpoint, left_out):
    """The checkpoint without the tensors whose names `left_out` picks."""
    tensors = {name: values for name, values in checkpoint.tensors.items() if not left_out(name)}
    assert len(tensors) < len(checkpoint.tensors)
    return dataclasses.replace(checkpoint, tensors=tensors)


KINDS = {"weights": "model.decoder", "average": "average.", "best weights": "best.", "a best weight": "best.head.bias",
         "AdamW's first moment": ".exp_avg", "AdamW's second moment": ".exp_avg_sq", "AdamW's step": ".step",
         "Muon's mean": ".mean", "all of the optimizers": "optimizer.", "the lanes' states": "objective.layers.",
         "the memory": "objective.memory.", "the window": "objective.window_tokens", "all of the lanes": "objective."}


@pytest.mark.parametrize("what", KINDS)
def test_no_kind_of_tensor_can_be_left_out(rich, what):
    mark = KINDS[what]
    assert differs(rich, without(rich[1].checkpoints[20], lambda name: name.startswith(mark) or
                                 mark.startswith(".") and name.endswith(mark)))


def test_no_single_tensor_can_be_left_out(rich):
    whole = rich[1].checkpoints[20]
    names = [name for name in whole.tensors if name != "model.tokenizer.characters"]
    assert len(names) > 50 and all(differs(rich, without(whole, lambda name, one=one: name == one)) for one in names)


def test_the_tokenizer_cannot_be_left_out(rich):
    with pytest.raises(ModelFileError):
        parse_run(without(rich[1].checkpoints[20], lambda name: name == "model.tokenizer.characters"))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_lanes_without_their_state_are_refused(runner_of, cell):
    runner = runner_of("text", cell=cell)
    whole = runner.whole.checkpoints[20]
    left = without(whole, lambda name: name.startswith("objective."))
    assert len(left.tensors) == len(whole.tensors) - (2 if cell == "lstm" else 1)
    with pytest.raises(ModelFileError, match="lanes"):
        restore(left, runner.trainer())


def with_run(checkpoint, **changes):
    return dataclasses.replace(checkpoint, run=checkpoint.run | changes)


def test_lanes_with_a_state_before_the_first_update_are_refused(runner_of):
    runner = runner_of("text")
    whole = runner.whole.checkpoints[20]
    state = whole.run["state"] | {"step": 0, "validated": 0, "losses": 0}
    with pytest.raises(ModelFileError, match="lanes"):
        restore(with_run(whole, state=state), runner.trainer())


def test_the_whole_checkpoint_makes_no_difference(rich):
    assert not differs(rich, rich[1].checkpoints[20])


def test_no_number_of_the_state_can_be_left_out(rich):
    runner, whole = rich[0], rich[1].checkpoints[20]
    state = whole.run["state"]
    assert {*state, "best_weights"} == {field.name for field in dataclasses.fields(TrainingState)}
    for number in state:
        left = {name: value for name, value in state.items() if name != number}
        with pytest.raises(ModelFileError):
            restore(with_run(whole, state=left), runner.trainer())


def test_no_part_of_the_metadata_can_be_left_out(rich):
    whole = rich[1].checkpoints[20]
    assert len(whole.run) == 9 and len(whole.model) == 9
    for table in ("run", "model"):
        for part in getattr(whole, table):
            left = {name: value for name, value in getattr(whole, table).items() if name != part}
            with pytest.raises(ModelFileError):
                parse_run(dataclasses.replace(whole, **{table: left}))


def test_a_run_with_another_state_ends_differently(rich):
    whole = rich[1].checkpoints[20]
    state = whole.run["state"]
    assert state["step"] == 20 and state["best"]
    for wrong in ({"step": 19}, {"loss_sum": state["loss_sum"] + 1}, {"best": state["best"] | {"loss": 0.0}}):
        assert differs(rich, with_run(whole, state=state | wrong))


def test_failures_are_counted_from_those_before(rich):
    runner, whole = rich[0], rich[1].checkpoints[20]
    trainer = runner.trainer()
    restore(with_run(whole, failures=2), trainer)
    trainer.network.head.bias.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergedError):
        trainer.update(20)
    assert whole.run["failures"] == 0


def test_failures_are_saved(runner_of):
    runner = runner_of("lines")
    trainer = runner.trainer()
    trainer.network.head.bias.register_hook(lambda gradient: gradient * float("inf"))
    trainer.update(0)
    checkpoint = snapshot(runner.run, runner.corpus, trainer, TrainingState())
    restore(checkpoint, again := runner.trainer())
    assert checkpoint.run["failures"] == again.failures == 1
