"""Lines of source, tab, target: recognised, read, or refused with file, line number and reason.

Not here: what the pairs become (test_pair_corpus.py), lines without tabs (test_line_splitting.py).
"""

import functools
import gzip
import io
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError
from charlm.text import reading
from charlm.text.reading import Text, byte_chunks
from charlm.text.tsv import LABEL_TEXT, looks_like_pairs, problem, read_pairs

FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), min_size=1)


def put(folder, data, name="pairs.txt"):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def small_chunks(patch, size):
    patch.setattr(reading, "byte_chunks", functools.partial(byte_chunks, size=size))


def pairs_of(folder, data, name="pairs.txt"):
    return list(read_pairs(Text(put(folder, data, name))))


def message_of(folder, data, name="pairs.txt"):
    with pytest.raises(CorpusError) as caught:
        pairs_of(folder, data, name)
    return str(caught.value)


def recognised(folder, *files):
    return looks_like_pairs([Text(put(folder, data, name)) for name, data in files])


@pytest.mark.parametrize("line, reason", [
    ("a\tb", ""), ("a b\tc d", ""), (" \t ", ""), ("\u2028\t\x85", ""), ("", "no tab"), ("ab", "no tab"),
    ("a\tb\tc", "2 tabs"), ("a\t\tb", "2 tabs"), ("\t\t\t", "3 tabs"), ("\tb", "an empty source"),
    ("a\t", "an empty target"), ("\t", "an empty source")], ids=ascii)
def test_problem_describes_a_line_that_is_not_a_pair(line, reason):
    assert problem(line) == reason


@pytest.mark.parametrize("line, reason", [("Irish\tO'Malley", ""), ("ab", "no tab"), ("a\tb\tc\td", "3 tabs"),
                                         ("\tb", "an empty label"), ("a\t", "an empty text"),
                                         ("\t", "an empty label")], ids=ascii)
def test_problem_names_the_fields(tmp_path, line, reason):
    assert problem(line, LABEL_TEXT) == reason
    path, pairs = put(tmp_path, f"x\ty\n{line}\n", "names.tsv"), [("x", "y"), tuple(line.split("\t"))]
    if not reason:
        assert list(read_pairs(Text(path), LABEL_TEXT)) == pairs
        return
    with pytest.raises(CorpusError) as caught:
        list(read_pairs(Text(path), LABEL_TEXT))
    assert str(caught.value).endswith(f"names.tsv: line 2 has {reason}; a line is label<TAB>text")


@pytest.mark.parametrize("name, argument", [("names.tsv", "names.tsv"), ("my names.tsv", "'my names.tsv'")])
def test_a_line_of_three_columns_is_refused_with_a_command(tmp_path, monkeypatch, name, argument):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "a\tb\nc\td\te\n", name)
    with pytest.raises(CorpusError) as caught:
        list(read_pairs(Text(name), otherwise="; try another"))
    assert str(caught.value) == (f"{name}: line 2 has 2 tabs; a line is source<TAB>target; try another; "
                                 f"to keep the first two columns: cut -f1,2 {argument}")


@pytest.mark.parametrize("line", ["ab", "a\tb\tc\td", "a\t", "\tb"], ids=ascii)
def test_cut_is_suggested_only_for_three_columns(tmp_path, line):
    assert message_of(tmp_path, line).endswith("source<TAB>target")


def test_a_refusal_ends_with_the_given_advice(tmp_path):
    with pytest.raises(CorpusError, match="a line is source<TAB>target; try another$"):
        list(read_pairs(Text(put(tmp_path, "ab\n")), otherwise="; try another"))


# Reading


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(FIELD, FIELD)), end=st.sampled_from(["\n", "\r\n", "\n\n", "\r\n\r\n"]),
       size=st.integers(1, 9), last=st.booleans())
def test_written_pairs_are_read(tmp_path_factory, pairs, end, size, last):
    text = end.join("\t".join(pair) for pair in pairs) + end * last
    pairs = [(pairs[0][0].removeprefix("\ufeff"), pairs[0][1]), *pairs[1:]] if pairs else []
    if pairs and not pairs[0][0]:
        return                                              # a source of only a byte order mark
    with pytest.MonkeyPatch.context() as patch:
        small_chunks(patch, size)
        assert pairs_of(tmp_path_factory.getbasetemp(), text, "written.txt") == pairs


