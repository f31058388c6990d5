"""From lines to what is learned from and what is held out: which side a line goes to, and what is refused.

Not here: how a line becomes ids and what its label is (test_line_examples.py), how lines are read (test_pairs.py).
"""

import functools
import io
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, UsageError
from charlm.text import line_corpus as module
from charlm.text.line_corpus import build_line_corpus
from charlm.text.reading import Text
from charlm.text.tokenizers.base import decode

NUMBERS = [f"line {number}" for number in range(100)]


def put(folder, data, name="lines.txt"):
    (folder / name).write_bytes(data if isinstance(data, bytes) else "".join(f"{line}\n" for line in data).encode())
    return str(folder / name)


def prepare(*paths, labelled=False, validation=None, **options):
    other = Text(validation) if isinstance(validation, str) else validation
    return build_line_corpus([Text(path) for path in paths], labelled=labelled, validation=other, **options)


def lines_of(corpus, examples):
    return [decode(corpus.tokenizer, examples[number][1:-1].tolist()) for number in range(len(examples))]


def sides(corpus):
    """The lines to learn from and those held out, as text."""
    return lines_of(corpus, corpus.train), lines_of(corpus, corpus.validation)


def message_of(*paths, **options):
    with pytest.raises(CorpusError) as caught:
        prepare(*paths, **options)
    return str(caught.value)


# Which side


def test_two_sides_hold_every_line_in_the_order_that_it_came(tmp_path):
    learned, held_out = sides(prepare(put(tmp_path, NUMBERS)))
    assert held_out == [line for line in NUMBERS if line in held_out]
    assert learned == [line for line in NUMBERS if line not in held_out]
    assert (len(learned), len(held_out)) == (95, 5)


@settings(deadline=None, max_examples=50)
@given(lines=st.lists(st.text("ab ", max_size=2), min_size=2).filter(lambda lines: len(set(lines)) > 1),
       fraction=st.floats(0.01, 0.99))
def test_equal_lines_go_to_the_same_side(tmp_path_factory, lines, fraction):
    learned, held_out = sides(prepare(put(tmp_path_factory.getbasetemp(), lines), validation=fraction))
    assert learned and held_out and not set(learned) & set(held_out)
    assert sorted(learned + held_out) == sorted(lines)


def test_split_is_the_same_whatever_the_order_of_lines_and_how_often_they_stand(tmp_path):
    lines = [*NUMBERS, *NUMBERS[::3]]
    first = set(sides(prepare(put(tmp_path, NUMBERS)))[1])
    for seed in range(3):
        random.Random(seed).shuffle(lines)
        assert set(sides(prepare(put(tmp_path, lines)))[1]) == first


def test_split_knows_texts_only_whatever_their_labels(tmp_path):
    first = sides(prepare(put(tmp_path, NUMBERS)))[1]
    lines = [f"{label}\t{line}" for line in NUMBERS for label in ("one", "other")]
    assert sides(prepare(put(tmp_path, lines), labelled=True))[1] == [line for line in first for _ in range(2)]


def test_held_out_lines_lie_everywhere_in_a_sorted_list(tmp_path):
    places = [int(line) for line in sides(prepare(put(tmp_path, [f"{n:04}" for n in range(2000)])))[1]]
    assert all(any(start <= place < start + 200 for place in places) for start in range(0, 2000, 200))


@pytest.mark.parametrize("fraction, held_out", [(None, 5), (0.5, 50), (0.25, 25), (0.001, 1), (0.999, 99), (0.984, 98), (0.988, 99)])
def test_fraction_says_how_many_different_lines_are_held_out(tmp_path, fraction, held_out):
    learned, there = sides(prepare(put(tmp_path, [*NUMBERS, *NUMBERS]), validation=fraction))
    assert len(set(there)) == held_out and len(there) == 2 * held_out and len(learned) == 200 - 2 * held_out


def test_held_out_part_has_an_upper_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_HELD_OUT", 4)
    path = put(tmp_path, NUMBERS)
    assert len(prepare(path).validation) == 4
    assert len(prepare(path, validation=0.2).validation) == 20                  # unless it is asked for


def test_two_different_lines_are_one_to_learn_from_and_one_to_be_tested_on(tmp_path):
    learned, held_out = sides(prepare(put(tmp_path, ["a", ""])))
    assert sorted(learned + held_out) == ["", "a"] and len(learned) == 1


def test_another_file_can_be_held_out(tmp_path):
    held_out = ["line 1", "unheard of", "", "line 1"]
    corpus = prepare(put(tmp_path, NUMBERS), validation=put(tmp_path, held_out, "held.txt"), tokenizer="byte")
    assert sides(corpus) == (NUMBERS, held_out)


def test_equal_lines_are_enough_where_another_file_is_held_out(tmp_path):
    corpus = prepare(put(tmp_path, ["a", "a"]), validation=put(tmp_path, ["a"], "held.txt"))
    assert sides(corpus) == (["a", "a"], ["a"])


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_vocabulary_knows_nothing_of_a_held_out_file(tmp_path, tokenizer):
    path = put(tmp_path, NUMBERS * 5)
    alone = prepare(path, tokenizer=tokenizer).tokenizer
    corpus = prepare(path, tokenizer=tokenizer, validation=put(tmp_path, ["\u4e00\u4e8c"] * 500, "held.txt"))
    assert corpus.tokenizer.size == alone.size
    assert {name: values.tobytes() for name, values in corpus.tokenizer.tensors().items()} \
        == {name: values.tobytes() for name, values in alone.tensors().items()}


# Reading


