"""A run that goes on from a checkpoint comes to the very bits of the run that was never stopped."""

import dataclasses

import pytest

from charlm.checkpoint import Checkpoint
from charlm.errors import DivergedError, ModelFileError
from charlm.training.checkpoint_state import described, go_on, take
from charlm.training.loop import TrainingState
from tests.helpers.pairwise import grid

pytestmark = pytest.mark.usefixtures("one_thread")


def assert_every_resumption_ends_alike(runner):
    whole = runner.whole
    assert sorted(whole.checkpoints) == [10, 20, 30]
    for step, checkpoint in whole.checkpoints.items():
        again = runner.to_the_end(checkpoint, every=100)
        assert (again.tensors, again.kept) == (whole.tensors, whole.kept), step


@pytest.mark.parametrize("kind, cell, way", grid(
    kind=["stream", "lines", "labels", "pairs", "fill"], cell=["lstm", "gru", "rnn"],
    way={"plain": {}, "dropout": {"dropout": 0.3}, "averaging": {"averaging": 0.9}}))
def test_resume_at_every_tenth_step_equals_the_uninterrupted_run(runner_of, kind, cell, way):
    assert_every_resumption_ends_alike(runner_of(kind, cell=cell, **way))


@pytest.mark.parametrize("wishes", [
    {"encoder": "bidirectional"}, {"encoder": "stacked", "attention": False, "averaging": 0.9},
    {"optimizer": "adamw"}, {"layers": 2, "tied": True, "embedding": None, "dropout": 0.3}],
    ids=["windowed", "fixed-context", "adamw", "two-layers"])
def test_resume_equals_the_uninterrupted_run_of_other_streams(runner_of, wishes):
    assert_every_resumption_ends_alike(runner_of("stream", **wishes))


# Nothing that is saved could be left out


def differs(rich, checkpoint):
    """Whether a resumption from it is refused, or ends otherwise than the run did."""
    runner, whole = rich
    try:
        again = runner.to_the_end(checkpoint, every=100)
    except ModelFileError:
        return True
    return (again.tensors, again.kept) != (whole.tensors, whole.kept)


KINDS = {"weights": "weights.", "average": "average.", "best weights": "best.", "a best weight": "best.head.bias",
         "AdamW's first moment": ".exp_avg", "AdamW's second moment": ".exp_avg_sq", "AdamW's step": ".step",
         "Muon's mean": ".mean", "all of the optimizers": "optimizer.", "the lanes' states": "objective.layers.",
         "the memory": "objective.memory.", "the window read": "objective.window_tokens",
         "all of the lanes": "objective."}


@pytest.mark.parametrize("what", KINDS)
def test_no_tensor_can_be_left_out(rich, what):
    mark, whole = KINDS[what], rich[1].checkpoints[20]
    left = {name: values for name, values in whole.tensors.items()
            if not (name.startswith(mark) or mark.startswith(".") and name.endswith(mark))}
    assert len(left) < len(whole.tensors)
    assert differs(rich, Checkpoint(whole.run, left))


def test_no_single_tensor_can_be_left_out(rich):
    whole = rich[1].checkpoints[20]
    free = [name for name in whole.tensors if not name.startswith(("writes.", "reads."))
            and not differs(rich, Checkpoint(whole.run, {key: value for key, value in whole.tensors.items()
                                                         if key != name}))]
    assert not free


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_lanes_without_the_state_they_came_to_are_refused(runner_of, cell):
    runner = runner_of("stream", cell=cell)
    whole = runner.whole.checkpoints[20]
    left = {name: values for name, values in whole.tensors.items() if not name.startswith("objective.")}
    assert len(left) == len(whole.tensors) - (2 if cell == "lstm" else 1)
    with pytest.raises(ModelFileError, match="lanes"):
        go_on(Checkpoint(whole.run, left), runner.trainer())


def test_lanes_with_a_state_before_the_first_update_are_refused(runner_of):
    runner = runner_of("stream")
    whole = runner.whole.checkpoints[20]
    standing = whole.run["standing"] | {"step": 0, "validated": 0}
    with pytest.raises(ModelFileError, match="lanes"):
        go_on(Checkpoint(whole.run | {"standing": standing}, whole.tensors), runner.trainer())


def test_the_whole_checkpoint_makes_no_difference(rich):
    assert not differs(rich, rich[1].checkpoints[20])


def test_no_number_of_a_standing_can_be_left_out(rich):
    runner, whole = rich[0], rich[1].checkpoints[20]
    standing = whole.run["standing"]
    assert {*standing, "best_weights"} == {field.name for field in dataclasses.fields(TrainingState)}
    for number in standing:
        left = {name: value for name, value in standing.items() if name != number}
        with pytest.raises(ModelFileError):
            go_on(Checkpoint(whole.run | {"standing": left}, whole.tensors), runner.trainer())


@pytest.mark.parametrize("part", ["model", "config", "task", "standing", "failures", "flags", "corpus",
                                  "environment", "changes", "minutes", "texts"])
def test_no_part_of_a_run_can_be_left_out(rich, part):
    whole = rich[1].checkpoints[20]
    left = {name: value for name, value in whole.run.items() if name != part}
    assert len(left) == 10
    with pytest.raises(ModelFileError):
        described(Checkpoint(left, whole.tensors))


def test_a_run_that_stands_elsewhere_ends_otherwise(rich):
    whole = rich[1].checkpoints[20]
    standing = whole.run["standing"]
    assert standing["step"] == 20 and standing["best"]
    for wrong in ({"step": 19}, {"best": standing["best"] | {"loss": 0.0}}):
        assert differs(rich, Checkpoint(whole.run | {"standing": standing | wrong}, whole.tensors))


def test_failures_are_counted_on(rich):
    runner, whole = rich[0], rich[1].checkpoints[20]
    trainer = runner.trainer()
    go_on(Checkpoint(whole.run | {"failures": 2}, whole.tensors), trainer)
    trainer.network.head.bias.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergedError):
        trainer.update(20)
    assert whole.run["failures"] == 0


def test_failures_are_saved(runner_of):
    runner = runner_of("lines")
    trainer = runner.trainer()
    trainer.network.head.bias.register_hook(lambda gradient: gradient * float("inf"))
    trainer.update(0)
    checkpoint = take(runner.run, runner.corpus, trainer, TrainingState())
    go_on(checkpoint, again := runner.trainer())
    assert checkpoint.run["failures"] == again.failures == 1
