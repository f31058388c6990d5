"""Progress as key=value lines."""

import io
import math
import re
import time
import unicodedata
from datetime import datetime, timedelta, timezone

import pytest

from charlm.events import Planned, Sampled, Saved, Step, Stopped, Validation, Warned
from charlm.reports.plain import PlainLines

HOSTILE = '[/] \x1b[31m "quoted" \n second=1 é \x9b'


def make_step(step=1, **changes):
    return Step(**{"step": step, "steps": 9, "loss": 2.5, "gradient_norm": 0.5, "learning_rate": 1e-3,
                   "characters_per_second": 1234.5, "seconds_left": 3.2, "updated": True, **changes})


def lines_of(*events, step_interval=0.0):
    """Return the lines printed for these events."""
    stream = io.StringIO()
    report = PlainLines(stream, step_interval=step_interval)
    for event in events:
        report.show(event)
    report.close()
    return stream.getvalue().splitlines()


EVENTS = [Planned("lstm", HOSTILE, 9, 1.5, 3.0, "--steps 9"), make_step(), Validation(3, 2.0, 2.9, True),
          Sampled(HOSTILE), Saved(HOSTILE), Warned(HOSTILE),
          Stopped("finished", 9, 2.0, 2.9, HOSTILE, 4.0)]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_is_one_line_of_visible_text(event):
    [line] = lines_of(event)
    assert re.match(r'event=\w+ \w+=', line)
    assert not any(unicodedata.category(character) == "Cc" for character in line)


def test_numbers_are_unquoted_and_text_with_spaces_is_quoted():
    assert lines_of(Validation(3, 2.0, 2.9, True)) == [
        'event=validation step=3 loss=2.0000 bits_per_character=2.9000 best=1']
    assert lines_of(Validation(3, 2.0, 2.9, True, train_loss=1.5)) == [
        'event=validation step=3 loss=2.0000 train_loss=1.5000 bits_per_character=2.9000 best=1']
    assert lines_of(Saved("a b")) == ['event=saved path="a b"']


def test_a_time_stamp_is_local_time_with_its_offset(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "IST-5:30")
        time.tzset()
        stream = io.StringIO()
        before = datetime.now(timezone.utc).replace(microsecond=0)
        PlainLines(stream, timestamps=True).show(Saved("m"))
    time.tzset()
    stamp, rest = stream.getvalue().split(" ", 1)
    assert stamp.endswith("+05:30") and rest == "event=saved path=m\n"
    assert timedelta(0) <= datetime.fromisoformat(stamp.removeprefix("time=")) - before < timedelta(minutes=1)


def test_expected_duration_is_left_out_if_unknown():
    [line] = lines_of(Planned("lstm", "corpus", 9, 1.5, None, "--steps 9"))
    assert "expected_seconds" not in line


def test_only_lines_about_steps_are_throttled():
    shown = lines_of(make_step(1), make_step(2), Validation(2, 2.0, 2.9, True), make_step(3), step_interval=1000)
    assert [line.split()[0] for line in shown] == ['event=step', 'event=validation']
    assert len(lines_of(make_step(1), make_step(2), make_step(3))) == 3


def test_skipped_update_is_marked():
    assert "skipped=1" in lines_of(make_step(loss=math.nan, updated=False))[0]
    assert "skipped" not in lines_of(make_step())[0]


def test_run_without_validation_ends_without_a_score():
    [line] = lines_of(Stopped("interrupted", 2, None, None, "m.charlm", 1.0))
    assert "best=" not in line and "bits_per_character=" not in line
    assert 'next="charlm sample -m m.charlm --temp 0.8"' in line


def test_error_rates_are_shown_only_for_tasks_that_have_them():
    [validation] = lines_of(Validation(3, 2.0, 2.9, True, 0.25))
    [stopped] = lines_of(Stopped("finished", 9, 2.0, 2.9, "m.charlm", 4.0, 0.25, "pairs"))
    assert "word_error_rate=0.25" in validation and "word_error_rate=0.25" in stopped
    assert not any("word_error_rate" in line for line in lines_of(Validation(3, 2.0, 2.9, True), EVENTS[-1]))


@pytest.mark.parametrize("task, command", [
    ("text", "sample -m m.charlm --temp 0.8"), ("pairs", "translate -m m.charlm"),
    ("fill", "fill -m m.charlm --gap ___")])
def test_next_command_depends_on_the_task(task, command):
    [line] = lines_of(Stopped("finished", 9, 2.0, 2.9, "m.charlm", 4.0, task=task))
    assert line.endswith(f'next="charlm {command}"')
