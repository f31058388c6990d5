"""`--adapt full`: all weights learn while eval and score read."""

import json
import math

import pytest

from charlm.errors import OptionError, UsageError
from charlm.model import load
from tests.helpers.runners import error_line, run_in_process


def run(*arguments, stdin=b""):
    return run_in_process(*arguments, stdin=stdin).check().stdout


def measure(model, path, *flags):
    return json.loads(run("eval", "-m", model, "--jsonl", *flags, path))


@pytest.fixture
def beginning(tmp_path):
    """A function that returns a file with the first lines of a file."""
    def cut(path, lines=60):
        (tmp_path / path.name).write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:lines]),
                                          encoding="utf-8")
        return tmp_path / path.name
    return cut


def test_eval_prints_the_static_figures_and_the_adapted_ones(model, verses, beginning):
    verses = beginning(verses)
    static, full = measure(model, verses), measure(model, verses, "--adapt", "full")
    assert full["adapted_nats_per_token"] < full["nats_per_token"]
    assert full["adapted_bits_per_character"] == pytest.approx(full["adapted_nats_per_token"] / math.log(2))
    assert {name: full[name] for name in static} == pytest.approx(static, abs=1e-5)


def test_score_of_a_text_with_its_state_carried_agrees_with_eval(model, verses, beginning):
    verses = beginning(verses)
    total = json.loads(run("score", "-m", model, "--adapt", "full", "--carry", "--level", "total", "--jsonl", verses))
    expected = measure(model, verses, "--adapt", "full")
    assert total["bits_per_character"] == pytest.approx(expected["adapted_bits_per_character"], abs=1e-4)


@pytest.mark.parametrize("kind", ["lines", "labels"])
def test_score_of_lines_agrees_with_eval(kind, request, beginning):
    model = request.getfixturevalue(f"{kind}_model")
    path = beginning(request.getfixturevalue({"lines": "names", "labels": "labelled_names"}[kind]))
    total = json.loads(run("score", "-m", model, "--adapt", "full", "--level", "total", "--jsonl", path))
    measured = measure(model, path, "--adapt", "full")
    assert total["bits_per_character"] == pytest.approx(measured["adapted_bits_per_character"], abs=1e-4)
    assert abs(measured["adapted_bits_per_character"] - measured["bits_per_character"]) > 1e-4


def test_a_line_that_comes_again_surprises_less(model):
    lines = [*map(float, (row.split(b"\t")[0] for row in run(
        "score", "-m", model, "--adapt", "full", stdin=b"qux zyx vuw\n" * 40).splitlines()))]
    assert lines[-1] < 0.8 * lines[0]


def test_other_commands_and_other_words_are_refused(model):
    assert "full is for eval and score" in error_line(
        run_in_process("filter", "-m", model, "--adapt", "full", "--max-bpc", "3"), 2)
    with pytest.raises(OptionError, match="full"):
        load(str(model)).scorer(adapt="half")
    with pytest.raises(UsageError, match="CPU"):
        load(str(model), device="cuda").scorer(adapt="full")
