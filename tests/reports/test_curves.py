"""Curves of runs: aligned step by step, side by side in any width, as a table in a pipe."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.history import Recorder
from charlm.reports.curves import COLUMNS, Run, Scale, held, plots, resample, sparkline, sparklines, table


def history_of(steps=200, *, validations=4, error_rate=None, over_fits=False):
    """Return the history of a run whose loss falls from 4 to 1; held out, it may rise again."""
    recorder = Recorder()
    for step in range(1, steps + 1):
        recorder.add_update(step, loss=4 ** (1 - step / steps), gradient_norm=0.5, learning_rate=0.01, seconds=step)
        if validations and step % (steps // validations) == 0:
            share = step / steps
            loss = 2 + (share - 0.5) ** 2 if over_fits else 5 - share
            recorder.add_validation(step, loss=loss, bits_per_character=2 * loss,
                                    error_rate=error_rate and error_rate * (1 - share))
    return recorder.history()


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=9))
def test_a_scale_is_inverted_by_its_value(values):
    scale = Scale(values)
    assert all(scale.value(scale(value)) == pytest.approx(value, rel=1e-6) for value in values)


def test_a_scale_of_losses_is_logarithmic_unless_one_is_zero():
    assert Scale([1, 100])(10) == pytest.approx(0.5) and Scale([0, 100])(10) == pytest.approx(0.1)
    assert sparkline([1, 10, 100], 3, logarithmic=True) == sparkline([0, 1, 2], 3)


@given(st.integers(1, 50), st.integers(1, 60), st.integers(1, 10 ** 6))
def test_resampling_keeps_the_mean_of_every_column(width, count, first):
    steps = list(range(first, first + count))
    columns = resample(steps, [float(step) for step in steps], width, first=first, last=steps[-1])
    known = [value for value in columns if value is not None]
    assert len(columns) == width and known == sorted(known) and first <= known[0] and known[-1] <= steps[-1]
    assert len(known) == min(width, count)


def test_held_out_bars_are_below_the_steps_of_their_validations():
    training, held_out, wrong = sparklines(history_of(200, validations=2), 40)
    assert (len(training), len(held_out), wrong) == (40, 40, "")
    assert held_out == " " * 19 + held_out[19] * 20 + held_out[39]
    assert training[0] > training[-1] and held_out[19] > training[0]        # one scale: 4.5 is above 4


def test_error_rates_have_a_curve_and_a_scale_of_their_own():
    wrong = sparklines(history_of(error_rate=0.8), 40)[2]
    assert wrong.strip()[0] == "█" and wrong[-1] == "▁"


def test_a_short_run_has_one_bar_for_each_step():
    assert [len(line) for line in sparklines(history_of(3, validations=0), 40)] == [3, 0, 0]
    assert sparklines(Recorder().history(), 40) == ("", "", "")
    assert held([]) == [] and held([None, None]) == [None, None]


RUNS = [Run("a.charlm", history_of()), Run("b.charlm", history_of(3000, over_fits=True)),
        Run("pairs\x1b[2J.charlm", history_of(error_rate=0.5)), Run("x" * 90, history_of(1, validations=1))]


@pytest.mark.parametrize("width", [1, 20, 80, 100, 300])
@pytest.mark.parametrize("unicode", [True, False], ids=["braille", "ascii"])
def test_plots_fit_into_any_width(width, unicode):
    shown = plots([*RUNS, Run("old", Recorder().history())], width=width, unicode=unicode)
    plot, figures = shown.rsplit("\n\n", 1)
    assert "\x1b" not in shown and len(figures.splitlines()) == 6
    assert all(len(line) <= max(width, 40) for line in plot.splitlines()[:-1])
    if not unicode:
        assert shown.replace("␛", "").isascii()


def test_plots_stand_side_by_side_while_there_is_room():
    wide, narrow = (plots(RUNS[:2], width=width) for width in (100, 50))
    assert "a.charlm" in wide.splitlines()[0] and "b.charlm" in wide.splitlines()[0]
    assert "b.charlm" not in narrow.splitlines()[0]


def test_the_curve_falls_from_the_upper_left_to_the_lower_right():
    lines = plots([Run("a", history_of(validations=0))], width=80, unicode=False).splitlines()[1:14]
    columns = [line.index(".", 9) for line in lines if "." in line[9:]]
    assert len(columns) == 13 and columns == sorted(columns)


def test_figures_name_the_last_and_the_best_validation():
    line = plots(RUNS[1:2], width=80).splitlines()[-1].split()
    assert line == ["b.charlm", "3,000", "50:00", "1.0005", "2.2500", "2.0000", "1,500", "4.0000"]
    assert plots(RUNS[2:3], width=80).splitlines()[-1].endswith("0.00 %")


def test_only_colours_add_control_sequences():
    assert "\x1b[38;5;75m" in plots(RUNS, width=80, colours=True)
    assert "\x1b[2J" not in plots(RUNS, width=80, colours=True)


def test_a_table_has_a_row_for_each_step_with_the_cells_that_it_has():
    names, *lines = (line.rstrip("\n").split("\t") for line in table([Run("a\tb", history_of(5000, validations=3))]))
    assert tuple(names) == COLUMNS and {len(line) for line in lines} == {len(COLUMNS)}
    rows = [dict(zip(names, line, strict=True)) for line in lines]
    assert {row["model"] for row in rows} == {"a b"}
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows}, key=int)
    held_out = [row for row in rows if row["held_out"]]
    assert [row["step"] for row in held_out] == ["1666", "3332", "4998"] and rows[0]["loss"] == "3.99889"
    assert math.isclose(float(held_out[0]["bits_per_character"]), 2 * float(held_out[0]["held_out"]), rel_tol=1e-4)
    assert {row["error_rate"] for row in rows} == {""}


def test_times_that_are_left_out_are_empty():
    run = Run("a", history_of(3, validations=0).without_seconds())
    assert all(line.endswith("\t\n") for line in list(table([run]))[1:])
    assert plots([run], width=80).splitlines()[-1].split()[2] == "–"
