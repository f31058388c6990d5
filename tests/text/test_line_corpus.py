"""From lines to a training part and a held-out part: the side of each line, and what is refused.

Not here: how a line becomes ids and what its label is (test_line_examples.py), pairs and labels (test_tsv.py).
"""

import functools
import io
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, UsageError
from charlm.text import line_corpus, reading
from charlm.text.line_corpus import build_line_corpus
from charlm.text.reading import Text, byte_chunks
from charlm.text.tokenizers.base import decode

NUMBERS = [f"line {number}" for number in range(100)]


def put(folder, data, name="lines.txt"):
    (folder / name).write_bytes(data if isinstance(data, bytes) else "".join(f"{line}\n" for line in data).encode())
    return str(folder / name)


def build(*paths, labelled=False, validation=None, keep_blank=True, **options):
    held_out = Text(validation) if isinstance(validation, str) else validation
    return build_line_corpus([Text(path) for path in paths], labelled=labelled, validation=held_out,
                             keep_blank=keep_blank, **options)


def lines_of(corpus, examples):
    return [decode(corpus.tokenizer, examples[number][1:-1].tolist()) for number in range(len(examples))]


def sides(corpus):
    """Return the lines to learn from and those held out as text."""
    return lines_of(corpus, corpus.train), lines_of(corpus, corpus.validation)


def vocabulary(corpus):
    return {name: values.tobytes() for name, values in corpus.tokenizer.tensors().items()}


def message_of(*paths, **options):
    with pytest.raises(CorpusError) as caught:
        build(*paths, **options)
    return str(caught.value)


# The sides


def test_both_sides_keep_all_lines_in_their_order(tmp_path):
    learned, held_out = sides(build(put(tmp_path, NUMBERS)))
    assert held_out == [line for line in NUMBERS if line in held_out]
    assert learned == [line for line in NUMBERS if line not in held_out]
    assert (len(learned), len(held_out)) == (95, 5)


@settings(deadline=None, max_examples=50)
@given(lines=st.lists(st.text("ab ", max_size=2), min_size=2).filter(lambda lines: len(set(lines)) > 1),
       fraction=st.floats(0.01, 0.99))
def test_equal_lines_are_on_the_same_side(tmp_path_factory, lines, fraction):
    learned, held_out = sides(build(put(tmp_path_factory.getbasetemp(), lines), validation=fraction))
    assert learned and held_out and not set(learned) & set(held_out)
    assert sorted(learned + held_out) == sorted(lines)


def test_split_does_not_depend_on_order_or_repetition(tmp_path):
    lines = [*NUMBERS, *NUMBERS[::3]]
    first = set(sides(build(put(tmp_path, NUMBERS)))[1])
    for seed in range(3):
        random.Random(seed).shuffle(lines)
        assert set(sides(build(put(tmp_path, lines)))[1]) == first


def test_split_does_not_depend_on_labels(tmp_path):
    first = sides(build(put(tmp_path, NUMBERS)))[1]
    lines = [f"{label}\t{line}" for line in NUMBERS for label in ("one", "other")]
    assert sides(build(put(tmp_path, lines), labelled=True))[1] == [line for line in first for _ in range(2)]


def test_held_out_lines_are_spread_over_a_sorted_list(tmp_path):
    positions = [int(line) for line in sides(build(put(tmp_path, [f"{n:04}" for n in range(2000)])))[1]]
    assert all(any(start <= position < start + 200 for position in positions) for start in range(0, 2000, 200))


@pytest.mark.parametrize("fraction, held_out", [(None, 5), (0.5, 50), (0.25, 25), (0.001, 1), (0.999, 99), (0.984, 98),
                                                (0.988, 99)])
def test_fraction_is_that_of_the_different_lines(tmp_path, fraction, held_out):
    learned, validation = sides(build(put(tmp_path, [*NUMBERS, *NUMBERS]), validation=fraction))
    assert len(set(validation)) == held_out
    assert (len(validation), len(learned)) == (2 * held_out, 200 - 2 * held_out)


def test_held_out_part_is_limited_unless_a_fraction_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(line_corpus, "MAX_HELD_OUT", 4)
    path = put(tmp_path, NUMBERS)
    assert len(build(path).validation) == 4
    assert len(build(path, validation=0.2).validation) == 20                  # a given fraction is not limited


def test_two_different_lines_are_enough(tmp_path):
    learned, held_out = sides(build(put(tmp_path, ["a", ""])))
    assert sorted(learned + held_out) == ["", "a"] and len(learned) == 1


