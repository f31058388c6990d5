"""`score`, `filter` and `classify` with a pairs model: a target that is given with its source.

Not here: the surprisal itself (inference/test_pair_scoring.py), and what these commands do with other models.
"""

import json
import math

import pytest

import charlm
from charlm.errors import CharlmError
from tests.helpers.runners import error_line, run_in_process
from tests.helpers.texts import PAIRS, as_rows

LINES = "aé\tAÉ\r\nb\tAAAA\n\nab\tAB"


@pytest.fixture
def run(pairs_model):
    """Return a function from a verb, its flags and stdin to the rows that it writes."""
    def rows(verb, *flags, stdin=LINES):
        return run_in_process(verb, "-m", pairs_model, *flags, stdin=stdin.encode()).check().text.splitlines()
    return rows


def test_the_total_of_the_scores_is_the_loss_of_eval(run, pairs_model, lexicon):
    total = json.loads(run("score", lexicon, "--level", "total", "--jsonl")[0])
    loss = json.loads(run_in_process("eval", "-m", pairs_model, lexicon, "--jsonl").check().text)
    assert total["bits"] == pytest.approx(loss["nats_per_token"] * loss["tokens"] / math.log(2), abs=1e-4)
    assert (total["tokens"], total["lines"]) == (loss["tokens"], len(PAIRS))


def test_lines_words_and_tokens_add_up_to_the_same_bits(run):
    lines = [json.loads(row) for row in run("score", "--jsonl")]
    assert [row["characters"] for row in lines] == [3, 5, 0, 3]
    assert [row["text"] for row in lines] == ["aé\tAÉ", "b\tAAAA", "", "ab\tAB"]
    assert 0 < lines[0]["bits_per_character"] < lines[1]["bits_per_character"]
    for flags in ([], ["--more"]):
        tokens = [json.loads(row) for row in run("score", "--level", "token", "--jsonl", *flags)]
        assert "".join(row["text"] for row in tokens) == "AÉ\nAAAA\nAB\n"
        for number, line in enumerate(lines, 1):
            assert sum(row["bits"] for row in tokens if row["line"] == number) == pytest.approx(line["bits"], abs=1e-4)
    words = [row.split("\t") for row in run("score", "--level", "word")]
    assert [row[:4] for row in words] == [["1", "AÉ", "0", "2"], ["2", "AAAA", "0", "4"], ["4", "AB", "0", "2"]]


def test_filter_cleans_a_lexicon_and_keeps_its_lines_to_the_byte(run):
    assert run("filter", "--keep", "2") == ["aé\tAÉ", "ab\tAB"]
    assert run("filter", "--min-bpc", "0")[1:] == ["b\tAAAA", "ab\tAB"]


def test_lines_that_are_no_pairs_are_refused_by_number(pairs_model):
    done = run_in_process("score", "-m", pairs_model, "--jsonl", stdin=b"ab\na\tA\n\tA\na\tA\tA\na\t\n")
    assert done.code == 4
    records = [json.loads(row) for row in done.text.splitlines()]
    assert [record["line"] for record in records] == [1, 2, 3, 4, 5]
    assert [record.get("error", "").partition(";")[0] for record in records] == [
        "no tab", "", "an empty source", "2 tabs", "an empty target"]
    assert "line 4: 2 tabs; a line is source<TAB>target" in done.stderr


def test_the_right_one_of_some_targets_is_the_likeliest(run, tmp_path):
    (tmp_path / "targets.txt").write_text("AB\r\n\nBA\nÉ\nAB\n", encoding="utf-8")
    rows = [row.split("\t") for row in run("classify", "--among", "targets.txt", "--n-best", "9", stdin="ab\né\n")]
    assert [row[0] for row in rows] == ["ab"] * 3 + ["é"] * 3
    assert rows[0][1] == "AB" and rows[3][1] == "É" and {row[1] for row in rows} == {"AB", "BA", "É"}
    assert sum(float(row[2]) for row in rows) == pytest.approx(2, abs=1e-3)


def test_a_model_of_words_chooses_among_its_words(learn, tmp_path):
    rows = [(source, "dry" if "a" in source else "rain") for source, _ in PAIRS]
    learn("weather.tsv", as_rows(rows * 4).encode())
    done = run_in_process("classify", "-m", "learnt.charlm", "--jsonl", "--n-best", 2, stdin=b"bab\n").check()
    labels = {row["label"]: row["posterior"] for row in json.loads(done.text)["labels"]}
    assert set(labels) == {"dry", "rain"} and sum(labels.values()) == pytest.approx(1, abs=1e-5)
    model = charlm.load("learnt.charlm")
    assert model.classify("bab") == pytest.approx(labels, abs=1e-5)


@pytest.mark.parametrize("verb, flags, code, message", [
    ("score", ["--carry"], 2, "--carry"), ("score", ["--adapt"], 2, "--adapt"),
    ("filter", ["--keep", "1", "--adapt"], 2, "--adapt"),
    ("classify", [], 2, "--among"), ("classify", ["--uniform-prior"], 2, "--uniform-prior"),
    ("classify", ["--among", "-"], 2, "stdin"), ("classify", ["--among", "blank.txt"], 4, "no targets to choose"),
    ("classify", ["--among", "tab.txt"], 2, "--among"),
    ("classify", ["--among", "A"], 4, "--among names a file of targets, one a line; A: cannot be read"),
    ("classify", ["--among", "tab.txt", "--among", "tab.txt"], 2, "--among is given 2 times; give it once")])
def test_flags_that_do_not_fit_are_refused_in_one_line(pairs_model, tmp_path, verb, flags, code, message):
    (tmp_path / "blank.txt").write_text("\n\r\n", encoding="utf-8")
    (tmp_path / "tab.txt").write_text("a\tA\n", encoding="utf-8")
    assert message in error_line(run_in_process(verb, "-m", pairs_model, *flags, stdin=b"a\tA\n"), code)


def test_python_takes_the_source_beside_the_target_or_before_it(pairs_model, lines_model):
    model = charlm.load(str(pairs_model))
    assert model.score("AB", source="ab").bits == model.score("ab\tAB").bits < model.score("BA", source="ab").bits
    assert [text for text, _ in model.surprisals("ab\tAB")] == ["A", "B", "\n"]
    assert max(model.classify("ab", among=["AB", "BA"]).items(), key=lambda pair: pair[1])[0] == "AB"
    assert model.trace("ab\tAB").nats.sum() == pytest.approx(model.score("ab\tAB").nats.sum(), abs=1e-4)
    for wrong in (lambda: model.score("AB"), lambda: model.score("AB", source=""), lambda: model.classify("a\tA"),
                  lambda: model.gradient_reach("ab" * 50),
                  lambda: charlm.load(str(lines_model)).score("AB", source="ab"),
                  lambda: charlm.load(str(lines_model)).classify("AB", among=["a"])):
        with pytest.raises(CharlmError):
            wrong()
