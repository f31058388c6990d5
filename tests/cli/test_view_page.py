"""`charlm view --html`: a page whose numbers are those of `charlm score`, with units, curves and confusion."""

import base64
import json
import re

import numpy as np
import pytest

from tests.helpers.runners import error_line, run_in_process


@pytest.fixture
def page_of(tmp_path):
    """Return a function from a model, a text and flags to the data of the page that the command writes."""
    def run(model, text, *flags):
        result = run_in_process("view", "-m", model, "--html", "page.html", *flags, stdin=text.encode()).check()
        assert not result.stdout
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]), result.stderr
    return run


def test_the_page_of_a_text_holds_what_score_says(page_of, model):
    text = "one green bottle\nseñor </script>\n" * 3
    data, stderr = page_of(model, text)
    rows = [json.loads(row) for row in run_in_process(
        "score", "-m", model, "--carry", "--level", "token", "--more", "--jsonl", stdin=text.encode()).check().text
            .splitlines()]
    bits = np.frombuffer(base64.b64decode(data["text"]["bits"]), "<u2") / 256
    assert bits == pytest.approx([row["bits"] for row in rows], abs=0.003)
    assert np.frombuffer(base64.b64decode(data["text"]["rank"]), "<u2").tolist() == [row["rank"] for row in rows]
    assert "".join(data["text"]["tokens"]).replace("↵", "") == text
    assert data["text"]["units"] and data["curves"]["loss"] and not data["confusion"]
    assert "wrote page.html" in stderr


def test_the_page_of_labelled_lines_counts_confusions(page_of, labels_model, labelled_names):
    data, _ = page_of(labels_model, labelled_names.read_text(encoding="utf-8"))
    counts = np.array(data["confusion"]["counts"])
    assert counts.sum() == len(labelled_names.read_text(encoding="utf-8").splitlines())
    assert len(data["confusion"]["labels"]) == len(counts)


def test_the_page_of_pairs_shows_attention_and_the_best_targets(page_of, pairs_model):
    data, _ = page_of(pairs_model, "ab\tignored\n\nba\n")
    assert ["".join(one["source"]) for one in data["alignments"]] == ["∅ab", "∅ba"]
    assert len(data["alignments"][0]["best"]) == 5 and data["curves"] and not data["text"]
    assert [sum(row) for row in data["alignments"][0]["weights"]] == pytest.approx([1] * 3, abs=0.01)
    refused = run_in_process("view", "-m", pairs_model, stdin=b"ab")
    assert "translate --alignment" in error_line(refused, 2)


def test_a_file_that_is_no_page_is_not_replaced_by_one(model, tmp_path):
    (tmp_path / "novel.txt").write_text("one green bottle\n", encoding="utf-8")
    (tmp_path / "page.html").touch()
    for words in (["--html", "novel.txt", "novel.txt"], ["--html", "novel.txt"]):
        refused = run_in_process("view", "-m", model, *words, stdin=b"one\n")
        assert "novel.txt exists and is not a page" in error_line(refused, 2)
    assert (tmp_path / "novel.txt").read_text(encoding="utf-8") == "one green bottle\n"
    for _ in range(2):                  # an empty file and a page are replaced
        run_in_process("view", "-m", model, "--html", "page.html", "novel.txt").check()


def test_a_long_text_is_cut_and_an_empty_one_refused(page_of, model):
    data, stderr = page_of(model, "one green bottle\n" * 2000)
    assert 19_000 < len(data["text"]["tokens"]) <= 20_000 and "the first" in stderr
    result = run_in_process("view", "-m", model, "--html", "page.html", stdin=b"")
    assert "nothing to show" in error_line(result, 4)


def test_a_line_that_is_longer_than_a_page_is_cut_and_that_is_said(page_of, model, monkeypatch):
    monkeypatch.setattr("charlm.cli.view_page.CHARACTERS", 50)
    data, stderr = page_of(model, "bottle" * 20 + "\nwall\n")
    assert len(data["text"]["tokens"]) == 50 and "the first 50 characters of a line of 121" in stderr


def test_a_page_of_one_blank_line_has_no_units(page_of, lines_model):
    data, _ = page_of(lines_model, "\n")
    assert data["text"]["tokens"] == ["↵\n"] and data["text"]["units"] == []


def test_a_page_excludes_the_options_of_the_terminal(model):
    result = run_in_process("view", "-m", model, "--html", "page.html", "--top", 3, stdin=b"a")
    assert "leave out" in error_line(result, 2)
