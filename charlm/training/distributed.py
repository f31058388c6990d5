"""The processes of one training: started by torchrun, each on its share of every batch.

All of them go through the same steps in the same order, and agree on whatever a clock or a signal could
make them see differently. With one process nothing is ever sent.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist

from charlm.errors import CharlmError, UsageError
from charlm.nn.state import State

PATIENCE = timedelta(minutes=30)        # for a process that validates or saves while others wait


@dataclass(frozen=True)
class ProcessGroup:
    """Which of the processes this one is."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and talks."""
        return self.rank == 0

    def shard(self, rows):
        """This process's part of a batch: every `size`-th row."""
        return rows[self.rank::self.size]

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process."""
        if self.size == 1:
            return flag
        flags = torch.tensor([float(flag)])
        with _all_present():
            dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        return bool(flags.item())

    def clock(self) -> float:
        """Seconds, by the first process's clock."""
        return self.broadcast(time.monotonic())

    def broadcast(self, value):
        """What the first process has, a plain value."""
        if self.size == 1:
            return value
        values = [value]
        with _all_present():
            dist.broadcast_object_list(values, src=0)
        return values[0]

    def sum_gradients(self, parameters: list[torch.nn.Parameter], loss: torch.Tensor) -> float:
        """Add up gradients and loss over all processes, in place; return the loss."""
        if self.size == 1:
            return loss.item()
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([*(parameter.grad.flatten() for parameter in parameters), loss.detach().reshape(1)])
        with _all_present():
            dist.all_reduce(flat)
        at = 0
        for parameter in parameters:
            parameter.grad.copy_(flat[at:at + parameter.numel()].view_as(parameter))
            at += parameter.numel()
        return flat[-1].item()

    def gather(self, state: State, batch: int) -> State:
        """All processes' rows of a state as one batch, in the order of the whole."""
        if self.size == 1:
            return state
        states: list = [None] * self.size
        with _all_present():
            dist.all_gather_object(states, state)
        order = np.concatenate([np.arange(batch)[rank::self.size] for rank in range(self.size)])
        return State.join(states).select(torch.from_numpy(np.argsort(order)))

    def barrier(self) -> None:
        """Until all have come here."""
        if self.size > 1:
            with _all_present():
                dist.barrier()


@contextmanager
def _all_present() -> Iterator[None]:
    """Name what torch calls a RuntimeError: somebody has left who is needed. Raises CharlmError."""
    try:
        yield
    except RuntimeError as error:
        raise CharlmError("another process of this training has ended, so all do; --resume goes on from the last "
                          "checkpoint") from error


@contextmanager
def init_process_group(device: str) -> Iterator[ProcessGroup]:
    """Among the processes that torchrun has started, if it has. Raises UsageError for a GPU short."""
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ProcessGroup()
        return
    if device == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise UsageError(f"process {local} has no GPU: there are {torch.cuda.device_count()}; "
                             "lower --nproc-per-node, or use --device cpu")
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield ProcessGroup(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
