"""Long calls: their results, and when they are given up."""

import threading
import time

import pytest

from charlm.training import worker
from charlm.training.worker import Calls, Interrupted, Worker


@pytest.fixture
def request_():
    """A request to stop, as an event, and a worker that looks at it."""
    asked = threading.Event()
    made = Worker(asked.is_set)
    yield asked, made
    made.close()


def test_direct_calls_are_never_given_up():
    calls = Calls(lambda: True)
    assert calls.interrupted() and calls.run(lambda commit: commit() or 5) == 5


def test_calls_are_made_in_one_other_thread_and_return_or_raise(request_):
    _, calls = request_
    first, second = (calls.run(lambda _: threading.get_ident()) for _ in range(2))
    assert first == second != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        calls.run(lambda _: 1 / 0)


def test_a_call_that_takes_long_is_given_up_after_the_grace(request_):
    asked, calls = request_
    release, began = threading.Event(), time.monotonic()
    asked.set()
    with pytest.raises(Interrupted):
        calls.run(lambda _: release.wait(60), grace=0.1)
    assert 0.1 <= time.monotonic() - began < 5
    assert calls.run(lambda _: "another thread is free") == "another thread is free"
    release.set()


def test_a_short_call_ends_although_a_stop_is_requested(request_):
    asked, calls = request_
    asked.set()
    assert calls.run(lambda _: 5, grace=60) == 5


def test_a_call_that_has_committed_is_waited_for(request_):
    asked, calls = request_

    def call(commit):
        commit()
        asked.set()
        time.sleep(0.2)
        return "whole"

    assert calls.run(call, grace=0.0) == "whole"


def test_a_call_that_was_given_up_cannot_commit(request_):
    asked, calls = request_
    release, outcome = threading.Event(), []
    asked.set()

    def call(commit):
        release.wait(60)
        try:
            commit()
        except Interrupted:
            outcome.append("given up")
            raise

    with pytest.raises(Interrupted):
        calls.run(call, grace=0.0)
    release.set()
    end = time.monotonic() + 10
    while not outcome and time.monotonic() < end:
        time.sleep(worker._POLL)
    assert outcome == ["given up"]
