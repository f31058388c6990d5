"""Tables of `charlm info`: plain words for people, real types in JSON."""

import dataclasses

import pytest

from charlm.cli.output import write_table
from charlm.modelfile import load, save
from tests.helpers.runners import run_in_process

CHANGES = [{"learning_rate": [0.01, 0.003], "steps": [90, 200]}, {"dropout": [0.2, 0.0]}]


@pytest.fixture
def resumed_model(labels_model, tmp_path):
    """A model of labelled lines whose training metadata has nested values, as after a resumed run."""
    model = load(str(labels_model))
    training = {**model.training, "changes": CHANGES, "minutes": None, "averaged": True, "betas": [0.9, 0.95]}
    save(str(tmp_path / "m.charlm"), dataclasses.replace(model, training=training))
    return tmp_path / "m.charlm"


def test_info_shows_nested_values_in_plain_words(resumed_model):
    text = run_in_process("info", resumed_model).check().text
    rows = dict(line.split("\t") for line in text.splitlines())
    assert rows["changes"] == "learning_rate=0.01,0.003 steps=90,200; dropout=0.2,0"
    assert (rows["minutes"], rows["averaged"], rows["betas"]) == ("none", "yes", "0.9,0.95")
    assert rows["labels"] == "3: Español, Icelandic, Irish"
    assert not any(syntax in text for syntax in ("[", "{", "None", "True", "False"))


def test_info_as_json_keeps_the_types(resumed_model):
    record, = run_in_process("info", resumed_model, "--jsonl").check().records
    assert record["changes"] == CHANGES and record["betas"] == [0.9, 0.95]
    assert record["minutes"] is None and record["averaged"] is True


@pytest.mark.parametrize("value, shown", [
    (None, "none"), (True, "yes"), (False, "no"), (0.1 + 0.2, "0.3"), (1234567, "1234567"), ("a b", "a b"), ([], ""),
    ((1, "x"), "1,x"), ({}, ""), ({"a": None, "b": [1, 2]}, "a=none b=1,2"), ([[1, 2], [3]], "1,2; 3")])
def test_a_table_has_no_python_syntax(capsysbinary, value, shown):
    write_table({"name": value}, jsonl=False)
    assert capsysbinary.readouterr().out.decode() == f"name\t{shown}\n"
