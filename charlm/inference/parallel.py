"""Work done side by side in worker processes, with its results in order.

    for item, result in map_in_order(work, items, workers=4): ...

A worker is a fork, so it shares the memory of the model and starts within milliseconds. Threads would wait for each
other: a time step is a dozen short NumPy calls, between which a thread holds the interpreter's lock, as it does while
it formats an answer. What `work` changes in a worker is lost; only its result comes back.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import select
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from charlm.errors import CharlmError

Item = TypeVar("Item")
Result = TypeVar("Result")

START_AFTER = 0.1                       # seconds of work: more than it costs to start workers, even on busy cores
ITEMS_PER_WORKER = 2                    # taken but not yet yielded, at most
_QUOTA = "/sys/fs/cgroup/cpu.max"       # of a Linux container: microseconds of processor time, and per how many


class Source(Protocol):
    """A supplier of items that may have to be waited for."""

    descriptor: int | None              # becomes readable when an item may have arrived

    def is_ready(self) -> bool:
        """Return True if the next item, or the end, can be had without waiting."""


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError), open(_QUOTA, encoding="ascii") as file:
        quota, period = map(int, file.read().split())           # "max" stands for no limit
        cores = min(cores, max(-(-quota // period), 1))
    return cores


def map_in_order(work: Callable[[Item], Result], items: Iterable[Item | None], *, workers: int,
                 source: Source | None = None) -> Iterator[tuple[Item, Result]]:
    """Yield every item with work(item), in order; None stands for "no item yet" and is skipped.

    This process does the work alone if there is one worker, and for the first START_AFTER seconds of it; then workers
    start as soon as an item follows. A result is yielded as soon as it and those before it are there, even if `source`
    has no further item yet. An error of `items` or `work` is raised after the results before it. Raises CharlmError if
    a worker dies.
    """
    items = iter(items)
    busy = 0.0                                          # seconds
    for item in items:
        if item is None:
            continue
        if workers > 1 and busy >= START_AFTER and (source is None or source.is_ready()):
            with contextlib.closing(_Pool(work, workers)) as pool:
                yield from _side_by_side(pool, itertools.chain([item], items), source)
        else:
            began = time.perf_counter()
            result = work(item)
            busy += time.perf_counter() - began
            yield item, result


def _side_by_side(pool: _Pool[Item, Result], items: Iterator[Item | None],
                  source: Source | None) -> Iterator[tuple[Item, Result]]:
    """Yield what `map_in_order` yields; `pool` does the work."""
    waiting: deque[_Task[Item]] = deque()               # in order; those with a result wait for an earlier one
    at_end, failure = False, None
    while waiting or not at_end:
        has_room = not at_end and pool.has_idle() and len(waiting) < ITEMS_PER_WORKER * pool.size
        if has_room and (not waiting or source is None or source.is_ready()):
            try:
                item = next(items)
            except StopIteration:
                at_end = True
            except Exception as error:
                at_end, failure = True, error
            else:
                if item is not None:
                    waiting.append(pool.start(item))
            continue
        pool.wait(source.descriptor if has_room and source else None)
        while waiting and waiting[0].is_done:
            task = waiting.popleft()
            yield task.item, task.outcome()
    if failure:
        raise failure


class _Task(Generic[Item]):
    """An item, and the result of the work on it once it is done."""

    def __init__(self, item: Item):
        self.item, self.is_done = item, False
        self._result: Any = None
        self._error: tuple[BaseException, str] | None = None

    def finish(self, result: Any, error: tuple[BaseException, str] | None) -> None:
        """Set the result, or the error and its traceback in the worker."""
        self._result, self._error, self.is_done = result, error, True

    def outcome(self) -> Any:
        """Return the result. Raises the error, if there was one."""
        if self._error:
            error, trace = self._error
            raise error from RuntimeError(f"in a worker process:\n{trace}")
        return self._result


class _Worker:
    """A forked process that does one task after the other, and this process's ends of its two pipes."""

    def __init__(self, work: Callable[[Any], Any], lifeline: tuple[int, int]):
        tasks, results = os.pipe(), os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            for descriptor in (*tasks, *results):
                os.close(descriptor)
            raise
        if not self.pid:
            try:
                os.close(lifeline[1])
                _serve(work, tasks[0], results[1], lifeline[0])
            finally:
                os._exit(1)
        os.close(tasks[0])
        os.close(results[1])
        self._tasks, self._results = os.fdopen(tasks[1], "wb"), os.fdopen(results[0], "rb")
        self.descriptor = results[0]
        self.task: _Task[Any] | None = None             # None while it is idle

    def start(self, task: _Task[Any]) -> None:
        """Send the item of a task. Raises CharlmError if the worker is dead."""
        self.task = task
        try:
            pickle.dump(task.item, self._tasks, pickle.HIGHEST_PROTOCOL)
            self._tasks.flush()
        except BrokenPipeError:
            self._refuse_dead()

    def receive(self) -> None:
        """Receive the result of the task. Raises CharlmError if the worker is dead."""
        assert self.task is not None
        try:
            self.task.finish(*pickle.load(self._results))
        except (EOFError, pickle.UnpicklingError):
            self._refuse_dead()
        self.task = None

    def _refuse_dead(self) -> NoReturn:
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        code = os.waitstatus_to_exitcode(status)
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        raise CharlmError(f"a worker process {how}; if memory was short, give --threads 1")

    def kill(self) -> None:
        """Kill the worker, if it is alive, and close its pipes."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        for pipe in (self._tasks, self._results):
            with contextlib.suppress(OSError):          # what a dead worker did not read cannot be flushed
                pipe.close()


def _serve(work: Callable[[Any], Any], tasks: int, results: int, lifeline: int) -> None:
    """Do tasks until the pipe of tasks is closed; this is all that a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl-C reaches all; the parent then kills its workers
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    with os.fdopen(tasks, "rb") as reader, os.fdopen(results, "wb") as writer:
        while True:
            try:
                item = pickle.load(reader)
            except EOFError:
                return
            answer: tuple[Any, tuple[BaseException, str] | None]
            try:
                answer = work(item), None
            except BaseException as error:
                answer = None, (error, traceback.format_exc())
            pickle.dump(answer, writer, pickle.HIGHEST_PROTOCOL)
            writer.flush()


