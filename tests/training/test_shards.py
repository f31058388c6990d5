"""Shares of a batch: their gradients add up to those of the whole batch, and their states to its state."""

import contextlib

import pytest
import torch

from charlm.tasks import TASKS
from charlm.training import shards
from charlm.training.distributed import ProcessGroup, Shard
from charlm.training.shards import count_shards, replica


@pytest.fixture
def two_threads(monkeypatch):
    """Two threads, and shares of any number of rows."""
    before = torch.get_num_threads()
    monkeypatch.setattr(shards, "MIN_ROWS", 1)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def gradients(trainer, step=0):
    trainer.network.train()
    return trainer._shards.gradients(step, lambda number: number, contextlib.nullcontext)


def test_shares_of_all_threads_and_processes_are_all_rows_once():
    rows = list(range(23))
    found = [row for rank in range(3) for number in range(2)
             for row in Shard(ProcessGroup(rank, 3), number, 2).of(rows)]
    assert sorted(found) == rows


@pytest.mark.parametrize(("threads", "rows", "count"), [(1, 64, 1), (2, 64, 2), (2, 16, 2), (2, 15, 1), (8, 32, 4)])
def test_no_share_is_so_small_that_it_costs_as_much_as_the_whole(threads, rows, count):
    assert count_shards(threads, rows) == count


@pytest.mark.parametrize("task", TASKS)
def test_gradients_of_two_shares_add_up_to_those_of_the_batch(runner_of, two_threads, task):
    runner = runner_of(task)
    two = runner.trainer()
    torch.set_num_threads(1)
    one = runner.trainer()
    assert (len(two._shards.objectives), len(one._shards.objectives)) == (2, 1)
    for step in range(2):
        (loss_of_two, parts), (loss, whole) = gradients(two, step), gradients(one, step)
        assert loss_of_two.item() == pytest.approx(loss.item(), rel=1e-5)
        for part, expected in zip(parts, whole, strict=True):
            assert torch.allclose(part, expected, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("task", TASKS)
def test_an_accumulated_update_is_that_of_the_whole_batch(runner_of, two_threads, task, threads):
    torch.set_num_threads(1)
    whole = runner_of(task).trainer()
    torch.set_num_threads(threads)
    parts = runner_of(task, accumulate=4 // threads).trainer()
    assert len(parts._shards.objectives) == 4 and len(parts._shards._networks) == threads
    for step in range(3):
        one, other = whole.update(step), parts.update(step)
        assert other.loss == pytest.approx(one.loss, rel=1e-4)
        assert other.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-3)
    states = whole._shards.tensors(), parts._shards.tensors()
    assert all(torch.allclose(states[1][name], value, atol=1e-3) for name, value in states[0].items())


def test_only_one_part_of_a_batch_is_held_at_once(runner_of, monkeypatch):
    rows = []
    parts = runner_of("text", accumulate=2).trainer()
    step = parts.network.step
    monkeypatch.setattr(parts.network, "step", lambda inputs, state: rows.append(len(inputs)) or step(inputs, state))
    parts.update(0)
    assert rows == [2, 2]


def test_the_state_of_two_shares_is_that_of_the_batch(runner_of, two_threads):
    two = runner_of("text").trainer()
    torch.set_num_threads(1)
    one = runner_of("text").trainer()
    for trainer in (one, two):
        for step in range(3):
            gradients(trainer, step)
            trainer._shards.commit()
    expected = one._shards.tensors()
    assert expected and set(expected) == set(two._shards.tensors())
    for name, value in two._shards.tensors().items():
        assert torch.allclose(value, expected[name], atol=1e-5)


@pytest.mark.parametrize(("task", "accumulate"), [("text", 1), ("text", 2), ("pairs", 1)])
def test_a_run_in_two_threads_resumes_and_repeats_bit_for_bit(runner_of, two_threads, task, accumulate):
    runner = runner_of(task, dropout=0.3, accumulate=accumulate)
    whole = runner.whole
    assert runner.finish().tensors == whole.tensors
    for checkpoint in whole.checkpoints.values():
        assert runner.finish(checkpoint, every=100).tensors == whole.tensors


def test_shares_have_different_dropout_masks_and_the_same_weights(runner_of):
    network = runner_of("text", dropout=0.5).trainer().network
    other = replica(network)
    assert all(one is two for one, two in zip(network.parameters(), other.parameters(), strict=True))
    x = torch.ones(50, 50)
    for one, two in ((1, 1), (1, 2)):
        network.seed_dropout(one)
        other.seed_dropout(two)
        assert torch.equal(network.dropout(x), other.dropout(x)) == (one == two)
