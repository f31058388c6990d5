"""`charlm view`: text in colours or columns, and the cells that tell something apart."""

import json
import math
import os
import pty
import re
import subprocess
import sys

import pytest

from tests.helpers.runners import error_line, run_in_process, start_process
from tests.helpers.texts import as_lines

TEXT = 'one green bottle,\tseñor\n\nand "if 日本" one\r\nbottle'


@pytest.fixture
def view(model):
    """Return a function from a text and flags to the result of `charlm view`."""
    def run(text, *flags, which=model, **more):
        return run_in_process("view", "-m", which, "--threads", 1, *flags, stdin=text.encode(), **more)
    return run


@pytest.fixture
def scored():
    """Return a function from a model, a text and flags to what `charlm score` writes."""
    return lambda model, text, *flags: run_in_process("score", "-m", model, *flags, stdin=text.encode()).check().text


def test_columns_are_those_of_score_token_by_token(view, scored, model, lines_model, labels_model):
    more = ("--level", "token", "--more")
    assert view(TEXT).check().text == scored(model, TEXT, "--carry", *more)
    names = "Ban\n\nO'Banan\nxñ\n"
    assert view(names, which=lines_model).check().text == scored(lines_model, names, *more)
    labelled = "Irish\tO'Ban\nBanñez\n\n"
    assert view(labelled, which=labels_model).check().text == scored(labels_model, labelled, *more)


def test_surprisals_of_view_score_and_eval_agree(view, model, scored, tmp_path):
    (tmp_path / "text").write_text(TEXT * 30, encoding="utf-8", newline="")
    measured = json.loads(run_in_process("eval", "-m", model, "--jsonl", "text").check().stdout)
    bits = [row["bits"] for row in view(TEXT * 30, "--jsonl").check().records]
    rows = [json.loads(line)["bits"] for line in
            scored(model, TEXT * 30, "--carry", "--level", "token", "--jsonl").splitlines()]
    assert bits == pytest.approx(rows, abs=1e-4)
    assert sum(bits) / len(bits) == pytest.approx(measured["bits_per_character"], abs=1e-4)


def test_top_and_unit_add_their_columns(view):
    records = view("ab", "--top", 2, "--unit", "1:3", "--jsonl").check().records
    assert [len(record["guesses"]) for record in records] == [2, 2]
    for line, record in zip(view("ab", "--top", 2, "--unit", "1:3").check().text.splitlines(), records, strict=True):
        fields = line.split("\t")
        assert float(fields[0]) == pytest.approx(record["activation"], abs=1e-4)
        assert float(fields[-1]) == pytest.approx(record["guesses"][1]["probability"], abs=1e-4)
        assert record["probability"] == pytest.approx(2 ** -record["bits"], rel=1e-3)


def test_colours_come_with_a_legend_and_the_strangest_words(view):
    shown = view(TEXT, "--color", "always").check().text
    assert "\x1b[38;5;" in shown and "\x1b[38;2;" not in shown
    assert "\x1b[38;2;" in view(TEXT, "--color", "always", env={"COLORTERM": "truecolor", "NO_COLOR": "1"}).text
    body, _, rest = re.sub(r"\x1b\[[\d;]*m", "", shown).partition("\n\n")
    assert body.splitlines()[0] == "one green bottle,→   señor↵"
    assert "bits per character of 48" in rest
    words = [line.split()[-1] for line in rest.splitlines()[1:]]
    assert words[0] == '日本"' and len(words) == 9 and "señor" in words


def test_a_terminal_gets_colours_unless_no_color_says_otherwise(model, tmp_path):
    (tmp_path / "text").write_text("a \x1b[31mb\u202e\n", encoding="utf-8")
    shown = {}
    for name, value in (("", None), ("1", "1")):
        leader, follower = pty.openpty()
        with start_process("view", "-m", model, "text", stdout=follower, env={"NO_COLOR": value, "TERM": "xterm"}):
            os.close(follower)
            parts = []
            try:
                while part := os.read(leader, 65536):
                    parts.append(part)
            except OSError:                     # Linux says so that the other end is closed
                pass
        os.close(leader)
        shown[name] = b"".join(parts).decode()
    assert "\x1b[38;5;" in shown[""] and "\x1b[31m" not in shown[""] and "\u202e" not in shown[""]
    assert "\x1b" not in shown["1"] and "\t1\ta\t" in shown["1"]