def _end_with_parent(lifeline: int) -> None:
    """End this process as soon as the parent, which alone holds the pipe's other end, has ended in whatever way."""
    os.read(lifeline, 1)
    os._exit(1)


class _Pool(Generic[Item, Result]):
    """A pool of at most `size` workers; one is started when no idle worker can take an item."""

    def __init__(self, work: Callable[[Item], Result], size: int):
        self.size = size
        self._work = work
        self._workers: list[_Worker] = []
        self._lifeline = os.pipe()

    def has_idle(self) -> bool:
        """Return True if a worker is idle or can still be started."""
        return len(self._workers) < self.size or any(worker.task is None for worker in self._workers)

    def start(self, item: Item) -> _Task[Item]:
        """Start the work on an item; there must be an idle worker."""
        worker = next((worker for worker in self._workers if worker.task is None), None) or self._fork()
        task = _Task(item)
        if worker is None:                              # no more processes are allowed
            task.finish(self._work(item), None)
        else:
            worker.start(task)
        return task

    def _fork(self) -> _Worker | None:
        try:
            self._workers.append(_Worker(self._work, self._lifeline))
        except OSError:
            self.size = max(len(self._workers), 1)
            return None
        return self._workers[-1]

    def wait(self, descriptor: int | None) -> None:
        """Wait until a worker has ended its task or the descriptor, if any, is readable; receive what is there."""
        busy = {worker.descriptor: worker for worker in self._workers if worker.task is not None}
        poll = select.poll()
        for each in (*busy, *(() if descriptor is None else (descriptor,))):
            poll.register(each, select.POLLIN)
        for ready, _ in poll.poll() if busy else ():
            if ready in busy:
                busy[ready].receive()

    def close(self) -> None:
        """Kill all workers."""
        for worker in self._workers:
            worker.kill()
        for descriptor in self._lifeline:
            os.close(descriptor)
