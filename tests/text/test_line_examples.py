"""Lines as examples: ids between begin or label and end, whole or split, without loss.

Not here: which lines are learned from (test_line_corpus.py), the special ids (test_special_tokens.py).
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError
from charlm.text import line_corpus
from charlm.text.labels import MAX_LABELS
from charlm.text.line_corpus import MAX_EXAMPLE, build_line_corpus, split_long
from charlm.text.reading import Text
from charlm.text.tokenizers.base import decode

KINDS = ("char", "byte", "bpe", "unigram")
ODD = ("\0", "\ufeff", "\r", "\u2581", "\u2585", "\U0010ffff", "e\u0301", "\u00e9", "\u0301", "<unk>", "<0x41>", "<s>",
       "\t", "  ", "\x85", "\u2028", "\u200b", "\ufffd", "\U0001f469\u200d\U0001f680", "sea shells")
PLAIN = [f"she sells {number} sea shells" for number in range(40)]
PARTS = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n")))
LINE = st.lists(PARTS).map(lambda parts: "".join(parts).rstrip("\r"))


def build(folder, lines, *, held_out=("x\tx",), labelled=False, **options):
    """Return the corpus of these lines with others held out."""
    for name, side in (("lines.txt", lines), ("held.txt", held_out)):
        (folder / name).write_bytes("".join(f"{line}\n" for line in side).encode())
    return build_line_corpus([Text(str(folder / "lines.txt"))], labelled=labelled,
                             validation=Text(str(folder / "held.txt")), keep_blank=True, **options)


def rows_of(examples):
    return [examples[number].tolist() for number in range(len(examples))]


# Ids


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=25)
@given(lines=st.lists(LINE, min_size=1))
@example(lines=[*ODD[:2], *ODD[3:], "", "".join(ODD), "\0" * 300, "\u2581" * 3, "sea\u2581" * 600, "a\rb\r\rc"])
def test_every_line_can_be_decoded_from_its_examples(tmp_path_factory, kind, lines):
    folder = tmp_path_factory.getbasetemp()
    corpus = build(folder, ["x", *PLAIN, *lines], held_out=[*PLAIN[:1], *lines], tokenizer=kind)
    end = corpus.tokenizer.size
    whole, row = [], []
    for piece in rows_of(corpus.train):
        row = row[:-1] + piece
        if row[-1] == end:
            whole, row = [*whole, row], []
    for rows, expected in ((whole, ["x", *PLAIN, *lines]), (rows_of(corpus.validation), [PLAIN[0], *lines])):
        assert all(row[0] == row[-1] == end and end not in row[1:-1] for row in rows)
        assert [decode(corpus.tokenizer, row[1:-1]) for row in rows] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_holds_the_ids_of_its_line(tmp_path, kind):
    corpus = build(tmp_path, PLAIN, held_out=["sea shells sell", "", "she"], tokenizer=kind)
    for row, line in zip(rows_of(corpus.validation), ["sea shells sell", "", "she"], strict=True):
        assert row[1:-1] == corpus.tokenizer.encode(line).tolist()


def test_unseen_characters_are_unknown(tmp_path):
    assert rows_of(build(tmp_path, ["ab", "b"], held_out=["a?b"]).validation) == [[4, 2, 0, 3, 4]]     # <unk> \n a b


# Labels


def test_a_labelled_line_begins_with_its_label(tmp_path):
    corpus = build(tmp_path, ["dog\tab", "cat\ta", "dog\tb"], held_out=["cat\tbb"], labelled=True)
    assert (corpus.labels.names, corpus.labels.counts) == (("cat", "dog"), (1, 2))
    assert rows_of(corpus.train) == [[6, 2, 3, 4], [5, 2, 4], [6, 3, 4]]        # <unk> \n a b, end, cat, dog
    assert rows_of(corpus.validation) == [[5, 3, 3, 4]]
    assert corpus.describe() == "3 lines to learn from, 1 held out, 2 labels, char vocabulary of 4"
    assert corpus.train_characters == 3 + 2 + 2 and corpus.metadata()["longest_line"] == 3


def test_label_ids_greater_than_a_byte_are_kept(tmp_path):
    lines = [f"l{number:03}\t\U0010ffff" for number in range(300)]
    corpus = build(tmp_path, lines, held_out=["l299\té"], labelled=True, tokenizer="byte")
    assert [row[0] for row in rows_of(corpus.train)] == list(range(257, 557))
    assert {row[-1] for row in rows_of(corpus.train)} == {256}
    assert rows_of(corpus.validation) == [[556, 0xC3, 0xA9, 256]]


def test_labels_are_counted_on_both_sides(tmp_path):
    (tmp_path / "lines.tsv").write_text("".join(f"{'ab'[number % 4 == 0]}\tline {number}\n" for number in range(40)))
    corpus = build_line_corpus([Text(str(tmp_path / "lines.tsv"))], labelled=True, validation=0.5)
    assert (corpus.labels.names, corpus.labels.counts) == (("a", "b"), (30, 10))


def test_tabs_are_ordinary_characters_without_labels(tmp_path):
    corpus = build(tmp_path, ["dog\tab", "\t"])
    assert corpus.labels is None
    assert [decode(corpus.tokenizer, row[1:-1]) for row in rows_of(corpus.train)] == ["dog\tab", "\t"]


def test_blank_lines_are_skipped_only_with_labels(tmp_path):
    assert len(build(tmp_path, ["a\tb", "", "\r", "a\tc"], held_out=["a\tb"], labelled=True).train) == 2
    assert len(build(tmp_path, ["a\tb", "", "\r", "a\tc"]).train) == 4


@pytest.mark.parametrize("line, reason", [("ab", "no tab"), ("a\tb\tc", "2 tabs"), ("\tb", "an empty label"),
                                          ("a\t", "an empty text"), ("a\t\r", "an empty text")], ids=ascii)
@pytest.mark.parametrize("side", ["lines", "held_out"])
def test_a_line_without_its_label_is_refused_by_file_and_number(tmp_path, side, line, reason):
    parts = {"lines": ["x\ty"], "held_out": ["x\ty"]} | {side: ["x\ty", "", line]}
    with pytest.raises(CorpusError) as caught:
        build(tmp_path, parts["lines"], held_out=parts["held_out"], labelled=True)
    name = "lines.txt" if side == "lines" else "held.txt"
    assert f"{name}: line 3 has {reason}; a line is label<TAB>text" in str(caught.value)


def test_an_unknown_held_out_label_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="label 'bird' is not one of the 2 to learn"):
        build(tmp_path, ["dog\ta", "cat\tb"], held_out=["cat\ta", "bird\ta"], labelled=True)


def test_too_many_labels_are_refused(tmp_path):
    lines = [f"label {number}\ta" for number in range(MAX_LABELS + 1)]
    with pytest.raises(CorpusError, match=f"{MAX_LABELS + 1} different labels"):
        build(tmp_path, lines, labelled=True, held_out=lines[:1])


# Splitting


@settings(deadline=None)
@given(row=st.lists(st.integers(0, 9), min_size=2, max_size=50), max_length=st.integers(1, 9))
def test_pieces_predict_every_token_exactly_once(row, max_length):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_corpus, "MAX_EXAMPLE", max_length)
        pieces = [piece.tolist() for piece in split_long(np.array(row))]
    assert [pair for piece in pieces for pair in pairwise(piece)] == list(pairwise(row))
    assert all(2 <= len(piece) <= max_length + 1 for piece in pieces)


@pytest.mark.parametrize("letters, lengths", [(MAX_EXAMPLE - 1, [1024]), (MAX_EXAMPLE, [1024, 1]),
                                              (5000, [1024] * 4 + [905])])
def test_a_long_line_is_split_for_training_only(tmp_path, letters, lengths):
    corpus = build(tmp_path, ["a" * letters], held_out=["a" * letters])
    assert corpus.lengths.tolist() == lengths and corpus.validation.lengths.tolist() == [letters + 2]
    assert (corpus.lines, corpus.train_characters, corpus.validation_characters) == (1, letters + 1, letters + 1)
