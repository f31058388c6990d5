"""Lines that a filter cannot answer: one record from every filter, and as many output lines as for any other."""

import pytest

from tests.helpers.runners import run_in_process

DATA = b"a\n\xff___\nb\n"


@pytest.fixture
def models(lines_model, labels_model, pairs_model, fill_model):
    """The model of each filter that writes records."""
    return {"score": lines_model, "classify": labels_model, "translate": pairs_model, "fill": fill_model}


@pytest.mark.parametrize("verb, flags", [
    ("score", []), ("score", ["--level", "token"]), ("classify", []), ("classify", ["--n-best", 2]), ("translate", []),
    ("translate", ["--n-best", 2]), ("fill", []), ("fill", ["-N", 3, "--seed", 1])])
def test_every_filter_gives_the_same_record_for_a_line_that_is_not_utf8(models, verb, flags):
    result = run_in_process(verb, "-m", models[verb], "--jsonl", *flags, stdin=DATA)
    assert result.code == 4 and "line 2: not UTF-8: byte 0xff at offset 0" in result.stderr
    invalid = [line for line in result.text.splitlines() if "error" in line]
    assert invalid == ['{"line": 2, "error": "not UTF-8"}']
    assert [record["line"] for record in result.records] == sorted(record["line"] for record in result.records)
    assert {record["line"] for record in result.records} == {1, 2, 3}


def test_a_line_that_the_model_refuses_gives_a_record_with_the_reason(labels_model):
    result = run_in_process("score", "-m", labels_model, "--jsonl", stdin=b"Irish\tO'Ban\nirisch\tBan\n")
    assert result.code == 4 and result.records[1] == {"line": 2, "error": "no label 'irisch'; did you mean Irish?"}
    assert "lines that the model does not accept: 1, each answered by an error record" in result.stderr


@pytest.mark.parametrize("samples", [0, 1, 3])
def test_plain_fill_writes_the_same_number_of_lines_for_every_line(fill_model, samples):
    data = b"a ___\n\xff___\r\nplain\n\nb ___"
    result = run_in_process("fill", "-m", fill_model, "-N", samples, "--seed", 1, stdin=data)
    filled, invalid, plain, empty, last = (result.text.split("\n")[at * samples:][:samples] for at in range(5))
    assert result.code == 4 and result.text.count("\n") == 5 * samples
    assert (invalid, plain, empty) == (["\r"] * samples, ["plain"] * samples, [""] * samples)
    assert all(row.startswith("a ") for row in filled) and all(row.startswith("b ") for row in last)


@pytest.mark.parametrize("verb, flags", [
    ("score", []), ("classify", []), ("classify", ["--n-best", 2]), ("translate", [])])
def test_without_records_an_invalid_line_is_answered_by_an_empty_line(models, verb, flags):
    result = run_in_process(verb, "-m", models[verb], *flags, stdin=b"\xff\n")
    assert (result.code, result.text) == (4, "\n")


@pytest.mark.parametrize("data, code, reported", [
    (b"Irish\tBan\n", 0, 1), (b"Irish\tBan\nBan\nIrish\tO'Ban\n", 0, 2), (b"Irish\tBan\nIrish\t\n\xff\n", 4, 4)])
def test_a_text_after_its_label_is_classified_with_a_warning(labels_model, data, code, reported):
    result = run_in_process("classify", "-m", labels_model, stdin=data)
    messages = result.stderr.splitlines()
    assert (result.code, len(messages), result.text.count("\n")) == (code, reported, data.count(b"\n"))
    assert "charlm: line 1 has a label and a tab before its text; give the text alone (cut -f2)" in messages
    assert any(line.startswith("charlm: 2 lines have a label and a tab") for line in messages) == (reported > 1)
