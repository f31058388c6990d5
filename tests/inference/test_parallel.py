"""Work in several processes: the order of results, errors, and the end of the workers."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time

import pytest

from charlm.errors import CharlmError, CorpusError
from charlm.inference.parallel import ITEMS_PER_WORKER, available_cores, map_in_order
from tests.helpers.runners import is_running

SECONDS = 30


@pytest.fixture
def eager(monkeypatch):
    """Start workers without any work before."""
    monkeypatch.setattr("charlm.inference.parallel.START_AFTER", 0)


def slow_first(number):
    """Return the number and this process; even numbers take longer, so that results arrive out of order."""
    time.sleep(0.03 * (number % 2 == 0))
    return number, os.getpid()


def wait_until(condition):
    end = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_order_and_gaps_are_skipped(eager, workers):
    items = [None, 0, 1, None, 2, 3, None, None, 4, 5, 6]
    results = [*map_in_order(slow_first, items, workers=workers)]
    assert [item for item, _ in results] == [number for _, (number, _) in results] == [*range(7)]
    pids = {pid for _, (_, pid) in results}
    assert pids == {os.getpid()} if workers == 1 else len(pids) == workers and os.getpid() not in pids


def test_a_single_item_is_done_in_this_process():
    assert [*map_in_order(slow_first, [5], workers=4)] == [(5, (5, os.getpid()))]
    assert [*map_in_order(slow_first, [], workers=4)] == []


def test_little_work_is_done_in_this_process():
    assert [*map_in_order(lambda number: os.getpid(), range(5), workers=4)] == [(at, os.getpid()) for at in range(5)]


class Slow:
    """Items of which none is ever waiting."""

    descriptor = None

    def is_ready(self):
        return False


def test_items_that_arrive_slowly_are_done_in_this_process(eager):
    results = [*map_in_order(slow_first, range(3), workers=2, source=Slow())]
    assert {pid for _, (_, pid) in results} == {os.getpid()}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_items_comes_after_the_results_before_it(eager, workers):
    def items():
        yield from range(5)
        raise CorpusError("the disk failed")
    seen = []
    with pytest.raises(CorpusError, match="the disk failed"):
        seen.extend(item for item, _ in map_in_order(slow_first, items(), workers=workers))
    results = map_in_order(slow_first, itertools.chain([1], items()), workers=workers)
    assert [item for item, _ in itertools.islice(results, 6)] == [1, *range(5)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_work_comes_after_the_results_before_it(eager, workers):
    def work(number):
        if number == 3:
            raise CorpusError("no label 3")
        return slow_first(number)[0]
    results = map_in_order(work, range(9), workers=workers)
    assert [next(results)[1] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(CorpusError, match="no label 3"):
        next(results)


def test_a_killed_worker_is_an_error_that_names_the_signal(eager):
    def work(number):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number
    with pytest.raises(CharlmError, match="worker process was killed by signal 9; .*--threads 1") as raised:
        list(map_in_order(work, range(9), workers=2))
    assert type(raised.value) is CharlmError


def test_few_items_are_taken_before_their_results_are_wanted(eager):
    taken = []
    items = (taken.append(number) or number for number in range(100))
    results = map_in_order(slow_first, items, workers=2)
    next(results)
    time.sleep(0.1)
    assert len(taken) <= 2 * ITEMS_PER_WORKER
    results.close()


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="no /proc here")
def test_workers_end_when_the_results_are_not_wanted_any_more(eager):
    results = map_in_order(slow_first, itertools.count(), workers=2)
    pids = {pid for _, (_, pid) in itertools.islice(results, 6)}
    assert len(pids) == 2 and all(map(is_running, pids))
    results.close()
    assert not any(map(is_running, pids))


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="no /proc here")
def test_workers_end_with_a_killed_parent_even_while_they_work():
    code = ("import os, time\nfrom charlm.inference import parallel\nparallel.START_AFTER = 0\n"
            "def work(number):\n    os.write(1, b'%d\\n' % os.getpid())\n    time.sleep(600)\n"
            "list(parallel.map_in_order(work, range(2), workers=2))")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        assert all(map(is_running, pids))
        parent.kill()
    wait_until(lambda: not any(map(is_running, pids)))


def test_large_items_and_results_pass_through_the_pipes(eager):
    items = [bytes([number]) * (1 << 20) for number in range(5)]
    assert [result for _, result in map_in_order(bytes.upper, items, workers=2)] == [item.upper() for item in items]


def test_without_more_processes_the_work_is_done_here(eager, monkeypatch):
    def refuse():
        raise BlockingIOError("no more processes")
    monkeypatch.setattr(os, "fork", refuse)
    assert [pid for _, (_, pid) in map_in_order(slow_first, range(4), workers=2)] == [os.getpid()] * 4


def test_available_cores_are_those_of_this_process():
    assert 1 <= available_cores() <= os.cpu_count()
    if hasattr(os, "sched_setaffinity"):
        before = os.sched_getaffinity(0)
        with contextlib.ExitStack() as stack:
            stack.callback(os.sched_setaffinity, 0, before)
            os.sched_setaffinity(0, {min(before)})
            assert available_cores() == 1
