"""The live panel: whatever a corpus or a model says, it neither crashes nor colours the screen."""

import io
import math
import re

import pytest
from rich.console import Console

from charlm.events import Planned, Sampled, Saved, Step, Stopped, Validation, Warned
from charlm.reports.live import Live
from charlm.reports.progress import Silent, _Sturdy, choose_progress

HOSTILE = "[/] [bold red]loud[/] :smile: \x1b[45mescape\x00\x9b[2J\r https://example.org"
CSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def step(number, loss=2.5):
    return Step(number, 10, loss, 0.5, 1e-3, 1234.0, 3.0, math.isfinite(loss))


def screen(*records, width=120):
    """All that is written to a terminal for these records.

    The console obeys markup, so that only plain Text passes unharmed.
    """
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=40)
    live = Live(console)
    try:
        for record in records:
            live.show(record)
    finally:
        live.close()
    return console.file.getvalue()


PLAN = Planned("lstm 1x16", HOSTILE, 10, 2.0, 65.0, "--steps 10")
RUN = [PLAN, step(1), Validation(1, 2.0, 2.9, True), Sampled(HOSTILE), Saved(HOSTILE), Warned(HOSTILE),
       step(2), Stopped("finished", 10, 2.0, 2.9, HOSTILE, 3.0)]


def test_markup_and_controls_of_a_sample_are_shown_and_not_obeyed():
    shown = screen(PLAN, step(1), Sampled(HOSTILE))
    assert "[/] [bold red]loud[/] :smile: ␛[45mescape␀\ufffd[2J␍" in shown


def test_nothing_from_outside_reaches_the_terminal_as_a_control():
    shown = screen(*RUN)
    assert "\x1b[45m" not in shown and "\x9b" not in shown and "\x00" not in shown
    # What remains of the screen without rich's own sequences holds no ESC at all.
    assert "\x1b" not in CSI.sub("", shown)
    assert shown.count("␛[45mescape") >= 4


@pytest.mark.parametrize("width", [1, 2, 8, 20, 400])
def test_terminals_of_any_width_are_survived(width):
    assert screen(*RUN, width=width)


def test_the_panel_leaves_room_for_the_interrupt_that_a_terminal_echoes_behind_it():
    shown = CSI.sub("", screen(PLAN, step(1), Sampled("words " * 40), width=80))
    with_bos_eos = [line for line in re.split("[\r\n]+", shown) if line[:1] in set("╭│╰")]
    assert {len(line) for line in with_bos_eos} == {78}


def test_the_panel_tells_step_loss_speed_time_and_validation():
    shown = CSI.sub("", screen(PLAN, step(1), Validation(1, 2.25, 3.25, True)))
    for part in ("1 of 10", "0:03 left", "1,234 characters/s", "2.5000 nats/token", "3.2500 bits/character",
                 "--steps 10", "about 1:05"):
        assert part in shown


def test_the_panel_and_the_end_tell_errors_where_a_task_has_them():
    shown = CSI.sub("", screen(PLAN, step(1), Validation(1, 2.25, 3.25, True, 0.125), Validation(2, 1.25, 3.25, False, 0.5),
                               Stopped("finished", 2, 2.25, 3.25, "m.charlm", 1.0, 0.125, "pairs"), width=200))
    assert "50.00 % wrong" in shown and "best 12.50 % wrong" in shown and "3.2500 bits/character held out" in shown
    assert "next: charlm translate -m m.charlm" in shown
    assert "wrong" not in screen(PLAN, step(1), Validation(1, 2.25, 3.25, True), Stopped("finished", 2, 2.25, 3.25, "m", 1.0))


def test_losses_that_are_not_finite_leave_the_curve_and_the_mean_alone():
    shown = CSI.sub("", screen(PLAN, step(1), step(2, math.nan), step(3, math.inf), step(4),
                               Stopped("finished", 4, 2.0, 2.9, "m", 1.0)))
    assert "nan" not in shown and "inf" not in shown
    assert "loss " in shown and "2.5000" in shown


def test_the_end_says_what_was_saved_and_what_to_type_next():
    shown = CSI.sub("", screen(PLAN, step(1), Stopped("interrupted", 1, None, None, "m.charlm", 1.0)))
    assert "interrupted after 1 steps" in shown and "not validated" in shown
    assert "saved m.charlm · next: charlm sample -m m.charlm" in shown


def test_a_stream_that_breaks_is_given_up_silently():
    class Broken:
        def show(self, record):
            raise BrokenPipeError

        close = show

    progress = _Sturdy(Broken())
    for record in RUN:
        progress.show(record)
    progress.close()
    assert isinstance(progress._progress, Silent)


def test_quiet_or_without_stderr_nothing_is_shown(monkeypatch):
    assert isinstance(choose_progress(quiet=True), Silent)
    monkeypatch.setattr("sys.stderr", None)
    assert isinstance(choose_progress(quiet=False), Silent)


def test_a_terminal_gets_the_panel_and_a_file_gets_lines(monkeypatch):
    shown = []
    for terminal in (True, False):
        stream = io.StringIO()
        stream.isatty = lambda terminal=terminal: terminal
        monkeypatch.setattr("sys.stderr", stream)
        shown.append(type(choose_progress(quiet=False)._progress).__name__)
    assert shown == ["Live", "Lines"]
