"""`charlm view --curves`: how the runs of models went, as plots, a table or records."""

import dataclasses
import re

import pytest

from charlm.modelfile import load, save
from tests.helpers.runners import error_line, run_in_process


def test_curves_in_a_pipe_are_a_table_of_all_models(model, pairs_model):
    names, *lines = (line.split("\t") for line in
                     run_in_process("view", "--curves", model, pairs_model).check().text.splitlines())
    rows = [dict(zip(names, line, strict=True)) for line in lines]
    assert {row["model"] for row in rows} == {str(model), str(pairs_model)}
    trained = load(str(pairs_model)).training
    best, = [row for row in rows if row["model"] == str(pairs_model) and row["step"] == str(trained["step"])]
    assert float(best["held_out"]) == pytest.approx(trained["nats_per_token"], rel=1e-5)
    assert float(best["error_rate"]) == pytest.approx(trained["word_error_rate"], rel=1e-5)


def test_curves_are_plots_where_colours_are_asked_for(model):
    shown = run_in_process("view", "--curves", "--color", "always", model, env={"COLUMNS": "80"}).check().text
    assert "● held out" in re.sub("\x1b\\[[0-9;]*m", "", shown) and "\x1b[" in shown
    ascii_only = run_in_process("view", "--curves", "--color", "always", model, env={"LC_ALL": "C"}).check().text
    assert ascii_only.isascii()


def test_curves_as_records_are_whole_histories(model, pairs_model):
    records = run_in_process("view", "--curves", "--jsonl", model, pairs_model).check().records
    assert [record["model"] for record in records] == [str(model), str(pairs_model)]
    assert records[0]["steps"][-1] == 30 and records[1]["held_out_error_rate"] and records[1]["samples"]


def test_a_model_without_a_history_is_named(model, tmp_path):
    save(str(tmp_path / "old.charlm"), dataclasses.replace(load(str(model)), history=None))
    done = run_in_process("view", "--curves", "old.charlm", model).check()
    assert "old.charlm has no history" in done.stderr and "old.charlm\t" not in done.text
    assert run_in_process("view", "--curves", "old.charlm").code == 3


def test_curves_exclude_other_views_and_several_texts_need_curves(model):
    assert "--curves or --top" in error_line(run_in_process("view", "--curves", "--top", 3, model), 2)
    assert "give one text" in error_line(run_in_process("view", "a", "b"), 2)
