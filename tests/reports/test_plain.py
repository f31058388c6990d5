"""Progress as key=value lines."""

import io
import math
import re
import unicodedata

import pytest

from charlm.events import Planned, Sampled, Saved, Step, Stopped, Validation, Warned
from charlm.reports.plain import Lines

HOSTILE = '[/] \x1b[31m "quoted" \n second=1 é \x9b'


def step(number=1, **changes):
    return Step(**{"step": number, "steps": 9, "loss": 2.5, "gradient_norm": 0.5, "learning_rate": 1e-3,
                   "characters_per_second": 1234.5, "seconds_left": 3.2, "updated": True, **changes})


def lines(*records, every=0.0):
    stream = io.StringIO()
    report = Lines(stream, every=every)
    for record in records:
        report.show(record)
    report.close()
    return stream.getvalue().splitlines()


RECORDS = [Planned("lstm", HOSTILE, 9, 1.5, 3.0, "--steps 9"), step(), Validation(3, 2.0, 2.9, True),
           Sampled(HOSTILE), Saved(HOSTILE), Warned(HOSTILE),
           Stopped("finished", 9, 2.0, 2.9, HOSTILE, 4.0)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_event_is_one_line_of_visible_text(record):
    [line] = lines(record)
    assert re.match(r'event=\w+ \w+=', line)
    assert not any(unicodedata.category(character) == "Cc" for character in line)


def test_numbers_are_plain_and_text_is_quoted():
    assert lines(Validation(3, 2.0, 2.9, True)) == [
        'event=validation step=3 loss=2.0000 bits_per_character=2.9000 best=1']
    assert lines(Saved("a b")) == ['event=saved path="a b"']


def test_steps_are_told_only_now_and_then_and_all_else_always():
    shown = lines(step(1), step(2), Validation(2, 2.0, 2.9, True), step(3), every=1000)
    assert [line.split()[0] for line in shown] == ['event=step', 'event=validation']
    assert len(lines(step(1), step(2), step(3))) == 3


def test_a_skipped_update_is_marked():
    assert "skipped=1" in lines(step(loss=math.nan, updated=False))[0]
    assert "skipped" not in lines(step())[0]


def test_a_run_without_validation_ends_without_a_score():
    [line] = lines(Stopped("interrupted", 2, None, None, "m.charlm", 1.0))
    assert "best=" not in line and "bits_per_character=" not in line
    assert 'next="charlm sample -m m.charlm --temp 0.8"' in line


def test_errors_are_told_where_a_task_has_them():
    [validation] = lines(Validation(3, 2.0, 2.9, True, 0.25))
    [stopped] = lines(Stopped("finished", 9, 2.0, 2.9, "m.charlm", 4.0, 0.25, "pairs"))
    assert "word_error_rate=0.25" in validation and "word_error_rate=0.25" in stopped
    assert not any("word_error_rate" in line for line in lines(Validation(3, 2.0, 2.9, True), RECORDS[-1]))


@pytest.mark.parametrize("task, command", [("stream", "sample -m m.charlm --temp 0.8"), ("pairs", "translate -m m.charlm"),
                                           ("fill", "fill -m m.charlm --gap ___")])
def test_the_next_command_is_that_of_the_task(task, command):
    [line] = lines(Stopped("finished", 9, 2.0, 2.9, "m.charlm", 4.0, task=task))
    assert line.endswith(f'next="charlm {command}"')
