"""The live panel: text from a corpus or a model can neither crash it nor style the screen."""

import io
import math
import re

import pytest
from rich.console import Console

from charlm.events import Planned, Sampled, Saved, Step, Stopped, Validation, Warned
from charlm.reports.live import LivePanel
from charlm.reports.progress import Silent, _Failsafe, choose_progress

HOSTILE = "[/] [bold red]loud[/] :smile: \x1b[45mescape\x00\x9b[2J\r https://example.org"
CSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def make_step(step, loss=2.5):
    return Step(step, 10, loss, 0.5, 1e-3, 1234.0, 3.0, math.isfinite(loss))


def render(*events, width=120):
    """Return everything that these events write to a terminal.

    The console obeys markup, so that only plain Text passes unharmed.
    """
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=40)
    panel = LivePanel(console)
    try:
        for event in events:
            panel.show(event)
    finally:
        panel.close()
    return console.file.getvalue()


def render_text(*events, width=120):
    """Return the same without rich's own control sequences."""
    return CSI.sub("", render(*events, width=width))


PLAN = Planned("lstm 1x16", HOSTILE, 10, 2.0, 65.0, "--steps 10")
RUN = [PLAN, make_step(1), Validation(1, 2.0, 2.9, True), Sampled(HOSTILE), Saved(HOSTILE), Warned(HOSTILE),
       make_step(2), Stopped("finished", 10, 2.0, 2.9, HOSTILE, 3.0)]


def test_markup_and_controls_in_a_sample_are_shown_literally():
    shown = render(PLAN, make_step(1), Sampled(HOSTILE))
    assert "[/] [bold red]loud[/] :smile: ␛[45mescape␀\ufffd[2J␍" in shown


def test_no_control_from_outside_reaches_the_terminal():
    shown = render(*RUN)
    assert "\x1b[45m" not in shown and "\x9b" not in shown and "\x00" not in shown
    # Without rich's own sequences, no ESC remains.
    assert "\x1b" not in CSI.sub("", shown)
    assert shown.count("␛[45mescape") >= 4


@pytest.mark.parametrize("width", [1, 2, 8, 20, 400])
def test_any_terminal_width_works(width):
    assert render(*RUN, width=width)


def test_panel_leaves_room_for_the_echoed_ctrl_c():
    shown = render_text(PLAN, make_step(1), Sampled("words " * 40), width=80)
    panel_lines = [line for line in re.split("[\r\n]+", shown) if line[:1] in set("╭│╰")]
    assert {len(line) for line in panel_lines} == {78}


def test_panel_shows_step_loss_speed_time_and_validation():
    shown = render_text(PLAN, make_step(1), Validation(1, 2.25, 3.25, True, train_loss=2.125))
    for part in ("1 of 10", "0:03 left", "1,234 characters/s", "2.5000 nats/token", "3.2500 bits/character",
                 "training  2.1250 nats/token", "--steps 10", "about 1:05"):
        assert part in shown


def test_expected_duration_is_left_out_if_unknown():
    shown = render_text(Planned("lstm 1x16", "corpus", 10, 2.0, None, "--steps 10"))
    assert "10 steps, 2 epochs · repeat with --steps 10" in shown


def test_error_rates_are_shown_only_for_tasks_that_have_them():
    shown = render_text(PLAN, make_step(1), Validation(1, 2.25, 3.25, True, 0.125),
                        Validation(2, 1.25, 3.25, False, 0.5),
                        Stopped("finished", 2, 2.25, 3.25, "m.charlm", 1.0, 0.125, "pairs"), width=200)
    assert "50.00 % wrong" in shown and "best 12.50 % wrong" in shown and "3.2500 bits/character held out" in shown
    assert "next: charlm translate -m m.charlm" in shown
    assert "wrong" not in render(PLAN, make_step(1), Validation(1, 2.25, 3.25, True),
                                 Stopped("finished", 2, 2.25, 3.25, "m", 1.0))


def test_losses_that_are_not_finite_change_neither_curve_nor_mean():
    shown = render_text(PLAN, make_step(1), make_step(2, math.nan), make_step(3, math.inf), make_step(4),
                        Stopped("finished", 4, 2.0, 2.9, "m", 1.0))
    assert "nan" not in shown and "inf" not in shown
    assert "loss " in shown and "2.5000" in shown


@pytest.mark.parametrize("width", [60, 120, 200])
def test_the_curves_are_as_wide_as_the_terminal_and_stand_together(width):
    steps = [make_step(step, 4.0 if step < 250 else 1.0) for step in range(1, 501)]
    shown = render_text(PLAN, *steps, Validation(500, 2.0, 2.9, True), Stopped("finished", 500, 2.0, 2.9, "m", 1.0),
                        width=width)
    training, held_out = (line for line in shown.splitlines()[-5:] if line.startswith(("loss", "held out")))
    assert width - 10 <= len(training) <= width and len(held_out) == len(training)
    assert re.fullmatch("loss +(█+)[▂-▇]?(▁+)  4.0000 → 1.0000", training)
    assert held_out.endswith("▅  2.0000 → 2.0000")          # half-way from 1 to 4 on the logarithmic scale of both


def test_pairs_show_the_error_rate_and_the_loss_of_the_best_model():
    shown = render_text(PLAN, make_step(1), Validation(1, 2.25, 3.25, True, 0.5), make_step(2),
                        Validation(2, 1.25, 2.25, True, 0.125), make_step(3), Validation(3, 1.0, 2.0, False, 0.25),
                        Stopped("finished", 3, 1.25, 2.25, "m.charlm", 1.0, 0.125, "pairs"), width=200)
    assert "25.00 % wrong · 1.0000 nats/token · 2.0000 bits/character · best 12.50 % wrong at 1.2500" in shown
    assert "50.00 → 25.00 %" in shown and "2.2500 → 1.0000" in shown


def test_summary_names_the_saved_file_and_the_next_command():
    shown = render_text(PLAN, make_step(1), Stopped("interrupted", 1, None, None, "m.charlm", 1.0))
    assert "interrupted after 1 steps" in shown and "not validated" in shown
    assert "saved m.charlm · next: charlm sample -m m.charlm" in shown


def test_broken_stream_silences_the_report():
    class Broken:
        def show(self, event):
            raise BrokenPipeError

        def close(self):
            raise BrokenPipeError

    progress = _Failsafe(Broken())
    for event in RUN:
        progress.show(event)
    progress.close()
    assert isinstance(progress._progress, Silent)


def test_nothing_is_shown_if_quiet_or_without_stderr(monkeypatch):
    assert isinstance(choose_progress(quiet=True), Silent)
    monkeypatch.setattr("sys.stderr", None)
    assert isinstance(choose_progress(quiet=False), Silent)


def test_terminal_gets_the_panel_and_file_gets_plain_lines(monkeypatch):
    chosen = []
    for is_terminal in (True, False):
        stream = io.StringIO()
        stream.isatty = lambda is_terminal=is_terminal: is_terminal
        monkeypatch.setattr("sys.stderr", stream)
        chosen.append(type(choose_progress(quiet=False)._progress).__name__)
    assert chosen == ["LivePanel", "PlainLines"]
