"""Long calls of a run, which are given up when the run is to stop.

Python handles a signal in the main thread, between two instructions, and a single product of large matrices can take
minutes. So such calls are made in another thread, and the main thread only waits: it can stop waiting at any time.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")
Commit = Callable[[], None]             # announces that a call is about to change what would be saved
GRACE = 0.75                            # seconds that a call may still take once a stop has been requested
_POLL = 0.02                            # seconds between looks at the request


class Interrupted(Exception):
    """Raised where a call was given up; it has changed nothing that would be saved."""


class Calls:
    """Calls made directly, each to its end, as processes of one group need it; and the request to stop."""

    def __init__(self, interrupted: Callable[[], bool] = lambda: False):
        self._interrupted = interrupted

    def interrupted(self) -> bool:
        """Return True once the run has been asked to stop."""
        return self._interrupted()

    def run(self, call: Callable[[Commit], Result], *, grace: float = GRACE) -> Result:
        """Return the result of `call(commit)`. It has to call `commit` before it changes what would be saved.

        Raises Interrupted if it has not committed within `grace` seconds after the request to stop.
        """
        return call(_nothing)


def _nothing() -> None:
    """Commit to a call that nobody gives up."""


class _Task:
    """One call, its outcome, and who decides about it: either it commits first, or it is given up first."""

    def __init__(self, call: Callable[[Commit], Any]):
        self._call, self._lock = call, threading.Lock()
        self._committed = self._abandoned = False
        self._result: Any = None
        self._error: BaseException | None = None
        self.done = threading.Event()

    def execute(self) -> None:
        try:
            self._result = self._call(self._commit)
        except BaseException as error:  # noqa: B036  # raised again in the thread that waits
            self._error = error
        self.done.set()

    def _commit(self) -> None:
        with self._lock:
            if self._abandoned:
                raise Interrupted
            self._committed = True

    def abandon(self) -> bool:
        """Give the call up and return True, unless it has committed."""
        with self._lock:
            self._abandoned = not self._committed
            return self._abandoned

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class Worker(Calls):
    """Calls made in another thread. One that is given up goes on until the process ends, and its result is dropped."""

    def __init__(self, interrupted: Callable[[], bool]):
        super().__init__(interrupted)
        self._tasks: queue.SimpleQueue[_Task | None] | None = None

    def run(self, call: Callable[[Commit], Result], *, grace: float = GRACE) -> Result:
        """Return the result of `call(commit)`, made in the other thread."""
        if self._tasks is None:
            self._tasks = queue.SimpleQueue()
            # One thread for all calls: torch keeps a team of threads for every thread that calls it.
            threading.Thread(target=_serve, args=(self._tasks,), daemon=True).start()
        task = _Task(call)
        self._tasks.put(task)
        end: float | None = None
        while not task.done.wait(_POLL if end is None else max(min(end - time.monotonic(), _POLL), 0)):
            if end is None and self.interrupted():
                end = time.monotonic() + grace
            if end is not None and time.monotonic() >= end and task.abandon():
                self._tasks = None      # the thread is busy: another call gets a new one
                raise Interrupted
        return task.result()

    def close(self) -> None:
        """End the thread."""
        if self._tasks is not None:
            self._tasks.put(None)
            self._tasks = None


def _serve(tasks: queue.SimpleQueue[_Task | None]) -> None:
    while (task := tasks.get()) is not None:
        task.execute()
        del task                        # the trainer of a measurement is not kept until the next call