def test_find_ranks_cells_and_the_best_one_separates(view, labels_model):
    done = view("one 12 two 345\n" * 9, "--find", "digits", "--top", 3).check()
    rows = [line.split("\t") for line in done.text.splitlines()]
    areas = [float(area) for _, area, _ in rows]
    assert areas == sorted(areas, reverse=True) and len(rows) == 3 and 0.8 < areas[0] <= 1
    unit, area, side = rows[0]
    records = view("one 12 two 345\n" * 9, "--unit", unit, "--jsonl").records
    inside, outside = ([r["activation"] for r in records if r["text"].isdigit() == is_digit] for is_digit in (1, 0))
    pairs = [(a > b) + (a == b) / 2 for a in inside for b in outside]
    share = math.fsum(pairs) / len(pairs)
    assert (share if side == "high" else 1 - share) == pytest.approx(float(area), abs=1e-3)
    regular = view("one 12 two 345\n" * 9, "--find", r"\d", "--top", 3).check()
    assert regular.text == done.text


def test_find_all_names_the_best_cell_of_each_question(view, lines_model):
    text = 'f("a b") 12\nsee (http://a.b) X\n'
    rows = view(text, "--find", "all", "--jsonl").check().records
    assert [row["question"] for row in rows] == ["quotes", "brackets", "column", "word-start", "capitals", "digits",
                                                 "urls"]
    assert view(as_lines(["Ban", "O'B"]), "--find", "capitals", which=lines_model).check().text.count("\n") == 16


@pytest.mark.parametrize("flags, text, code, reason", [
    (["--find", "z"], "abc", 4, "no matches of z"), (["--find", "(?s).+"], "abc", 4, "or nothing else"),
    (["--find", "digit"], "abc", 4, "did you mean digits?"),
    (["--find", "digits"], "", 4, "the text is empty"), (["--find", "("], "a", 2, "not a regular expression"),
    (["--unit", "2:0"], "a", 2, "from 1:0 to 1:15"), (["--unit", "1:16"], "a", 2, "LAYER:INDEX"),
    (["--unit", "1"], "a", 2, "LAYER:INDEX"), (["--unit", "1:1", "--find", "a"], "a", 2, "not both")])
def test_what_cannot_be_shown_is_refused(view, flags, text, code, reason):
    assert reason in error_line(view(text, *flags), code)


def test_models_of_pairs_and_of_gaps_are_refused(pairs_model, fill_model):
    for verb, which, name in (("next", pairs_model, "a pairs model"), ("next", fill_model, "a fill model"),
                              ("view", fill_model, "a fill model")):
        assert name in error_line(run_in_process(verb, "-m", which, stdin=b"a"), 3)


def test_an_empty_text_has_a_legend_and_no_records(view):
    assert view("").check().text == ""
    assert "bits per character of 0" in view("", "--color", "always").check().text


def test_an_unknown_label_is_refused_with_its_line(view, labels_model):
    assert "line 2: no label 'Irisch'" in error_line(view("Ban\nIrisch\tBan\n", which=labels_model), 4)


def test_one_line_of_many_characters_is_shown_whole(view):
    text = "ab \x1b" * 4_000
    assert view(text, "--color", "always").check().text.count("␛") >= 4_000


def test_view_does_not_import_torch(model, tmp_path):
    (tmp_path / "text").write_text(TEXT, encoding="utf-8")
    code = ("import sys\nfrom charlm.cli.main import main\n"
            f"sys.argv = ['charlm', 'view', '-m', {str(model)!r}, '--color', 'always', 'text']\n"
            "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
            "print('torch' in sys.modules, 'rich' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False False"