def test_blank_lines_are_skipped(tmp_path):
    assert pairs_of(tmp_path, "\n\na\tb\n\r\n\nc\td\n\n") == [("a", "b"), ("c", "d")]
    assert pairs_of(tmp_path, "\n\r\n\n") == pairs_of(tmp_path, "") == []


def test_spaces_and_other_line_ends_are_part_of_a_field(tmp_path):
    assert pairs_of(tmp_path, " a \u2028\t\x85b \v\n") == [(" a \u2028", "\x85b \v")]


@pytest.mark.parametrize("line, reason", [("ab", "no tab"), ("a\tb\tc", "2 tabs"), ("\tb", "an empty source"),
                                         ("a\t", "an empty target"), (" ", "no tab")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_line_is_reported_with_file_number_and_problem(tmp_path, line, reason, end):
    message = message_of(tmp_path, end.join(["a\tb", "", "c\td", line, "e\tf"]), "my pairs.tsv")
    assert f"my pairs.tsv: line 4 has {reason}; a line is source<TAB>target" in message


def test_the_first_of_several_problems_is_reported(tmp_path):
    assert "line 2 has no tab" in message_of(tmp_path, "a\tb\nno\na\tb\tc\n")


def test_pairs_before_a_bad_line_are_returned(tmp_path):
    pairs = read_pairs(Text(put(tmp_path, "a\tb\nc\td\nno\n")))
    assert [next(pairs), next(pairs)] == [("a", "b"), ("c", "d")]


def test_standard_input_is_reported_by_that_name(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\tb\nc\n")))
    with pytest.raises(CorpusError, match="^standard input: line 2 "):
        list(read_pairs(Text("-")))


# Recognising


@pytest.mark.parametrize("name", ["a.tsv", "A.TSV", "a.b.tsv", "a.Tsv"])
def test_the_ending_tsv_is_enough(tmp_path, name):
    assert recognised(tmp_path, (name, "not a pair\n"))


@pytest.mark.parametrize("name", ["a.tsv.gz", "A.TSV.GZ"])
def test_the_ending_before_that_of_compression_counts(tmp_path, name):
    assert recognised(tmp_path, (name, gzip.compress(b"not a pair\n")))
    assert not recognised(tmp_path, ("a.txt.gz", gzip.compress(b"not a pair\n")))
    assert not recognised(tmp_path, ("tsv", "not a pair\n"))
    assert not recognised(tmp_path, ("a.tsv.txt", "not a pair\n"))


def test_a_file_named_tsv_is_recognised_without_opening_it(tmp_path):
    assert looks_like_pairs([Text(str(tmp_path / "missing.tsv"))])


@pytest.mark.parametrize("text", ["a\tb", "a\tb\n", "a\tb\r\nc\td\r\n", "\n\r\na\tb\n\n", "\ufeffa\tb\n"], ids=ascii)
def test_texts_of_only_pairs_are_recognised(tmp_path, text):
    assert recognised(tmp_path, ("a.txt", text))


@pytest.mark.parametrize("text", ["", "\n", "\r\n\n", "a", "a b\n", "a\tb\nno\nc\td\n", "a\tb\tc\n", "\tb\n", "a\t\n",
                                  "\tcode()\n" * 3], ids=ascii)
def test_other_texts_are_not_recognised(tmp_path, text):
    assert not recognised(tmp_path, ("a.txt", text))


@pytest.mark.parametrize("first, second, pairs", [("a\tb\n", "c\td\n", True), ("a\tb\n", "no\n", False),
                                                  ("no\n", "a\tb\n", False)])
def test_every_file_must_hold_pairs(tmp_path, first, second, pairs):
    assert recognised(tmp_path, ("a.txt", first), ("b.txt", second)) == pairs
    assert recognised(tmp_path, ("a.tsv", first), ("b.txt", second)) == (second != "no\n")


@pytest.mark.parametrize("size", range(4, 13))
def test_an_incomplete_line_at_the_end_of_the_head_is_ignored(tmp_path, monkeypatch, size):
    small_chunks(monkeypatch, size)
    assert recognised(tmp_path, ("a.txt", "a\tb\nlong source\tc\n"))
    assert not recognised(tmp_path, ("a.txt", "a b\nlong source\tc\n"))


def test_a_recognised_text_is_read_from_its_beginning(tmp_path, monkeypatch):
    small_chunks(monkeypatch, 6)
    text = Text(put(tmp_path, "a\tb\nc\td\n"))
    assert looks_like_pairs([text])
    assert list(read_pairs(text)) == [("a", "b"), ("c", "d")]
