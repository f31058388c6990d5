"""`charlm classify`: the likeliest label of a line.

Not here: the behaviour that it shares with other filters (test_line_reader.py).
"""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.modelfile import load
from tests.helpers.runners import error_line, run_in_process
from tests.helpers.texts import LABELS, as_lines, as_rows

NAMES = ["O'Banan", "Lutsson", "Fotñez", "", "x", "O'Futey", "日本", "Mon\tez", "\0"]


@pytest.fixture
def classify(labels_model):
    """Return a function from lines to what `charlm classify` writes for them."""
    def run(lines, *flags, model=labels_model):
        return run_in_process("classify", "-m", model, *flags, stdin=as_lines(lines).encode()).check().text
    return run


@pytest.fixture
def records(classify):
    """Return a function from lines to their JSON records."""
    def run(lines, *flags, **which):
        return [json.loads(line) for line in classify(lines, "--jsonl", *flags, **which).splitlines()]
    return run


@pytest.fixture
def priors(labels_model):
    """The share of each label in the training text."""
    labels = load(str(labels_model)).labels
    return dict(zip(labels.names, (count / sum(labels.counts) for count in labels.counts), strict=True))


def test_names_like_the_training_names_get_their_label(classify):
    answers = [row.split("\t")[0] for row in classify(NAMES[:3]).splitlines()]
    assert answers == ["Irish", "Icelandic", "Español"]


def test_a_row_is_the_likeliest_label_and_its_probability(classify, records):
    rows = [row.split("\t") for row in classify(NAMES).splitlines()]
    for row, record in zip(rows, records(NAMES), strict=True):
        assert row[0] == record["label"] and float(row[1]) == pytest.approx(record["posterior"], abs=1e-4)
        assert 1 / 3 < record["posterior"] <= 1


def test_records_hold_line_text_label_and_the_n_best_labels(records):
    found = records(NAMES, "--n-best", 2)
    assert [record["line"] for record in found] == [*range(1, len(NAMES) + 1)]
    assert [record["text"] for record in found] == NAMES
    for record in found:
        first, second = record["labels"]
        assert (first["label"], first["posterior"]) == (record["label"], record["posterior"])
        assert first["posterior"] >= second["posterior"]
    assert [len(record["labels"]) for record in records(NAMES)] == [1] * len(NAMES)


def test_posteriors_of_all_labels_sum_to_one(records):
    for record in records(NAMES, "--n-best", 99):
        assert sorted(label["label"] for label in record["labels"]) == sorted(LABELS)
        assert sum(label["posterior"] for label in record["labels"]) == pytest.approx(1, abs=1e-5)


def test_an_n_best_table_has_line_label_and_probability_best_first(classify, records):
    names = [name for name in NAMES if "\t" not in name]
    rows = [row.split("\t") for row in classify(names, "--n-best", 3).split("\n")[:-1]]
    expected = [(record["text"], label["label"], label["posterior"])
                for record in records(names, "--n-best", 3) for label in record["labels"]]
    assert [tuple(row[:2]) for row in rows] == [row[:2] for row in expected] and len(rows) == 3 * len(names)
    assert [float(row[2]) for row in rows] == pytest.approx([row[2] for row in expected], abs=1e-4)


def test_posteriors_of_a_uniform_model_are_the_label_frequencies(
        records, uniform, labels_model, priors, labelled_names):
    of_all = [row.split("\t")[0] for row in labelled_names.read_text(encoding="utf-8").splitlines()]
    assert priors == {label: of_all.count(label) / len(of_all) for label in LABELS}
    record, = records(["O'Banan"], "--n-best", 3, model=uniform(labels_model))
    assert [label["label"] for label in record["labels"]] == ["Irish", "Español", "Icelandic"]
    assert {label["label"]: label["posterior"] for label in record["labels"]} == pytest.approx(priors, abs=1e-6)


def test_a_uniform_prior_ignores_frequencies_and_ties_go_to_the_first(classify, uniform, labels_model):
    assert classify(["O'Banan"], "--uniform-prior", model=uniform(labels_model)) == "Español\t0.3333\n"


def test_posteriors_follow_from_the_scores_by_bayes_rule(records, labels_model, priors):
    for name in ("O'Banan", "x", ""):
        data = as_rows((label, name) for label in LABELS).encode()
        scores = [row["bits"] for row in run_in_process("score", "-m", labels_model, "--jsonl",
                                                        stdin=data).check().records]
        for flags, prior in (([], priors), (["--uniform-prior"], dict.fromkeys(LABELS, 1))):
            joint = {label: prior[label] * 2 ** -bits for label, bits in zip(LABELS, scores, strict=True)}
            expected = {label: value / math.fsum(joint.values()) for label, value in joint.items()}
            record, = records([name], "--n-best", 3, *flags)
            found = {label["label"]: label["posterior"] for label in record["labels"]}
            assert found == pytest.approx(expected, abs=1e-4)


@given(lines=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\ufeff")), max_size=8))
@settings(deadline=None, max_examples=25)
def test_every_line_gets_one_of_the_labels_in_order(labels_model, lines):
    data = "".join(f"{line}\r\n" for line in lines).encode()
    found = run_in_process("classify", "-m", labels_model, "--jsonl", stdin=data).check().records
    assert [record["text"] for record in found] == lines
    assert all(record["label"] in LABELS and 0 < record["posterior"] <= 1 for record in found)


def test_a_label_is_the_same_alone_and_among_2000_lines(records):
    names = [f"{'O' * (n % 50)}{n}" for n in range(2000)]
    together = records(names)
    for number in (0, 49, 1300, 1999):
        alone, = records([names[number]])
        assert alone["label"] == together[number]["label"]
        assert alone["posterior"] == pytest.approx(together[number]["posterior"], abs=1e-5)


def test_a_line_that_is_not_utf8_gets_an_error_record(labels_model):
    _, second = run_in_process("classify", "-m", labels_model, "--jsonl", stdin=b"Ba\n\xff\n").records
    assert second == {"line": 2, "error": "not UTF-8"}


@pytest.mark.parametrize("flags, rows", [([], 1), (["--n-best", 2], 2)])
def test_a_line_that_is_not_utf8_produces_an_empty_line(labels_model, flags, rows):
    done = run_in_process("classify", "-m", labels_model, *flags, stdin=b"Ba\n\xff\nBa\n")
    answers = done.text.split("\n")
    assert (done.code, len(answers)) == (4, 2 * rows + 2) and answers[rows] == ""
    assert done.stderr.startswith("charlm: line 2: not UTF-8")


def test_a_line_of_10000_characters_gets_a_label(records):
    record, = records(["O'Banan" * 1429], "--n-best", 3)
    assert sum(label["posterior"] for label in record["labels"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("which, kind", [
    ("model", "text model"), ("lines_model", "lines model"), ("fill_model", "fill model")])
def test_a_model_without_labels_is_refused_with_the_command_that_helps(request, which, kind):
    done = run_in_process("classify", "-m", request.getfixturevalue(which), stdin=b"a\n")
    assert kind in error_line(done, 3) and "train one for classify with --pairs or --labels" in error_line(done, 3)


@pytest.mark.parametrize("flags", [["--n-best", "0"], ["--n-best", "x"], ["--errors", "skip"], ["--device", "tpu"]])
def test_invalid_flag_values_are_usage_errors(labels_model, flags):
    done = run_in_process("classify", "-m", labels_model, *flags, stdin=b"a\n")
    assert flags[0] in error_line(done, 2)
