"""A single process does not communicate; two agree, and together have what a single one would."""

import itertools
import json
import multiprocessing
import os
import pickle
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

from charlm.errors import CharlmError, OptionError, UsageError
from charlm.nn.state import Memory, State
from charlm.text.token_cache import TokenCache
from charlm.training.distributed import ProcessGroup, init_process_group

SIZES = [1, 2, 3, 4]
FLAGS = list(itertools.product([False, True], repeat=2))
BATCHES = [1, 2, 4, 5]


def numbered(batch, *, memory=True):
    """Return a state whose values are all different."""
    values = itertools.count()

    def part(*shape):
        return torch.tensor(list(itertools.islice(values, int(np.prod(shape))))).view(shape)

    layers = tuple((part(1, batch, 3), part(1, batch, 3)) for _ in range(2))
    if not memory:
        return State(layers)
    return State(layers, Memory(part(batch, 2, 3), part(batch, 2, 2), part(batch, 2) % 3 == 0), part(batch, 4))


def as_lists(state):
    return {name: values.tolist() for name, values in state.tensors().items()}


def shard_of(process_group, state, batch):
    return state.select(process_group.shard(torch.arange(batch)))


# Two processes


def observe(process_group):
    """Return what one of two processes observes, as JSON values."""
    wide, short = torch.nn.Parameter(torch.zeros(2, 3)), torch.nn.Parameter(torch.zeros(2))
    wide.grad = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) * (1 if process_group.is_main else 10)
    if process_group.is_main:
        short.grad = torch.tensor([7.0, 8.0])
    rank = process_group.rank
    seen = {"rank": rank, "size": process_group.size, "any": [process_group.any(flags[rank]) for flags in FLAGS],
            "broadcast": process_group.broadcast([rank, f"process {rank}", {"steps": 10 + rank}])}
    began = time.monotonic()
    seen |= {"clock": process_group.clock(), "around": [began, time.monotonic()]}
    loss = torch.tensor(0.25 + rank, requires_grad=True)
    seen |= {"loss": process_group.sum_gradients([wide, short], loss), "own_loss": loss.item(),
             "gradients": [wide.grad.tolist(), short.grad.tolist()]}
    for memory in (True, False):
        seen[f"gathered {memory}"] = [
            as_lists(process_group.gather(shard_of(process_group, numbered(batch, memory=memory), batch), batch))
            for batch in BATCHES]
    calls = []
    tokens = process_group.once_per_machine(lambda: calls.append(rank) or TokenCache([np.arange(5)], vocabulary_size=9))
    seen |= {"made": calls, "tokens": tokens.slice(0, 9).tolist(), "refused": refusal(process_group)}
    time.sleep(0.3 * rank)
    seen["reached"] = time.monotonic()
    process_group.barrier()
    return seen | {"left": time.monotonic()}


def refusal(process_group):
    """Return the exit code and message of a call that fails in the first process of a machine."""
    def fail():
        raise OptionError("keyword", "--flag", f"is wrong in {process_group.rank}")

    with pytest.raises(CharlmError) as raised:
        process_group.once_per_machine(fail)
    return [raised.value.exit_code, str(raised.value)]


class Leaving(Exception):
    """Leaves the context of a process group."""


def one_of_two(rank):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    with suppress(Leaving), init_process_group("cpu") as process_group:
        seen = observe(process_group)
        raise Leaving
    return seen | {"destroyed": not torch.distributed.is_initialized()}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def both():
    """The observations of rank 0 and rank 1 of two processes."""
    variables = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
                 "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1",
                 "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pair = subprocess.Popen([sys.executable, __file__], env=os.environ | variables, text=True, start_new_session=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        stdout, stderr = pair.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pair.pid, signal.SIGKILL)
        pair.wait()
    assert pair.returncode == 0, stderr
    return json.loads(stdout.splitlines()[-1])


def test_processes_know_their_rank_and_the_size_of_the_group(both):
    assert [(seen["rank"], seen["size"]) for seen in both] == [(0, 2), (1, 2)]


def test_any_is_true_in_both_if_one_flag_is_true(both):
    assert FLAGS[0] == (False, False)
    assert [seen["any"] for seen in both] == [[False, True, True, True]] * 2


def test_broadcast_gives_both_the_main_process_value(both):
    assert [seen["broadcast"] for seen in both] == [[0, "process 0", {"steps": 10}]] * 2


def test_clock_is_that_of_the_main_process(both):
    before, after = both[0]["around"]
    assert both[0]["clock"] == both[1]["clock"] and before <= both[0]["clock"] <= after