@pytest.mark.parametrize("data, lines", [
    (b"a\nb\n", ["a", "b"]), (b"a\nb", ["a", "b"]), (b"a\r\nb\r\n", ["a", "b"]), (b"a\r\nb\r", ["a", "b"]), (b"\na\n\n", ["", "a", ""]),
    (b"\r\na\n", ["", "a"]), (b"a\r\r\nb\n", ["a\r", "b"]), (b"a\rb\nc", ["a\rb", "c"]), (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
    (b"a\tb\n\t\n", ["a\tb", "\t"]), ("a\u2028b\n\x85\n".encode(), ["a\u2028b", "\x85"])], ids=ascii)
def test_lines_end_at_newlines_and_nowhere_else(tmp_path, data, lines):
    assert sides(prepare(put(tmp_path, ["x", "y"]), validation=put(tmp_path, data, "held.txt"), tokenizer="byte"))[1] == lines
    assert sides(prepare(put(tmp_path, data), validation=put(tmp_path, ["x"], "held.txt")))[0] == lines


def test_files_are_joined_with_a_line_end_between_them(tmp_path):
    first, second = put(tmp_path, b"a\nb", "1.txt"), put(tmp_path, b"\xef\xbb\xbfc\nd", "2.txt")
    assert sides(prepare(first, second, validation=put(tmp_path, ["a"], "held.txt")))[0] == ["a", "b", "c", "d"]


def test_lines_are_the_same_wherever_chunks_are_cut(tmp_path, monkeypatch):
    path, held_out = put(tmp_path, "é\tx\r\n\n€\ty\n\U0001f680\tz".encode()), put(tmp_path, ["é\tx"], "held.txt")
    whole = sides(prepare(path, validation=held_out, labelled=True))
    assert whole[0] == ["x", "y", "z"]
    for size in (1, 2, 3):
        monkeypatch.setattr("charlm.text.reading.byte_chunks",
                            functools.partial(sys.modules["charlm.text.reading"].byte_chunks, size=size))
        assert sides(prepare(path, validation=held_out, labelled=True)) == whole


def test_standard_input_is_read_as_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\nc\n")))
    learned, held_out = sides(prepare("-"))
    assert sorted(learned + held_out) == ["a", "b", "c"]


@pytest.mark.parametrize("labelled", [False, True])
def test_text_without_a_line_is_refused_by_name(tmp_path, labelled):
    assert "empty.txt: empty" in message_of(put(tmp_path, b"", "empty.txt"), labelled=labelled)
    filled = put(tmp_path, ["x\ty", "x\tz"])
    assert "none.txt: empty" in message_of(filled, validation=put(tmp_path, b"", "none.txt"), labelled=labelled)


@pytest.mark.parametrize("data, labelled", [(b"a\n", False), (b"a\na\r\na", False), (b"\n\n\n", False), (b"x\ta\ny\ta\n", True)],
                         ids=str)
def test_lines_that_are_all_the_same_are_refused(tmp_path, data, labelled):
    assert "lines.txt: all lines are the same" in message_of(put(tmp_path, data), labelled=labelled)


def test_text_that_is_not_utf8_is_refused(tmp_path):
    assert "0xff at offset 2" in message_of(put(tmp_path, b"a\n\xff\n"))


def test_vocabulary_size_that_cannot_be_is_refused_by_its_flag(tmp_path):
    with pytest.raises(UsageError, match="--vocab-size"):
        prepare(put(tmp_path, NUMBERS), tokenizer="bpe", vocabulary_size=100)


@pytest.mark.parametrize("tokenizer", ["char", "bpe", "unigram"])
def test_a_vocabulary_does_not_depend_on_how_many_lines_are_fitted_at_once(tmp_path, monkeypatch, tokenizer):
    path, found = put(tmp_path, NUMBERS * 3), []
    for size in (7, 4096):
        monkeypatch.setattr(module, "FITTED_AT_ONCE", size)
        found.append({name: values.tobytes() for name, values in prepare(path, tokenizer=tokenizer).tokenizer.tensors().items()})
    assert found[0] == found[1]


# What the model file says


def test_facts_count_lines_and_characters_with_their_ends(tmp_path):
    corpus = prepare(put(tmp_path, ["é", "", "abc"]), validation=put(tmp_path, ["\u4e00b", "?"], "held.txt"), tokenizer="byte")
    assert corpus.metadata() == {"train_lines": 3, "validation_lines": 2, "train_characters": 2 + 1 + 4, "validation_characters": 3 + 2,
                              "longest_line": 5, "corpus_digest": corpus.digest}
    assert corpus.describe() == "3 lines to learn from, 2 held out, byte vocabulary of 256"
    assert corpus.source_tokenizer is corpus.tokenizer and corpus.separate_source is None


def test_digest_is_of_the_lines_not_of_files_and_line_ends(tmp_path):
    first = prepare(put(tmp_path, b"a\nb\nc\n"), validation=0.3).digest
    assert prepare(put(tmp_path, b"a\r\nb\r\n", "1"), put(tmp_path, b"c", "2"), validation=0.6).digest == first
    assert prepare(put(tmp_path, b"a\nc\nb\n")).digest != first
    labelled = [prepare(put(tmp_path, lines), labelled=True).digest for lines in (["x\ta", "y\tb"], ["x\ta", "x\tb"])]
    assert labelled[0] != labelled[1]


def test_lines_of_both_sides_are_known_and_those_of_a_held_out_file_are_not(tmp_path):
    corpus = prepare(put(tmp_path, NUMBERS))
    assert corpus.line_hashes.contains(NUMBERS).all() and "line 100" not in corpus.line_hashes
    labelled = prepare(put(tmp_path, ["x\ta", "y\tb"]), validation=put(tmp_path, ["x\tc"], "held.txt"), labelled=True)
    assert labelled.line_hashes.contains(["a", "b", "c", "x\ta"]).tolist() == [True, True, False, False]
