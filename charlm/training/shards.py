"""Gradients of an update computed in parallel: every thread processes its own shard of the batch.

Threads inside each operation would synchronize some thousand times per update; here they do so once. The threads share
the weights, and each has its own objective, dropout masks and gradients. With gradient accumulation, a thread's shard
is split further into parts, which it processes one after the other.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from charlm.nn.network import Network
from charlm.nn.state import State
from charlm.training.distributed import ProcessGroup, Shard, joined
from charlm.training.objectives.base import Objective

MIN_ROWS = 8                            # in a share: below that, half the rows take as long as all

Gradients = list[torch.Tensor | None]


def count_shards(threads: int, rows: int) -> int:
    """Return the number of shares into which a process cuts its rows of a batch: one for each thread, if they fill it.

    >>> count_shards(2, 32), count_shards(16, 32), count_shards(2, 4)
    (2, 4, 1)
    """
    return max(min(threads, rows // MIN_ROWS), 1)


def replica(network: Network) -> Network:
    """Return a network with the same parameters and separate dropout masks."""
    return copy.deepcopy(network, {id(parameter): parameter for parameter in network.parameters()})


class Shards:
    """The objectives of one process, one for each part of its batch: `accumulate` of them for each thread."""

    def __init__(self, network: Network, make: Callable[[Network, Shard], Objective], group: ProcessGroup, *,
                 batch_size: int, threads: int, accumulate: int = 1):
        self._network, self._group, self._batch_size = network, group, batch_size
        self._parameters = list(network.parameters())
        rows = len(group.shard(range(batch_size))) // accumulate
        count = count_shards(threads, rows) if network.head.bias.device.type == "cpu" else 1
        self._networks = [network, *(replica(network) for _ in range(count - 1))]
        self._accumulate = accumulate
        self.objectives: list[Objective] = []
        for one in self._networks:
            first, *others = (Shard(group, len(self.objectives) + number, count * accumulate)
                              for number in range(accumulate))
            objective = make(one, first)
            self.objectives += [objective, *map(objective.on, others)]
        self._threads = threads // count        # that are left inside each operation
        self._pool: ThreadPoolExecutor | None = None

    def gradients(self, step: int, seed: Callable[[int], int],
                  context: Callable[[], contextlib.AbstractContextManager[object]]) -> tuple[torch.Tensor, Gradients]:
        """Return the loss of a step and its gradients, summed over the parts in a fixed order.

        `seed(i)` seeds the dropout of part i, counted over all processes; every part is computed in a `context()`.
        """
        def part(number: int) -> tuple[torch.Tensor, Gradients]:
            objective, network = self.objectives[number], self._networks[number // self._accumulate]
            network.seed_dropout(seed(self._group.rank * len(self.objectives) + number))
            with context():
                loss = objective.loss(step)
            return loss.detach(), _separate(torch.autograd.grad(loss, self._parameters, allow_unused=True))

        def share(number: int) -> tuple[torch.Tensor, Gradients]:
            return _total(map(part, range(number * self._accumulate, (number + 1) * self._accumulate)))

        if len(self._networks) == 1:
            return share(0)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(len(self._networks), initializer=torch.set_num_threads,
                                            initargs=(self._threads,))
        return _total(self._pool.map(share, range(len(self._networks))))

    def commit(self) -> None:
        """Keep the states in which the latest losses ended: their gradient was finite and is applied."""
        for objective in self.objectives:
            objective.commit()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the state of the whole batch, of all processes; empty before the first applied update or without."""
        states = [objective.state for objective in self.objectives if objective.state is not None]
        if not states:
            return {}
        rows = len(self._group.shard(range(self._batch_size)))
        return self._group.gather(joined(states, rows), self._batch_size).tensors()

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore the states that `tensors` returned. Raises KeyError or ValueError for those of another run."""
        if tensors:
            whole = State.restored(tensors, self._network.start(self._batch_size))
            rows = torch.arange(self._batch_size)
            for objective in self.objectives:
                objective.state = whole.select(objective.shard.of(rows))


def _total(parts: Iterator[tuple[torch.Tensor, Gradients]]) -> tuple[torch.Tensor, Gradients]:
    """Return the sums of losses and gradients. Each part's gradients are freed before the next part is computed."""
    loss, total = next(parts)
    for more, gradients in parts:
        loss = loss + more
        total = [_sum(*pair) for pair in zip(total, gradients, strict=True)]
        del gradients
    return loss, total


def _separate(gradients: Sequence[torch.Tensor | None]) -> Gradients:
    """Return gradients that can be changed in place: no memory that autograd expanded, or gave to two of them."""
    found, separate = set(), []
    for gradient in gradients:
        if gradient is not None:
            if gradient.data_ptr() in found or not gradient.is_contiguous():
                gradient = gradient.clone(memory_format=torch.contiguous_format)
            found.add(gradient.data_ptr())
        separate.append(gradient)
    return separate


def _sum(one: torch.Tensor | None, other: torch.Tensor | None) -> torch.Tensor | None:
    return other if one is None else one if other is None else one.add_(other)