def test_gradients_are_summed_even_if_one_process_has_none(both):
    assert [seen["gradients"] for seen in both] == [[[[11, 22, 33], [44, 55, 66]], [7, 8]]] * 2


def test_losses_are_summed_and_the_local_loss_is_kept(both):
    assert [(seen["loss"], seen["own_loss"]) for seen in both] == [(1.5, 0.25), (1.5, 1.25)]


@pytest.mark.parametrize("memory", [True, False])
def test_gather_restores_the_order_of_the_batch(both, memory):
    wholes = [as_lists(numbered(batch, memory=memory)) for batch in BATCHES]
    assert len(wholes[0]) == (8 if memory else 4)
    assert [seen[f"gathered {memory}"] for seen in both] == [wholes] * 2


def test_a_corpus_is_read_once_per_machine_and_its_tokens_are_shared(both):
    assert [seen["made"] for seen in both] == [[0], []]
    assert [seen["tokens"] for seen in both] == [[0, 1, 2, 3, 4]] * 2


def test_an_error_of_the_reading_process_is_raised_in_all(both):
    assert [seen["refused"] for seen in both] == [[2, "keyword is wrong in 0"]] * 2


def test_barrier_waits_for_all_processes(both):
    assert min(seen["left"] for seen in both) >= max(seen["reached"] for seen in both)


def test_group_is_destroyed_even_after_an_exception(both):
    assert [seen["destroyed"] for seen in both] == [True, True]


# One process


@pytest.fixture
def no_communication(monkeypatch):
    """Make all communication fail."""
    monkeypatch.setattr("charlm.training.distributed.dist", None)


def test_a_single_process_is_main_and_its_shard_is_the_whole_batch():
    rows = np.arange(7)
    assert ProcessGroup().is_main and ProcessGroup() == ProcessGroup(0, 1)
    assert ProcessGroup().shard(rows).tolist() == rows.tolist()


def test_a_single_process_does_not_communicate(no_communication):
    value, state = object(), numbered(3)
    assert ProcessGroup().any(True) is True and ProcessGroup().any(False) is False
    assert ProcessGroup().broadcast(value) is value and ProcessGroup().gather(state, 3) is state
    assert ProcessGroup().barrier() is None
    before = time.monotonic()
    assert before <= ProcessGroup().clock() <= time.monotonic()


@pytest.mark.parametrize("call", [
    lambda group: group.any(True), lambda group: group.clock(), lambda group: group.barrier(),
    lambda group: group.gather(numbered(3), 6), lambda group: group.sum_gradients([], torch.tensor(0.5))])
def test_a_lost_process_is_reported_as_such(monkeypatch, call):
    def fail(*_, **__):
        raise RuntimeError("[pair.cc:553] Connection closed by peer")

    for name in ("all_reduce", "broadcast_object_list", "barrier", "all_gather_object"):
        monkeypatch.setattr(torch.distributed, name, fail)
    with pytest.raises(CharlmError, match="^another process .* has ended.*--resume"):
        call(ProcessGroup(0, 2))


@pytest.mark.parametrize("local", [None, "1", "2", "3"])
def test_a_process_without_neighbours_reads_for_itself(monkeypatch, no_communication, local):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if local is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
    assert ProcessGroup(0, 1).once_per_machine(lambda: "corpus") == "corpus"


def test_tokens_that_a_machine_hides_are_made_again(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    hidden = TokenCache([np.arange(3)], vocabulary_size=9)
    sent = None, pickle.dumps(hidden).replace(b"/proc/", b"/hide/")
    monkeypatch.setattr(ProcessGroup, "broadcast", lambda self, value, source: sent)
    assert ProcessGroup(1, 2).once_per_machine(lambda: "read again") == "read again"
    assert ProcessGroup(0, 2).once_per_machine(lambda: hidden) is hidden


def test_an_error_on_another_machine_is_raised_with_its_exit_code(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    sent = {0: (None, pickle.dumps("here")), 2: (("there: cannot be read", 4), b"")}
    monkeypatch.setattr(ProcessGroup, "broadcast", lambda self, value, source: sent[source])
    for rank in (0, 1, 3):
        with pytest.raises(CharlmError, match="there: cannot be read") as raised:
            ProcessGroup(rank, 4).once_per_machine(lambda: "here")
        assert raised.value.exit_code == 4


def test_gradients_of_a_single_process_are_unchanged(no_communication):
    moved, unused = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))
    moved.grad = gradient = torch.tensor([1.0, 2.0])
    assert ProcessGroup().sum_gradients([moved, unused], torch.tensor(0.5, requires_grad=True)) == 0.5
    assert moved.grad is gradient and gradient.tolist() == [1, 2] and unused.grad is None