def test_a_separate_file_can_be_held_out(tmp_path):
    held_out = ["line 1", "unheard of", "", "line 1"]
    corpus = build(put(tmp_path, NUMBERS), validation=put(tmp_path, held_out, "held.txt"), tokenizer="byte")
    assert sides(corpus) == (NUMBERS, held_out)


def test_equal_lines_are_enough_with_a_separate_file(tmp_path):
    corpus = build(put(tmp_path, ["a", "a"]), validation=put(tmp_path, ["a"], "held.txt"))
    assert sides(corpus) == (["a", "a"], ["a"])


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_vocabulary_does_not_depend_on_a_held_out_file(tmp_path, tokenizer):
    path = put(tmp_path, NUMBERS * 5)
    corpus = build(path, tokenizer=tokenizer, validation=put(tmp_path, ["\u4e00\u4e8c"] * 500, "held.txt"))
    assert vocabulary(corpus) == vocabulary(build(path, tokenizer=tokenizer))


# Reading


@pytest.mark.parametrize("data, lines", [
    (b"a\nb\n", ["a", "b"]), (b"a\nb", ["a", "b"]), (b"a\r\nb\r\n", ["a", "b"]), (b"a\r\nb\r", ["a", "b"]),
    (b"\na\n\n", ["", "a", ""]), (b"\r\na\n", ["", "a"]), (b"a\r\r\nb\n", ["a\r", "b"]), (b"a\rb\nc", ["a\rb", "c"]),
    (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
    (b"a\tb\n\t\n", ["a\tb", "\t"]), ("a\u2028b\n\x85\n".encode(), ["a\u2028b", "\x85"])], ids=ascii)
def test_lines_end_only_at_newlines(tmp_path, data, lines):
    held_out = put(tmp_path, data, "held.txt")
    assert sides(build(put(tmp_path, ["x", "y"]), validation=held_out, tokenizer="byte"))[1] == lines
    assert sides(build(held_out, validation=put(tmp_path, ["x"])))[0] == lines


def test_files_are_joined_with_a_line_end_between_them(tmp_path):
    first, second = put(tmp_path, b"a\nb", "1.txt"), put(tmp_path, b"\xef\xbb\xbfc\nd", "2.txt")
    assert sides(build(first, second, validation=put(tmp_path, ["a"], "held.txt")))[0] == ["a", "b", "c", "d"]


def test_lines_do_not_depend_on_chunk_borders(tmp_path, monkeypatch):
    path, held_out = put(tmp_path, "é\tx\r\n\n€\ty\n\U0001f680\tz".encode()), put(tmp_path, ["é\tx"], "held.txt")
    whole = sides(build(path, validation=held_out, labelled=True))
    assert whole[0] == ["x", "y", "z"]
    for size in (1, 2, 3):
        monkeypatch.setattr(reading, "byte_chunks", functools.partial(byte_chunks, size=size))
        assert sides(build(path, validation=held_out, labelled=True)) == whole


def test_standard_input_is_read_like_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\nc\n")))
    learned, held_out = sides(build("-"))
    assert sorted(learned + held_out) == ["a", "b", "c"]


@pytest.mark.parametrize("labelled", [False, True])
def test_text_without_a_line_is_refused_by_name(tmp_path, labelled):
    assert "empty.txt: empty" in message_of(put(tmp_path, b"", "empty.txt"), labelled=labelled)
    filled = put(tmp_path, ["x\ty", "x\tz"])
    assert "none.txt: empty" in message_of(filled, validation=put(tmp_path, b"", "none.txt"), labelled=labelled)


@pytest.mark.parametrize("data, labelled", [(b"a\na\r\na", False), (b"\n\n\n", False), (b"x\ta\ny\ta\n", True)],
                         ids=str)
def test_lines_that_are_all_the_same_are_refused(tmp_path, data, labelled):
    assert "lines.txt: all lines are the same; at least 2" in message_of(put(tmp_path, data), labelled=labelled)


@pytest.mark.parametrize("data, labelled", [(b"a\n", False), (b"a", False), (b"\n", False), (b"x\ta\n", True)], ids=str)
def test_a_single_line_is_refused(tmp_path, data, labelled):
    assert message_of(put(tmp_path, data), labelled=labelled).endswith(
        "lines.txt: one line only; at least 2 different lines are needed, one of them held out")


def test_text_that_is_not_utf8_is_refused(tmp_path):
    assert "0xff at offset 2" in message_of(put(tmp_path, b"a\n\xff\n"))


def test_impossible_vocabulary_size_is_refused_by_its_flag(tmp_path):
    with pytest.raises(UsageError, match="--vocab-size"):
        build(put(tmp_path, NUMBERS), tokenizer="bpe", vocabulary_size=100)


@pytest.mark.parametrize("tokenizer", ["char", "bpe", "unigram"])
def test_vocabulary_does_not_depend_on_the_size_of_blocks(tmp_path, monkeypatch, tokenizer):
    path, vocabularies = put(tmp_path, NUMBERS * 3), []
    for size in (7, 4096):
        monkeypatch.setattr(line_corpus, "LINES_PER_BLOCK", size)
        vocabularies.append(vocabulary(build(path, tokenizer=tokenizer)))
    assert vocabularies[0] == vocabularies[1]


# Metadata


def test_metadata_counts_lines_and_characters_with_line_ends(tmp_path):
    held_out = put(tmp_path, ["\u4e00b", "?"], "held.txt")
    corpus = build(put(tmp_path, ["é", "", "abc"]), validation=held_out, tokenizer="byte")
    assert corpus.metadata() == {
        "train_lines": 3, "validation_lines": 2, "train_characters": 2 + 1 + 4, "validation_characters": 3 + 2,
        "longest_line": 5, "corpus_digest": corpus.digest}
    assert corpus.describe() == "3 lines to learn from, 2 held out, byte vocabulary of 256"
    assert corpus.source_tokenizer is corpus.tokenizer and corpus.separate_source is None


def test_digest_does_not_depend_on_files_and_line_ends(tmp_path):
    first = build(put(tmp_path, b"a\nb\nc\n"), validation=0.3).digest
    assert build(put(tmp_path, b"a\r\nb\r\n", "1"), put(tmp_path, b"c", "2"), validation=0.6).digest == first
    assert build(put(tmp_path, b"a\nc\nb\n")).digest != first
    first, second = (build(put(tmp_path, lines), labelled=True).digest
                     for lines in (["x\ta", "y\tb"], ["x\ta", "x\tb"]))
    assert first != second


def test_hashes_include_both_sides_but_no_separate_file(tmp_path):
    corpus = build(put(tmp_path, NUMBERS))
    assert corpus.line_hashes.contains(NUMBERS).all() and "line 100" not in corpus.line_hashes
    labelled = build(put(tmp_path, ["x\ta", "y\tb"]), validation=put(tmp_path, ["x\tc"], "held.txt"), labelled=True)
    assert labelled.line_hashes.contains(["a", "b", "c", "x\ta"]).tolist() == [True, True, False, False]


# Remarks


@pytest.mark.parametrize("blank", ["", "  \t"])
def test_blank_lines_are_left_out_where_they_are_more_than_a_few(tmp_path, blank):
    spaced = [part for line in NUMBERS for part in (line, blank)]
    corpus = build(put(tmp_path, spaced), keep_blank=False)
    assert sides(corpus) == sides(build(put(tmp_path, NUMBERS)))
    assert "100 of 200 lines are blank" in corpus.remarks[0] and corpus.metadata()["blank_lines_left_out"] == 100
    assert blank not in corpus.line_hashes


def test_blank_lines_stay_where_they_are_kept_or_few(tmp_path):
    kept = build(put(tmp_path, [*NUMBERS, "", ""]))
    few = build(put(tmp_path, [*NUMBERS, ""]), keep_blank=False)        # one in 101 is less than a hundredth
    assert (kept.lines + len(kept.validation), few.lines + len(few.validation)) == (102, 101)
    assert not kept.remarks and not few.remarks and "blank_lines_left_out" not in few.metadata()


def test_duplicates_are_reported_if_they_are_more_than_half(tmp_path):
    assert build(put(tmp_path, NUMBERS * 2)).remarks == ()
    assert "200 of 300 lines repeat" in build(put(tmp_path, NUMBERS * 3)).remarks[0]
    labelled = [f"{label}\t{line}" for label in "abc" for line in NUMBERS]
    assert build(put(tmp_path, labelled), labelled=True).remarks == ()
    assert "300 of 600 lines" not in str(build(put(tmp_path, labelled * 2), labelled=True).remarks)
    assert "600 of 900 lines repeat" in build(put(tmp_path, labelled * 3), labelled=True).remarks[0]


@pytest.mark.parametrize("labelled", [False, True])
def test_held_out_lines_that_are_learned_are_reported_with_their_share(tmp_path, labelled):
    start = "x\t" if labelled else ""
    train, new = ([f"{start}{name} {number}" for number in range(100)] for name in ("line", "other"))
    for held_out, share in ((train, "all"), (train[:25] + new[:75], "25 %"), (train[:1] + new[:99], "1 %"), (new, "")):
        corpus = build(put(tmp_path, train), validation=put(tmp_path, held_out, "held.txt"), labelled=labelled)
        assert [remark.partition(" of the held-out lines")[0] for remark in corpus.remarks] == [share][:bool(share)]
