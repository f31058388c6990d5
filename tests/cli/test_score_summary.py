"""`charlm score --summary` and `--worst`: what they write agrees with the lines' own scores."""

import json

import numpy as np
import pytest

from charlm.distribution import quantiles_of
from charlm.modelfile import load, save
from tests.helpers.runners import error_line, run_in_process
from tests.helpers.texts import LABELLED_NAMES, VERSES, as_rows

NAMES = "O'Banan\n\nLutsson\n  \nFotñez\nqqqqqq\nO'Lonan\n"


def run(verb, path, text, *flags):
    return run_in_process(verb, "-m", path, *flags, stdin=text.encode())


@pytest.mark.parametrize("which", ["lines_model", "labels_model", "model"])
def test_a_summary_is_that_of_the_scores_of_lines_that_are_not_blank(request, which):
    path = request.getfixturevalue(which)
    rates = [row["bits_per_character"] for row in run("score", path, NAMES, "--jsonl").check().records
             if row["text"].strip()]
    summary, = run("score", path, NAMES, "--summary", "--jsonl").check().records
    assert (summary["lines"], summary["blank"]) == (5, 2) and summary["mean"] == pytest.approx(np.mean(rates), abs=1e-5)
    for percent, value in summary["quantiles"].items():
        assert value == pytest.approx(np.quantile(rates, int(percent) / 100), abs=0.0021)
    assert summary["held_out_quantiles"]["50"] > 0
    assert summary["threshold"] == pytest.approx(summary["held_out_quantiles"]["99"], abs=0.005)


@pytest.mark.parametrize("which", ["lines_model", "labels_model", "model", "pairs_model"])
def test_training_keeps_the_quantiles_of_held_out_lines(tmp_path, train_quietly, names, labelled_names, verses,
                                                        lexicon, which):
    corpus, held_out, *flags = {
        "pairs_model": (lexicon, "\n".join(lexicon.read_text(encoding="utf-8").splitlines()[:9])),
        "lines_model": (names, "O'Banan\nqqq\n\nLutsson\n", "--lines"), "model": (verses, VERSES[-300:]),
        "labels_model": (labelled_names, as_rows(LABELLED_NAMES[:9]), "--labels")}[which]
    (tmp_path / "held-out.txt").write_text(held_out, encoding="utf-8")
    path = train_quietly(corpus, "--hidden", "8", "--layers", "1", "--steps", "2", "--validation",
                         tmp_path / "held-out.txt", *flags)
    rates = [row["bits_per_character"] for row in run("score", path, held_out, "--jsonl").check().records
             if row["text"].strip()]
    assert load(str(path)).line_quantiles == pytest.approx(quantiles_of(np.array(rates)), abs=2e-4)


def test_a_model_without_quantiles_is_compared_with_nothing(tmp_path, lines_model):
    import dataclasses
    save(str(tmp_path / "old.charlm"), dataclasses.replace(load(str(lines_model)), line_quantiles=()))
    done = run("score", tmp_path / "old.charlm", NAMES, "--summary").check()
    assert {line.split("\t")[2] for line in done.text.splitlines()[1:]} == {""}
    assert "no record of its held-out lines" in done.stderr


def test_a_summary_in_a_pipe_is_a_table(lines_model):
    done = run("score", lines_model, NAMES, "--summary").check()
    rows = [line.split("\t") for line in done.text.splitlines()]
    assert rows[0] == ["figure", "text", "held_out"] and {len(row) for row in rows} == {3}
    assert done.stderr.startswith("charlm: ") and "--max-bpc" in done.stderr and done.stderr.count("\n") == 1


def test_worst_adds_the_strangest_stretch_before_the_line(lines_model):
    text = "O'Banan" * 9 + "\t日本" + "O'Banan" * 9
    record, = run("score", lines_model, text, "--worst", 4, "--jsonl").check().records
    assert "日本" in record["worst"] and record["worst"] == text[record["worst_start"]:][:4]
    tokens = run("score", lines_model, text, "--level", "token", "--jsonl").check().records
    assert record["worst_bits"] == pytest.approx(
        sum(token["bits"] for token in tokens[record["worst_start"]:][:4]), abs=1e-4)
    row = run("score", lines_model, text, "--worst", 4).check().text.removesuffix("\n").split("\t", 6)
    assert row[3:] == [f"{record['worst_bits']:.4f}", str(record["worst_start"]),
                       record["worst"].replace("\t", "\\t"), text]


def test_filter_bounds_the_strangest_stretch_with_worst(lines_model):
    text = "O'Banan" * 9 + "日本" + "O'Banan" * 9 + "\nO'Banan\n"
    worst = [row["worst_bits"] / 2 for row in run("score", lines_model, text, "--worst", 2, "--jsonl").check().records]
    done = run("filter", lines_model, text, "--worst", 2, "--min-bpc", sum(worst) / 2, "--with-score").check()
    assert done.text == f"{worst[0]:.4f}\t{text.splitlines()[0]}\n"


@pytest.mark.parametrize("flags, problem", [
    (["--summary", "--level", "token"], "--summary is for --level line"),
    (["--worst", "3", "--level", "total"], "--worst is for --level line"),
    (["--worst", "3", "--summary"], "leave out --worst")])
def test_options_that_do_not_fit_each_other_are_refused(lines_model, flags, problem):
    assert problem in error_line(run("score", lines_model, "a", *flags), 2)


def test_an_invalid_line_is_left_out_of_a_summary(lines_model):
    done = run_in_process("score", "-m", lines_model, "--summary", "--jsonl", stdin=b"Ba\n\xff\nCo\n")
    assert done.code == 4 and json.loads(done.stdout)["lines"] == 2 and "left out" in done.stderr