# Shards


def test_only_rank_0_is_main():
    assert [ProcessGroup(rank, 4).is_main for rank in range(4)] == [True, False, False, False]


@given(st.sampled_from(SIZES), st.lists(st.integers()))
def test_shards_split_a_batch_evenly_and_in_order(size, rows):
    shards = [ProcessGroup(rank, size).shard(rows) for rank in range(size)]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*shards, fillvalue=None))
    assert [row for row in turns if row is not None] == rows
    assert sum(map(len, shards)) == len(rows) and max(map(len, shards)) - min(map(len, shards)) <= 1


@given(st.sampled_from(SIZES), st.integers(0, 20))
def test_shards_of_lists_arrays_and_tensors_are_the_same_rows(size, batch):
    for rank in range(size):
        rows = ProcessGroup(rank, size).shard(list(range(batch)))
        assert ProcessGroup(rank, size).shard(np.arange(2 * batch).reshape(batch, 2)).tolist() == \
            ProcessGroup(rank, size).shard(torch.arange(2 * batch).view(batch, 2)).tolist() == \
            [[2 * row, 2 * row + 1] for row in rows]


@pytest.mark.parametrize("size", SIZES)
def test_gather_restores_any_batch_from_any_number_of_processes(monkeypatch, size):
    for batch in range(1, 10):
        whole = numbered(batch)
        shards = [shard_of(ProcessGroup(rank, size), whole, batch) for rank in range(size)]

        def gather(states, shard, shards=shards):
            assert shard is shards[-1]
            states[:] = shards

        monkeypatch.setattr("charlm.training.distributed.dist", types.SimpleNamespace(all_gather_object=gather))
        assert as_lists(ProcessGroup(size - 1, size).gather(shards[-1], batch)) == as_lists(whole), batch


# Joining


@pytest.fixture
def started(monkeypatch):
    """A function that sets the environment variables of torchrun to these values and unsets all others."""
    def start(**values):
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)
    return start


@pytest.fixture
def recorded(monkeypatch):
    """The recorded calls to fake process groups and to two fake GPUs."""
    calls = []
    monkeypatch.setattr("charlm.training.distributed.dist", types.SimpleNamespace(
        init_process_group=lambda backend, timeout: calls.append((backend, timeout)), get_rank=lambda: 5,
        get_world_size=lambda: 8, destroy_process_group=lambda: calls.append("destroyed")))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", calls.append)
    return calls


@pytest.mark.parametrize("values", [{}, {"WORLD_SIZE": "2"}, {"RANK": "0"}, {"RANK": "0", "WORLD_SIZE": "1"}], ids=str)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_process_without_torchrun_is_a_single_process(started, no_communication, values, device):
    started(**values)
    with init_process_group(device) as process_group:
        assert process_group == ProcessGroup()


@pytest.mark.parametrize("local", ["2", "3"])
def test_error_for_a_process_without_a_gpu_names_the_number_of_gpus(started, recorded, local):
    started(RANK="5", WORLD_SIZE="8", LOCAL_RANK=local)
    with pytest.raises(UsageError) as refused, init_process_group("cuda"):
        pytest.fail("the process has joined")
    message = str(refused.value)
    assert f"process {local} " in message and "there are 2" in message and "--nproc-per-node" in message
    assert "\n" not in message
    assert recorded == []


def test_a_process_uses_the_gpu_of_its_local_rank(started, recorded):
    started(RANK="5", WORLD_SIZE="8", LOCAL_RANK="1")
    with init_process_group("cuda") as process_group:
        assert process_group == ProcessGroup(5, 8)
        assert recorded == [1, ("nccl", timedelta(hours=6))]
    assert recorded[2:] == ["destroyed"]


def test_cpu_processes_need_no_gpu(started, recorded):
    started(RANK="5", WORLD_SIZE="8", LOCAL_RANK="5")
    with init_process_group("cpu") as process_group:
        assert process_group == ProcessGroup(5, 8)
    assert recorded == [("gloo", timedelta(hours=6)), "destroyed"]


if __name__ == "__main__":              # both are forked from one process, as torch is slow to import
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(json.dumps(pool.map(one_of_two, range(2), chunksize=1)))
