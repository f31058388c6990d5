"""`charlm classify`: the likeliest label of a line. What it shares with other filters stands in test_filters.py."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.modelfile import load

NAMES = ["O'Banan", "Lutsson", "Fotñez", "", "x", "O'Futey", "日本", "Mon\tez", "\0"]
LABELS = ("Español", "Icelandic", "Irish")


@pytest.fixture
def classify(through, labels_model):
    """What `charlm classify` writes for these lines."""
    def run(lines, *flags, model=labels_model):
        return through("".join(f"{line}\n" for line in lines).encode(), "classify", "-m", model, *flags).decode()
    return run


@pytest.fixture
def records(classify):
    def run(lines, *flags, **which):
        return [json.loads(line) for line in classify(lines, "--jsonl", *flags, **which).splitlines()]
    return run


@pytest.fixture
def priors(labels_model):
    """How frequent each label is in the training text."""
    labels = load(str(labels_model)).labels
    return dict(zip(labels.names, (count / sum(labels.counts) for count in labels.counts)))


def test_names_like_those_of_the_training_get_their_label(classify):
    answers = [row.split("\t")[0] for row in classify(NAMES[:3]).splitlines()]
    assert answers == ["Irish", "Icelandic", "Español"]


def test_a_row_is_the_likeliest_label_and_its_probability(classify, records):
    rows = [row.split("\t") for row in classify(NAMES).splitlines()]
    for row, record in zip(rows, records(NAMES), strict=True):
        assert row[0] == record["label"] and float(row[1]) == pytest.approx(record["posterior"], abs=1e-4)
        assert 1 / 3 < record["posterior"] <= 1


def test_records_carry_line_text_label_and_as_many_labels_as_asked_for(records):
    found = records(NAMES, "--n-best", 2)
    assert [record["line"] for record in found] == [*range(1, len(NAMES) + 1)]
    assert [record["text"] for record in found] == NAMES
    for record in found:
        first, second = record["labels"]
        assert (first["label"], first["posterior"]) == (record["label"], record["posterior"])
        assert first["posterior"] >= second["posterior"]
    assert [len(record["labels"]) for record in records(NAMES)] == [1] * len(NAMES)


def test_all_labels_together_are_certain(records):
    for record in records(NAMES, "--n-best", 99):
        assert sorted(label["label"] for label in record["labels"]) == sorted(LABELS)
        assert sum(label["posterior"] for label in record["labels"]) == pytest.approx(1, abs=1e-5)


def test_a_table_of_the_best_is_line_label_probability_best_first(classify, records):
    names = [name for name in NAMES if "\t" not in name]
    rows = [row.split("\t") for row in classify(names, "--n-best", 3).split("\n")[:-1]]
    expected = [(record["text"], label["label"], label["posterior"])
                for record in records(names, "--n-best", 3) for label in record["labels"]]
    assert [tuple(row[:2]) for row in rows] == [row[:2] for row in expected] and len(rows) == 3 * len(names)
    assert [float(row[2]) for row in rows] == pytest.approx([row[2] for row in expected], abs=1e-4)


def test_a_model_that_knows_nothing_answers_the_frequencies_of_the_training(records, uniform, labels_model, priors,
                                                                           labelled_names):
    of_all = [row.split("\t")[0] for row in labelled_names.read_text(encoding="utf-8").splitlines()]
    assert priors == {label: of_all.count(label) / len(of_all) for label in LABELS}
    record, = records(["O'Banan"], "--n-best", 3, model=uniform(labels_model))
    assert [label["label"] for label in record["labels"]] == ["Irish", "Español", "Icelandic"]
    assert {label["label"]: label["posterior"] for label in record["labels"]} == pytest.approx(priors, abs=1e-6)


def test_a_uniform_prior_takes_all_labels_for_equally_frequent_and_the_first_of_equals(classify, uniform, labels_model):
    assert classify(["O'Banan"], "--uniform-prior", model=uniform(labels_model)) == "Español\t0.3333\n"


def test_posteriors_are_those_that_bayes_makes_of_the_scores(records, through, labels_model, priors):
    for name in ("O'Banan", "x", ""):
        data = "".join(f"{label}\t{name}\n" for label in LABELS).encode()
        scores = [json.loads(row)["bits"] for row in through(data, "score", "-m", labels_model, "--jsonl").splitlines()]
        for flags, prior in (([], priors), (["--uniform-prior"], dict.fromkeys(LABELS, 1))):
            joint = {label: prior[label] * 2 ** -bits for label, bits in zip(LABELS, scores)}
            expected = {label: chance / math.fsum(joint.values()) for label, chance in joint.items()}
            record, = records([name], "--n-best", 3, *flags)
            assert {label["label"]: label["posterior"] for label in record["labels"]} == pytest.approx(expected, abs=1e-4)


@given(lines=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\ufeff")), max_size=8))
@settings(deadline=None, max_examples=25)
def test_every_line_is_answered_in_order_by_one_of_the_labels(through, labels_model, lines):
    data = "".join(f"{line}\r\n" for line in lines).encode()
    found = [json.loads(row) for row in through(data, "classify", "-m", labels_model, "--jsonl").splitlines()]
    assert [record["text"] for record in found] == lines
    assert all(record["label"] in LABELS and 0 < record["posterior"] <= 1 for record in found)


def test_an_answer_is_the_same_alone_and_among_2000_others(records):
    names = [f"{'O' * (n % 50)}{n}" for n in range(2000)]
    together = records(names)
    for number in (0, 49, 1300, 1999):
        alone, = records([names[number]])
        assert alone["label"] == together[number]["label"]
        assert alone["posterior"] == pytest.approx(together[number]["posterior"], abs=1e-5)


def test_a_line_that_is_not_utf8_has_its_record(piped, labels_model):
    rows = piped(b"Ba\n\xff\n", "classify", "-m", labels_model, "--jsonl").stdout.splitlines()
    assert json.loads(rows[1]) == {"line": 2, "error": "not UTF-8"} and len(rows) == 2


@pytest.mark.parametrize("flags, rows", [([], 1), (["--n-best", 2], 2)])
def test_a_line_that_is_not_utf8_is_answered_by_an_empty_line(piped, labels_model, flags, rows):
    done = piped(b"Ba\n\xff\nBa\n", "classify", "-m", labels_model, *flags)
    answers = done.stdout.decode().split("\n")
    assert (done.returncode, len(answers)) == (4, 2 * rows + 2) and answers[rows] == ""
    assert done.stderr.startswith(b"charlm: line 2: not UTF-8")


def test_a_line_of_10000_characters_has_a_label(records):
    record, = records(["O'Banan" * 1429], "--n-best", 3)
    assert sum(label["posterior"] for label in record["labels"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("which, kind", [
    ("model", "stream model"), ("lines_model", "model of lines without labels"), ("pairs_model", "pairs model")])
def test_a_model_without_labels_is_refused_with_what_to_do(request, piped, refusal, which, kind):
    done = piped(b"a\n", "classify", "-m", request.getfixturevalue(which))
    assert done.returncode == 3
    assert kind in refusal(done) and "charlm train FILE --labels" in refusal(done)


@pytest.mark.parametrize("flags", [["--n-best", "0"], ["--n-best", "x"], ["--errors", "skip"], ["--device", "tpu"]])
def test_flags_that_cannot_work_are_wrong_usage(piped, refusal, labels_model, flags):
    done = piped(b"a\n", "classify", "-m", labels_model, *flags)
    assert done.returncode == 2
    assert flags[0] in refusal(done)
