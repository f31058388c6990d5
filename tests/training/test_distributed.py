"""A process alone sends nothing; two see the same, and together what one would have."""

import itertools
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import types
from contextlib import suppress
from datetime import timedelta

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import CharlmError, UsageError
from charlm.nn.state import Memory, State
from charlm.training.distributed import ProcessGroup, init_process_group

SIZES = [1, 2, 3, 4]
FLAGS = list(itertools.product([False, True], repeat=2))
BATCHES = [1, 2, 4, 5]


def numbered(batch, *, memory=True):
    """A state whose numbers are all different."""
    numbers = itertools.count()

    def part(*shape):
        return torch.tensor(list(itertools.islice(numbers, int(np.prod(shape))))).view(shape)

    layers = tuple((part(1, batch, 3), part(1, batch, 3)) for _ in range(2))
    if not memory:
        return State(layers)
    return State(layers, Memory(part(batch, 2, 3), part(batch, 2, 2), part(batch, 2) % 3 == 0), part(batch, 4))


def as_lists(state):
    return {name: values.tolist() for name, values in state.tensors().items()}


def share_of(world, state, batch):
    return state.select(world.shard(torch.arange(batch)))


# Two processes


def in_a_pair(world):
    """What one of two processes sees, as JSON has it."""
    wide, short = torch.nn.Parameter(torch.zeros(2, 3)), torch.nn.Parameter(torch.zeros(2))
    wide.grad = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) * (1 if world.is_main else 10)
    if world.is_main:
        short.grad = torch.tensor([7.0, 8.0])
    seen = {"rank": world.rank, "size": world.size, "any": [world.any(flags[world.rank]) for flags in FLAGS],
            "broadcast": world.broadcast([world.rank, f"process {world.rank}", {"steps": 10 + world.rank}])}
    began = time.monotonic()
    seen |= {"clock": world.clock(), "around": [began, time.monotonic()]}
    loss = torch.tensor(0.25 + world.rank, requires_grad=True)
    seen |= {"loss": world.sum_gradients([wide, short], loss), "own_loss": loss.item(),
             "gradients": [wide.grad.tolist(), short.grad.tolist()]}
    for memory in (True, False):
        seen[f"gathered {memory}"] = [
            as_lists(world.gather(share_of(world, numbered(batch, memory=memory), batch), batch))
            for batch in BATCHES]
    time.sleep(0.3 * world.rank)
    seen["came"] = time.monotonic()
    world.barrier()
    return seen | {"left": time.monotonic()}


class Parting(Exception):
    """Ends what a process does in a pair."""


def one_of_two(rank):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    with suppress(Parting), init_process_group("cpu") as world:
        seen = in_a_pair(world)
        raise Parting
    return seen | {"parted": not torch.distributed.is_initialized()}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def both():
    """What the first and the second of two processes have seen."""
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1",
                 "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pair = subprocess.Popen([sys.executable, __file__], env=os.environ | variables, text=True, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        said, failed = pair.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pair.pid, signal.SIGKILL)
        pair.wait()
    assert pair.returncode == 0, failed
    return json.loads(said.splitlines()[-1])


def test_two_processes_know_which_they_are(both):
    assert [(seen["rank"], seen["size"]) for seen in both] == [(0, 2), (1, 2)]


def test_a_flag_of_any_process_is_up_in_both(both):
    assert FLAGS[0] == (False, False)
    assert [seen["any"] for seen in both] == [[False, True, True, True]] * 2


def test_both_have_what_the_first_has(both):
    assert [seen["broadcast"] for seen in both] == [[0, "process 0", {"steps": 10}]] * 2


def test_both_have_the_first_ones_clock(both):
    before, after = both[0]["around"]
    assert both[0]["clock"] == both[1]["clock"] and before <= both[0]["clock"] <= after


def test_gradients_are_added_up_in_both_even_where_one_has_none(both):
    assert [seen["gradients"] for seen in both] == [[[[11, 22, 33], [44, 55, 66]], [7, 8]]] * 2


def test_losses_are_added_up_and_each_keeps_its_own(both):
    assert [(seen["loss"], seen["own_loss"]) for seen in both] == [(1.5, 0.25), (1.5, 1.25)]


@pytest.mark.parametrize("memory", [True, False])
def test_shares_of_a_state_come_together_in_the_order_of_the_whole(both, memory):
    wholes = [as_lists(numbered(batch, memory=memory)) for batch in BATCHES]
    assert len(wholes[0]) == (8 if memory else 4)
    assert [seen[f"gathered {memory}"] for seen in both] == [wholes] * 2


def test_nobody_goes_on_before_all_have_come(both):
    assert min(seen["left"] for seen in both) >= max(seen["came"] for seen in both)


def test_processes_part_even_after_an_exception(both):
    assert [seen["parted"] for seen in both] == [True, True]


# One process


@pytest.fixture
def nothing_sent(monkeypatch):
    """Whatever is sent fails."""
    monkeypatch.setattr("charlm.training.distributed.dist", None)


def test_a_process_alone_leads_and_has_the_whole_batch():
    rows = np.arange(7)
    assert ProcessGroup().is_main and ProcessGroup() == ProcessGroup(0, 1) and ProcessGroup().shard(rows).tolist() == rows.tolist()


