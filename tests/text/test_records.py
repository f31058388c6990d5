"""Texts as fields of CSV and JSON lines: right, or refused with the number of the record."""

import csv
import io
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, UsageError
from charlm.text import csv_records
from charlm.text.record_format import RecordFormat, single_line
from charlm.text.records import parser_for, read_records, read_texts

FIELD = st.text(st.one_of(st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
                          st.sampled_from('",;\t\r\n "')), max_size=12)


def chunked(data, size=1 << 16):
    return [data[at:at + size] for at in range(0, len(data), size)]


def records_of(data, size=1 << 16, errors="strict", **format):
    return [record for records in read_records(chunked(data, size), parser_for(RecordFormat(**format), "f", errors))
            for record in records]


def written(rows, **dialect):
    stream = io.StringIO(newline="")
    csv.writer(stream, **dialect).writerows(rows)
    return stream.getvalue().encode()


@given(rows=st.lists(st.tuples(FIELD, FIELD, FIELD), max_size=8), delimiter=st.sampled_from(csv_records.DELIMITERS),
       size=st.sampled_from([1, 7, 1 << 16]),       # the module leaves \r unquoted where lines end with \n alone
       style=st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]))
@settings(deadline=None, max_examples=60)
def test_csv_is_read_as_the_csv_module_wrote_it(rows, delimiter, size, style):
    end, quoting = style
    header = written([["n", "text", "key"]], delimiter=delimiter, lineterminator=end)
    data = written(rows, delimiter=delimiter, lineterminator=end, quoting=quoting)
    found = records_of(header + data, size, csv_column="text", id="key")
    assert [(record.number, record.text, record.id, record.error) for record in found] == [
        (number, text, key, "") for number, (_, text, key) in enumerate(rows, 1)]
    assert b"".join(record.data for record in found) == data


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8), size=st.sampled_from([1, 7, 99]))
@settings(deadline=None, max_examples=40)
def test_json_lines_are_read_as_the_json_module_wrote_them(texts, size):
    data = "".join(json.dumps({"a": {"b": text}, "id": number}) + "\n" for number, text in enumerate(texts)).encode()
    found = records_of(data, size, json_field="a.b", id="id")
    assert [(record.number, record.text, record.id) for record in found] == [
        (number + 1, text, number) for number, text in enumerate(texts)]
    assert b"".join(record.data for record in found) == data


@pytest.mark.parametrize("record, error", [
    (b'1,"a"b,x', "not CSV: ',' expected after '\"'"), (b"1,a", "2 fields, where the header has 3"),
    (b"1,a,b,c", "4 fields, where the header has 3"), (b"1,\xff,b", "not UTF-8"),
    (b"1,a\rb,c", "a carriage return outside quotes")])
def test_a_csv_record_without_a_text_is_refused_and_the_next_is_read(record, error):
    found = records_of(b'n,text,x\n1,"two\nlines",\xff\n' + record + b"\n\n3,c,d", csv_column="text")
    assert [(each.number, each.text, each.error) for each in found] == [
        (1, "two\nlines", ""), (2, "", error), (3, "c", "")]


@pytest.mark.parametrize("line, error", [
    (b"{", "not JSON: Expecting property name"), (b"[1]", "not a JSON object"), (b"{}", "no field 'm'"),
    (b'{"m": null}', "field 'm' is null, not a string"), (b'{"m": 1.5}', "field 'm' is a number, not a string"),
    (b'{"m": {"m": "a"}}', "field 'm' is an object, not a string"), (b'{"m": "\xff"}', "not UTF-8"),
    (b'{"m": "\\ud800"}', "field 'm' has half a surrogate pair"), (b"[" * 100_000, "nested too deeply"),
    (b"1" * 5000, "a number with too many digits"), (b"a,b", "not JSON: Expecting value at column 1")], ids=range(11))
def test_a_json_line_without_a_text_is_refused_and_the_next_is_read(line, error):
    found = records_of(b'\xef\xbb\xbf{"m": "a"}\n' + line + b'\n\n{"m": "b"}', json_field="m")
    assert [(each.number, each.text) for each in found] == [(1, "a"), (2, ""), (4, "b")]
    assert found[1].error.startswith(error) and not found[0].error and not found[2].error


