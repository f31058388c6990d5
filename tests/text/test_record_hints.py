"""The hint for a corpus of records: only where it clearly is one, with the field that has most text."""

import pytest

from charlm.text.reading import Text
from charlm.text.record_hints import record_hint


@pytest.mark.parametrize("name, data, expected", [
    ("a.log", '{"id": "7", "m": "a text"}\n\n{"id": "8", "m": "more"}\n', "--json-field m "),
    ("a.jsonl.txt", '{"m": {"t": "a"}, "n": 1}\n{"m": {"t": "b"}}\n{"m"', "--json-field m.t "),
    ("a.jsonl", '{"the text": "a"}\n{"the text": "b"}\n', "--json-field 'the text' "),
    ("a.csv", 'id;review\n1;"a\nb"\n', "--csv-column review "), ("a.csv", "text\na, b\n", ""), ("a.csv", "a,b\n", ""),
    ("a.txt", "id,review\n1,a\n", ""), ("a.json", '{\n"m": "a"\n}\n', ""), ("a.txt", '{"m": "a"}\n', ""),
    ("a.txt", "{}\n{}\n", ""), ("a.txt", "[1]\n[2]\n", ""), ("a.txt", "", ""), ("a.csv", "", "")])
def test_records_are_recognised_and_other_text_is_not(tmp_path, name, data, expected):
    (tmp_path / name).write_text(data)
    hint = record_hint(Text(str(tmp_path / name)))
    assert bool(hint) == bool(expected) and expected in hint


def test_a_hint_leaves_the_text_to_be_read(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    text = Text(str(tmp_path / "a.csv"))
    assert record_hint(text) and "".join(text) == "a,b\n1,2\n"