def test_a_process_alone_sends_nothing(nothing_sent):
    value, state = object(), numbered(3)
    assert ProcessGroup().any(True) is True and ProcessGroup().any(False) is False
    assert ProcessGroup().broadcast(value) is value and ProcessGroup().gather(state, 3) is state
    assert ProcessGroup().barrier() is None
    before = time.monotonic()
    assert before <= ProcessGroup().clock() <= time.monotonic()


@pytest.mark.parametrize("needs_all", [
    lambda world: world.any(True), lambda world: world.clock(), lambda world: world.barrier(),
    lambda world: world.gather(numbered(3), 6), lambda world: world.sum_gradients([], torch.tensor(0.5))])
def test_a_process_that_the_others_need_and_is_gone_is_named_as_such(monkeypatch, needs_all):
    def gone(*_, **__):
        raise RuntimeError("[pair.cc:553] Connection closed by peer")

    for name in ("all_reduce", "broadcast_object_list", "barrier", "all_gather_object"):
        monkeypatch.setattr(torch.distributed, name, gone)
    with pytest.raises(CharlmError, match="^another process .* has ended.*--resume"):
        needs_all(ProcessGroup(0, 2))


def test_gradients_of_a_process_alone_stay_as_they_are(nothing_sent):
    some, none = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))
    some.grad = gradient = torch.tensor([1.0, 2.0])
    assert ProcessGroup().sum_gradients([some, none], torch.tensor(0.5, requires_grad=True)) == 0.5
    assert some.grad is gradient and gradient.tolist() == [1, 2] and none.grad is None


# Shares


def test_only_the_first_process_leads():
    assert [ProcessGroup(rank, 4).is_main for rank in range(4)] == [True, False, False, False]


@given(st.sampled_from(SIZES), st.lists(st.integers()))
def test_shares_part_a_batch_evenly_in_its_order(size, rows):
    shares = [ProcessGroup(rank, size).shard(rows) for rank in range(size)]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*shares, fillvalue=None))
    assert [row for row in turns if row is not None] == rows
    assert sum(map(len, shares)) == len(rows) and max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.sampled_from(SIZES), st.integers(0, 20))
def test_shares_of_arrays_and_tensors_are_the_same_rows(size, batch):
    for rank in range(size):
        numbers = ProcessGroup(rank, size).shard(list(range(batch)))
        assert ProcessGroup(rank, size).shard(np.arange(2 * batch).reshape(batch, 2)).tolist() == \
            ProcessGroup(rank, size).shard(torch.arange(2 * batch).view(batch, 2)).tolist() == \
            [[2 * number, 2 * number + 1] for number in numbers]


@pytest.mark.parametrize("size", SIZES)
def test_gathered_restores_every_batch_of_any_number_of_processes(monkeypatch, size):
    for batch in range(1, 10):
        whole = numbered(batch)
        shares = [share_of(ProcessGroup(rank, size), whole, batch) for rank in range(size)]

        def gather(states, own):
            assert own is shares[size - 1]
            states[:] = shares

        monkeypatch.setattr("charlm.training.distributed.dist", types.SimpleNamespace(all_gather_object=gather))
        assert as_lists(ProcessGroup(size - 1, size).gather(shares[-1], batch)) == as_lists(whole), batch


# Joining


@pytest.fixture
def started(monkeypatch):
    """A function that sets the variables of torchrun to these, and to no others."""
    def start(**values):
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)
    return start


@pytest.fixture
def recorded(monkeypatch):
    """The calls of process groups and GPUs, none of them real; there are two GPUs."""
    calls = []
    monkeypatch.setattr("charlm.training.distributed.dist", types.SimpleNamespace(
        init_process_group=lambda backend, timeout: calls.append((backend, timeout)), get_rank=lambda: 5,
        get_world_size=lambda: 8, destroy_process_group=lambda: calls.append("destroyed")))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: calls.append(number))
    return calls


@pytest.mark.parametrize("values", [{}, {"WORLD_SIZE": "2"}, {"RANK": "0"}, {"RANK": "0", "WORLD_SIZE": "1"}], ids=str)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_who_was_not_started_among_others_is_alone(started, nothing_sent, values, device):
    started(**values)
    with init_process_group(device) as world:
        assert world == ProcessGroup()


@pytest.mark.parametrize("local", ["2", "3"])
def test_a_process_without_a_gpu_is_told_how_many_there_are(started, recorded, local):
    started(RANK="5", WORLD_SIZE="8", LOCAL_RANK=local)
    with pytest.raises(UsageError) as refused, init_process_group("cuda"):
        pytest.fail("it has joined")
    said = str(refused.value)
    assert f"process {local} " in said and "there are 2" in said and "--nproc-per-node" in said and "\n" not in said
    assert recorded == []


def test_every_process_takes_the_gpu_of_its_number_on_its_machine(started, recorded):
    started(RANK="5", WORLD_SIZE="8", LOCAL_RANK="1")
    with init_process_group("cuda") as world:
        assert world == ProcessGroup(5, 8)
        assert recorded == [1, ("nccl", timedelta(minutes=30))]
    assert recorded[2:] == ["destroyed"]


def test_processes_on_the_cpu_need_no_gpu(started, recorded):
    started(RANK="5", WORLD_SIZE="8", LOCAL_RANK="5")
    with init_process_group("cpu") as world:
        assert world == ProcessGroup(5, 8)
    assert recorded == [("gloo", timedelta(minutes=30)), "destroyed"]


if __name__ == "__main__":              # both of the pair from one process: torch is slow to import
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(json.dumps(pool.map(one_of_two, range(2), chunksize=1)))
