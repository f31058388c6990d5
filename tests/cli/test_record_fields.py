"""Filters over CSV and JSON lines: the field is answered, the id passes through, bad records are reported.

Not here: how records are parsed (tests/text/test_records.py).
"""

import json
import subprocess

import pytest

from tests.helpers.runners import error_line, run_in_process, start_process

CSV = 'key,text,n\r\n7,"O\'Ban\nLut",1\r\n8,short\r\n9,Mñez,3\r\n'
DOCUMENTS = [{"m": {"t": "O'Ban\nLut"}, "key": 7}, {"m": {"t": 5}, "key": 8}, {"m": {"t": "Mñez"}, "key": None}]
JSON = "".join(json.dumps(document) + "\n" for document in DOCUMENTS)
OF_CSV = ["--csv-column", "text", "--id", "key"]
OF_JSON = ["--json-field", "m.t", "--id", "key"]


@pytest.fixture
def models(lines_model, labels_model, pairs_model, fill_model):
    """The model of each filter that writes records."""
    return {"score": lines_model, "classify": labels_model, "translate": pairs_model, "fill": fill_model}


@pytest.mark.parametrize("verb", ["score", "classify", "translate", "fill"])
def test_records_have_the_id_and_bad_ones_an_error(models, verb):
    done = run_in_process(verb, "-m", models[verb], *OF_CSV, "--jsonl", stdin=CSV.encode())
    assert done.code == 4 and "charlm: record 2: 2 fields, where the header has 3" in done.stderr.splitlines()
    assert [(record["record"], record["id"]) for record in done.records] == [(1, "7"), (2, None), (3, "9")]
    assert done.records[1]["error"] == "2 fields, where the header has 3"
    assert "records without a text: 1, each answered by an error record" in done.stderr
    done = run_in_process(verb, "-m", models[verb], *OF_JSON, "--jsonl", stdin=JSON.encode())
    assert [(record["line"], record["id"]) for record in done.records] == [(1, 7), (2, 8), (3, None)]
    assert done.records[1]["error"] == "field 'm.t' is a number, not a string"


@pytest.mark.parametrize("verb, flags", [("score", []), ("classify", []), ("translate", []), ("fill", ["--seed", "1"])])
def test_a_line_break_in_a_field_is_read_as_a_space_by_models_of_lines(models, verb, flags):
    def answers(text, *more):
        done = run_in_process(verb, "-m", models[verb], "--jsonl", *flags, *more, stdin=text.encode()).check()
        return [{name: value for name, value in record.items() if name not in ("text", "source", "line")}
                for record in done.records]
    assert answers(json.dumps({"t": "O'Ban\r\nLut"}), "--json-field", "t") == answers("O'Ban Lut")


def test_plain_rows_stay_rows_whatever_the_field_holds(models):
    done = run_in_process("score", "-m", models["score"], *OF_CSV, stdin=b'key,text\n"a\tb","x\t\\\ny"\n').check()
    assert done.text.rstrip("\n").split("\t")[3:] == ["a\\tb", "x\\t\\\\\\ny"]


def test_filter_passes_whole_records_after_one_header(lines_model, tmp_path):
    (tmp_path / "a.csv").write_bytes(CSV.encode())
    (tmp_path / "b.csv").write_bytes(CSV.encode()[:-2])
    (tmp_path / "c.csv").write_bytes(b"text\nOther\n")
    words = ["filter", "-m", lines_model, "--max-bpc", "1000", "--csv-column", "text"]
    done = run_in_process(*words, "a.csv", "b.csv", "c.csv")
    header, first, _, last = CSV.split("\r\n")[:4]
    assert done.code == 4 and "c.csv: its header differs from the first file" in done.stderr
    assert done.text == f"{header}\r\n{first}\r\n{last}\r\n{first}\r\n{last}\n"
    none = run_in_process(*words, "--min-bpc", "999", "a.csv")
    assert none.text == f"{header}\r\n"
    scored = run_in_process(*words, "--with-score", "--id", "key", "a.csv").text.split("\r\n")
    assert scored[0] == f"score\tid\t{header}" and scored[2].split("\t")[1:] == ["9", last]
    done = run_in_process(*words[:-2], "--json-field", "m.t", stdin=JSON.encode())
    assert done.stdout == b"".join(line for line in JSON.encode().splitlines(True) if b"5" not in line)


def test_records_are_answered_before_the_next_one_is_written(lines_model):
    words = ["score", "-m", lines_model, "--csv-column", "text"]
    with start_process(*words, stdin=subprocess.PIPE, bufsize=0) as process:
        process.stdin.write(b'text,n\n"a\n')
        for rest, shown in ((b'b",1\n', b"a\\nb"), (b"c,2\n", b"c")):
            process.stdin.write(rest)
            assert process.stdout.readline().split(b"\t")[-1] == shown + b"\n"
        process.stdin.close()
        assert process.wait(30) == 0


def test_tokenize_reads_fields(lines_model):
    done = run_in_process("tokenize", "-m", lines_model, "--json-field", "t", stdin=b'{"t": "Lut\\nLut"}\n').check()
    assert done.text == run_in_process("tokenize", "-m", lines_model, stdin=b"Lut Lut\n").text


def test_filter_counts_records_and_writes_an_id_only_with_a_score(lines_model):
    words = ["filter", "-m", lines_model, "--csv-column", "text", "--max-bpc", "1000"]
    done = run_in_process(*words, stdin=b'text,n\n"a\nb",1\n').check()
    assert done.stderr == "charlm: 1 of 1 records passed\n"
    assert "--id needs --with-score" in error_line(run_in_process(*words, "--id", "n", stdin=b"text,n\n"), 2)


@pytest.mark.parametrize("flags, message, code", [
    (["--csv-column", "a", "--json-field", "b"], "name two formats", 2), (["--id", "a"], "--id needs --csv-column", 2),
    (["--csv-column", "txt"], "standard input: no column 'txt'; did you mean 'text'?", 4)])
def test_options_that_do_not_fit_are_refused_in_one_line(lines_model, flags, message, code):
    assert message in error_line(run_in_process("score", "-m", lines_model, *flags, stdin=CSV.encode()), code)
