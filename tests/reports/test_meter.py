"""The progress line, with a clock that the tests set."""

import io

import pytest

from charlm.reports import meter
from charlm.reports.meter import Meter

ERASE = "\r\x1b[K"
MB = 1_000_000


class Clock:
    """A clock that shows the time that it was set to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def screen():
    return io.StringIO()


@pytest.fixture
def clock():
    return Clock()


def run(screen, clock, moves, **given):
    """Report (seconds, position, count) to a new meter; return it."""
    line = Meter(screen, clock=clock, **{"size": None} | given)
    for seconds, position, count in moves:
        clock.now = 100.0 + seconds
        line.update(position, count)
    return line


def test_work_of_two_seconds_shows_nothing(screen, clock):
    run(screen, clock, [(0.1 * step, step, step) for step in range(20)]).close()
    assert screen.getvalue() == ""


def test_the_line_says_how_much_how_fast_and_how_long(screen, clock):
    run(screen, clock, [(step, step * MB, step * 1000) for step in range(1, 5)], size=100 * MB, unit="lines")
    assert screen.getvalue().split(ERASE)[-1] == "4,000 lines · 4.00 MB of 100 MB · 1.00 MB/s · 1:36 left"


def test_of_a_pipe_neither_size_nor_time_left_is_shown(screen, clock):
    run(screen, clock, [(step, step * MB, step) for step in range(1, 5)], what="reading")
    assert screen.getvalue().split(ERASE)[-1] == "reading: 1.00 MB/s"


def test_the_line_is_drawn_four_times_a_second_at_most(screen, clock):
    run(screen, clock, [(0.01 * step, step, step) for step in range(401)])
    assert screen.getvalue().count(ERASE) in (8, 9)


@pytest.mark.parametrize("speeds", [(1.0, 1.0), (0.4, 1.0), (3.0, 1.0)])
def test_time_left_is_right_to_a_tenth_after_a_change_of_speed(screen, clock, speeds):
    first, then = speeds
    line = Meter(screen, size=1000 * MB, clock=clock)
    position, total = 0.0, (1000 - 30 * first) / then + 30
    for step in range(1, 4 * 200):
        position += (first if step <= 120 else then) * MB / 4
        clock.now = 100 + step / 4
        line.update(int(position))
    minutes, seconds = screen.getvalue().rpartition("· ")[2].removesuffix(" left").split(":")
    assert 60 * int(minutes) + int(seconds) == pytest.approx(total - clock.now + 100, rel=0.1)


def test_an_erased_line_comes_back_and_a_closed_one_does_not(screen, clock):
    line = run(screen, clock, [(3, MB, 1)])
    line.erase()
    assert screen.getvalue().endswith(ERASE)
    clock.now += 1
    line.update(2 * MB)
    assert not screen.getvalue().endswith(ERASE)
    line.close()
    before = screen.getvalue()
    clock.now += 1
    line.update(3 * MB)
    assert screen.getvalue() == before and before.endswith(ERASE)


def test_a_line_is_cut_to_the_terminal(screen, clock, monkeypatch):
    monkeypatch.setattr(meter, "_columns", lambda stream: 20)
    run(screen, clock, [(step, step * MB, step * 1000) for step in range(1, 5)], size=100 * MB, unit="lines")
    assert {len(line) for line in screen.getvalue().split(ERASE)[1:]} == {19}


def test_a_terminal_that_fails_stops_nothing(clock):
    class Broken(io.StringIO):
        def write(self, text):
            raise OSError("gone")
    run(Broken(), clock, [(3, MB, 1)]).close()


def test_a_process_in_the_background_draws_nothing(screen, clock, monkeypatch):
    monkeypatch.setattr(meter, "_in_foreground", lambda stream: False)
    run(screen, clock, [(3, MB, 1)]).close()
    assert screen.getvalue() == ""
