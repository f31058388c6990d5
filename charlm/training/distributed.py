"""The processes of one run, started by torchrun: all take the same steps and decide by clock or signal together."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist

from charlm.errors import CharlmError, UsageError
from charlm.nn.state import State

TIMEOUT = timedelta(hours=6)            # the others wait while one process reads the corpus, validates or saves

Made = TypeVar("Made")


@dataclass(frozen=True)
class ProcessGroup:
    """This process's rank among all processes of the run."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Return True for rank 0, the only process that writes files and reports progress."""
        return self.rank == 0

    def shard(self, rows: Any) -> Any:
        """Return this process's rows of a batch, every `size`-th one; `rows` is a list, an array or a tensor."""
        return rows[self.rank::self.size]

    def any(self, flag: bool) -> bool:
        """Return True in all processes if the flag is true in any of them."""
        if self.size == 1:
            return flag
        flags = torch.tensor([float(flag)])
        with _lost_process_as_error():
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        return bool(flags.item())

    def clock(self) -> float:
        """Return the seconds of the main process's monotonic clock."""
        return self.broadcast(time.monotonic())

    def broadcast(self, value: Any, source: int = 0) -> Any:
        """Return the value of one process, the main one by default; it must be picklable."""
        if self.size == 1:
            return value
        values = [value]
        with _lost_process_as_error():
            dist.broadcast_object_list(values, src=source)
        return values[0]

    def once_per_machine(self, make: Callable[[], Made]) -> Made:
        """Call `make` in the first process of each machine; return its result, or a copy of it in the other processes.

        A CharlmError in one process is raised in all. Tokens are memory-mapped instead of copied; if a machine hides
        the files of other processes, each process calls `make`.
        """
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if here < 2 or self.size % here:
            return make()
        leader = self.rank - self.rank % here
        made, failure = _attempt(make) if self.rank == leader else (None, None)
        mine = (failure and (str(failure), failure.exit_code), pickle.dumps(made) if self.rank == leader else b"")
        sent = {source: self.broadcast(mine, source) for source in range(0, self.size, here)}
        if failure is not None:
            raise failure
        for failed in (its_failure for its_failure, _ in sent.values() if its_failure):
            raise _error(*failed)
        if self.rank == leader:
            return cast(Made, made)
        try:
            return cast(Made, pickle.loads(sent[leader][1]))
        except OSError:
            return make()

    def sum_gradients(self, parameters: list[torch.nn.Parameter], loss: torch.Tensor) -> float:
        """Sum the gradients over all processes, in place, and return the summed loss."""
        if self.size == 1:
            return loss.item()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), loss.detach().reshape(1)])
        with _lost_process_as_error():
            dist.all_reduce(flat)
        sums = flat[:-1].split([parameter.numel() for parameter in parameters])
        for parameter, gradient, total in zip(parameters, gradients, sums, strict=True):
            parameter.grad = gradient.copy_(total.view_as(gradient))
        return flat[-1].item()

    def gather(self, state: State, batch: int) -> State:
        """Return the state of the whole batch, of `batch` rows in order, from every process's shard."""
        if self.size == 1:
            return state
        states: list = [None] * self.size
        with _lost_process_as_error():
            dist.all_gather_object(states, state)
        return joined(states, batch)

    def barrier(self) -> None:
        """Wait until all processes have reached this call."""
        if self.size > 1:
            with _lost_process_as_error():
                dist.barrier()


def _attempt(make: Callable[[], Made]) -> tuple[Made | None, CharlmError | None]:
    """Return a result and None, or None and the error."""
    try:
        return make(), None
    except CharlmError as error:
        return None, error


def _error(message: str, exit_code: int) -> CharlmError:
    """Rebuild the error of another process."""
    error = CharlmError(message)
    error.exit_code = exit_code
    return error


SINGLE_PROCESS = ProcessGroup()


@dataclass(frozen=True)
class Shard:
    """One thread's share of this process's rows of every batch."""

    process_group: ProcessGroup = SINGLE_PROCESS
    number: int = 0
    count: int = 1

    def of(self, rows: Any) -> Any:
        """Return the rows of a batch that belong to this share; `rows` is a list, an array or a tensor."""
        return self.process_group.shard(rows)[self.number::self.count]


WHOLE = Shard()


def joined(states: list[State], rows: int) -> State:
    """Return the state of all rows in order, given those of `states[i]`, which are every len(states)-th one from i.

    Only the last states may be empty, and are then left out.
    """
    count = len(states)
    order = np.concatenate([np.arange(rows)[number::count] for number in range(count)])
    return State.join(states).select(torch.from_numpy(np.argsort(order)))


@contextmanager
def _lost_process_as_error() -> Iterator[None]:
    """Raise CharlmError where torch.distributed raises RuntimeError because another process has exited."""
    try:
        yield
    except RuntimeError as error:
        raise CharlmError("another process of this run has ended, so this one ends too; "
                          "--resume continues from the last checkpoint") from error


@contextmanager
def init_process_group(device: str) -> Iterator[ProcessGroup]:
    """Join the processes started by torchrun, if any. Raises UsageError if there is no GPU for this process."""
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield SINGLE_PROCESS
        return
    if device == "cuda":
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        if local_rank >= torch.cuda.device_count():
            raise UsageError(f"process {local_rank} has no GPU: there are {torch.cuda.device_count()}; "
                             "lower --nproc-per-node, or use --device cpu")
        torch.cuda.set_device(local_rank)
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield ProcessGroup(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
