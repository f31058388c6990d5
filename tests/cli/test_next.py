"""`charlm next`: the likeliest next characters."""

import pytest

from charlm.modelfile import load
from tests.helpers.runners import error_line, run_in_process


@pytest.fixture
def following(model):
    """Return a function from flags to the records of `charlm next --jsonl`."""
    def run(*flags, which=model, **more):
        return run_in_process("next", "-m", which, "--jsonl", *flags, **more).check().records
    return run


def test_probabilities_of_all_tokens_sum_to_one_in_descending_order(following, model):
    size = load(str(model)).config.vocabulary_size
    odds = [record["probability"] for record in following("-p", "one gre", "--top", 1000)]
    assert len(odds) == size and sum(odds) == pytest.approx(1, abs=1e-4) and odds == sorted(odds, reverse=True)
    assert [record["rank"] for record in following("-p", "one", "--top", 3)] == [1, 2, 3]


@pytest.mark.parametrize("prompt, following_text", [("one gre", "one green"), ("", "a"), ("wall;\n", "wall;\na")])
def test_they_are_the_probabilities_that_score_finds(following, model, prompt, following_text):
    record = run_in_process("score", "-m", model, "--level", "token", "--more", "--carry", "--jsonl",
                            stdin=following_text.encode()).records[len(prompt)]
    found = {row["text"]: row for row in following("-p", prompt, "--top", 1000)}[record["text"]]
    assert found["probability"] == pytest.approx(record["probability"], rel=1e-4)
    assert found["rank"] == record["rank"]


def test_lines_end_with_a_newline_and_labels_condition_them(following, lines_model, labels_model):
    assert "\n" in [row["text"] for row in following("-p", "Ban", "--top", 1000, which=lines_model)]
    irish = following("--label", "Irish", "--top", 1, which=labels_model)
    assert irish[0]["text"] == "O" and irish == following("-p", "Irish\t", "--top", 1, which=labels_model)
    mixed = {row["text"]: row["probability"] for row in following("--top", 1000, which=labels_model)}
    each = [{row["text"]: row["probability"] for row in following("--label", label, "--top", 1000, which=labels_model)}
            for label in ("Irish", "Icelandic", "Español")]
    assert mixed["O"] == pytest.approx(0.5 * each[0]["O"] + 0.25 * (each[1]["O"] + each[2]["O"]), abs=1e-3)


def test_the_prompt_can_come_from_a_file_or_stdin(following, model, tmp_path):
    (tmp_path / "prompt").write_text("one gre", encoding="utf-8")
    expected = following("-p", "one gre")
    assert following("-f", "prompt") == following("-f", "-", stdin=b"one gre") == expected
    text = run_in_process("next", "-m", model, "-p", "wall;", "--top", 1000).check().text
    assert [line for line in text.splitlines() if line.startswith("\\n\t")] and text.count("\n") > 9


@pytest.mark.parametrize("flags, reason", [
    (["-p", "a", "-f", "-"], "not both"), (["--label", "Irish"], "no labels"), (["--top", "0"], "--top")])
def test_wrong_usage(model, flags, reason):
    assert reason in error_line(run_in_process("next", "-m", model, *flags), 2)


def test_a_line_break_or_an_unknown_label_is_refused(lines_model, labels_model):
    assert "line break" in error_line(run_in_process("next", "-m", lines_model, "-p", "a\n"), 2)
    assert "did you mean Irish" in error_line(run_in_process("next", "-m", labels_model, "--label", "Irisch"), 2)