def test_a_misspelled_field_is_answered_by_the_name_that_resembles_it():
    record, = records_of(b'{"message": "a", "n": 1}\n', json_field="mesage")
    assert record.error == "no field 'mesage'; did you mean 'message'?"


def test_bytes_that_are_not_utf8_are_treated_as_errors_says():
    for errors, expected in (("replace", "a\ufffd"), ("ignore", "a")):
        assert records_of(b"t\na\xff\n", errors=errors, csv_column="t")[0].text == expected
        assert records_of(b'{"t": "a\xff"}\n', errors=errors, json_field="t")[0].text == expected


def test_fields_of_a_megabyte_are_read_in_linear_time():
    text = 'a "quoted" word, and\n' * 50_000
    as_json = "".join(json.dumps({"t": each}) + "\n" for each in (text, "b")).encode()
    for data, format in ((written([["t"], [text], ["b"]]), {"csv_column": "t"}), (as_json, {"json_field": "t"})):
        began = time.process_time()
        assert [record.text for record in records_of(data, 1 << 11, **format)] == [text, "b"]
        assert time.process_time() - began < 2


def test_a_quote_left_open_costs_one_record(monkeypatch):
    assert [record.error for record in records_of(b't\na\n"b\nc\n', csv_column="t")] == ["", "a quote is not closed"]
    monkeypatch.setattr(csv_records, "MAX_RECORD", 100)
    found = records_of(b't\n"b\n' + b"filler\n" * 99 + b"last\n", 10, csv_column="t")
    assert found[0].error == "a quote is not closed" and found[1].text == "filler" and found[-1].text == "last"


@pytest.mark.parametrize("data, column, expected", [
    (b"\xef\xbb\xbfa,b\n1,2\n", "a", "1"), (b'\xef\xbb\xbf"a,b","c"\n1,2\n', "a,b", "1"),
    (b" a , b\n1,2\n", "b", "2"), (b"a;b;c,d\n1;2;3\n", "a", "1"),
    (b"a\tb\n1\t2,2\n", "2", "2,2"), (b"2,1\nx,y\n", "1", "y"), (b'\n"a,b";c\n1;2\n', "c", "2")])
def test_a_column_is_found_by_its_name_or_else_its_number(data, column, expected):
    assert [record.text for record in records_of(data, csv_column=column)] == [expected]


@pytest.mark.parametrize("data, message", [
    (b"id,text\n", "f: no column 'txt'; did you mean 'text'"), (b"a,b\n", "f: no column 'txt'; the header has a, b"),
    (b"id|txt\n", "f: no column 'txt'; the header has id[|]txt; comma, semicolon and tab delimit columns"),
    (b'{"txt": 1}\n', "f: no column 'txt'; --json-field reads JSON lines"),
    (b"txt,txt\n", "f: 2 columns are named 'txt'; give the number"), (b'"txt\n', "f: the header cannot be read")])
def test_a_file_without_the_column_is_refused(data, message):
    with pytest.raises(CorpusError, match=message):
        records_of(data, csv_column="txt")


def test_records_come_as_soon_as_they_are_whole():
    parser = parser_for(RecordFormat(csv_column="t"), "f")
    fed = [b"t,n\n", b'"a\n', b'b",1\n', b"c,2\n"]
    assert [[record.text for record in parser.feed([line])] for line in fed] == [[], [], ["a\nb"], ["c"]]


def test_texts_end_with_a_line_break_and_may_have_none_within():
    data = b't\n"a\r\nb"\nc\n'
    for by_line, expected in ((False, "a\r\nb\nc\n"), (True, "a b\nc\n")):
        format = RecordFormat(csv_column="t")
        assert "".join(read_texts([data], format, "f", "strict", by_line=by_line)) == expected
    with pytest.raises(CorpusError, match="f: line 2: no field 'm'"):
        list(read_texts([b'{"m": "a"}\n{}\n'], RecordFormat(json_field="m"), "f", "strict", by_line=False))
    assert single_line("a\rb\nc\r\n\nd") == "a b c  d"


@pytest.mark.parametrize("format", [{"csv_column": "a", "json_field": "b"}, {"id": "a"}])
def test_options_of_records_that_contradict_each_other_are_refused(format):
    with pytest.raises(UsageError):
        RecordFormat(**format)
