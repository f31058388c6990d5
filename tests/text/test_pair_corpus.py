"""From pairs to a training part and a held-out part: the side of each pair, and what is refused.

Not here: how lines are read (test_tsv.py), the tokenizers (tokenizers/).
"""

import io
import os
import random
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, UsageError
from charlm.text import pair_corpus
from charlm.text.pair_corpus import build_pair_corpus
from charlm.text.reading import Text
from charlm.text.tokenizers.base import decode

NUMBERS = [(f"s{number}", f"t{number % 7}") for number in range(100)]


def put(folder, pairs, name="pairs.tsv"):
    data = pairs if isinstance(pairs, bytes) else "".join(f"{source}\t{target}\n" for source, target in pairs).encode()
    (folder / name).write_bytes(data)
    return str(folder / name)


def build(*paths, validation=None, **options):
    held_out = Text(validation) if isinstance(validation, str) else validation
    return build_pair_corpus([Text(path) for path in paths], validation=held_out, **options)


def learned(corpus):
    """Return the pairs to learn from as text."""
    sides = ((corpus.source_tokenizer, corpus.sources), (corpus.tokenizer, corpus.targets))
    return list(zip(*([decode(tokenizer, ids[index].tolist()) for index in range(len(ids))]
                      for tokenizer, ids in sides), strict=True))


def message_of(*paths, **options):
    with pytest.raises(CorpusError) as caught:
        build(*paths, **options)
    return str(caught.value)


# The sides


def test_both_sides_keep_all_pairs_in_their_order(tmp_path):
    corpus = build(put(tmp_path, NUMBERS))
    held_out = set(corpus.validation)
    assert corpus.validation == [pair for pair in NUMBERS if pair in held_out]
    assert learned(corpus) == [pair for pair in NUMBERS if pair not in held_out]
    assert len(corpus.targets) == len(corpus.sources) == 90


@settings(deadline=None, max_examples=50)
@given(pairs=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("0123")), min_size=2)
       .filter(lambda pairs: len({source for source, _ in pairs}) > 1), fraction=st.floats(0.01, 0.99))
def test_all_pairs_of_a_source_are_on_the_same_side(tmp_path_factory, pairs, fraction):
    corpus = build(put(tmp_path_factory.getbasetemp(), pairs), validation=fraction)
    left, right = {source for source, _ in learned(corpus)}, {source for source, _ in corpus.validation}
    assert left and right and not left & right
    assert sorted(learned(corpus) + corpus.validation) == sorted(pairs)


def test_split_does_not_depend_on_order(tmp_path):
    pairs = NUMBERS + [(source, "other") for source, _ in NUMBERS[::3]]
    first = set(build(put(tmp_path, pairs)).validation)
    for seed in range(3):
        random.Random(seed).shuffle(pairs)
        assert set(build(put(tmp_path, pairs)).validation) == first


def test_split_does_not_depend_on_targets(tmp_path):
    first = {source for source, _ in build(put(tmp_path, NUMBERS)).validation}
    other_targets = put(tmp_path, [(source, "x") for source, _ in NUMBERS])
    assert {source for source, _ in build(other_targets).validation} == first


def test_held_out_sources_are_spread_over_a_sorted_list(tmp_path):
    path = put(tmp_path, [(f"s{number:04}", "t") for number in range(1000)])
    positions = [int(source[1:]) for source, _ in build(path).validation]
    assert all(any(start <= position < start + 100 for position in positions) for start in range(0, 1000, 100))


@pytest.mark.parametrize("fraction, held_out", [(None, 10), (0.5, 50), (0.25, 25), (0.001, 1), (0.999, 99),
                                                (0.984, 98)])
def test_fraction_is_that_of_the_different_sources(tmp_path, fraction, held_out):
    pairs = [*NUMBERS, *NUMBERS]                            # each source twice: sources count, not pairs
    corpus = build(put(tmp_path, pairs), validation=fraction)
    assert len({source for source, _ in corpus.validation}) == held_out
    assert len(corpus.validation) == 2 * held_out and len(corpus.sources) == 200 - 2 * held_out


def test_held_out_part_is_limited_unless_a_fraction_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(pair_corpus, "MAX_HELD_OUT", 4)
    path = put(tmp_path, NUMBERS)
    assert len(build(path).validation) == 4
    assert len(build(path, validation=0.2).validation) == 20                  # a given fraction is not limited


def test_two_sources_are_enough(tmp_path):
    corpus = build(put(tmp_path, [("a", "1"), ("b", "2")]))
    assert (len(corpus.sources), len(corpus.validation)) == (1, 1)


def test_a_separate_file_can_be_held_out(tmp_path):
    held_out = [("s1", "t1"), ("new", "unheard of"), ("s1", "t2")]
    corpus = build(put(tmp_path, NUMBERS), validation=put(tmp_path, held_out, "held.tsv"))
    assert learned(corpus) == NUMBERS and corpus.validation == held_out


def test_a_single_source_is_enough_with_a_separate_file(tmp_path):
    corpus = build(put(tmp_path, [("a", "1")]), validation=put(tmp_path, [("a", "1")], "held.tsv"))
    assert learned(corpus) == corpus.validation == [("a", "1")]


@pytest.mark.parametrize("other_file", [False, True])
def test_vocabularies_do_not_depend_on_the_held_out_part(tmp_path, other_file):
    pairs = [(chr(0x4e00 + number), chr(0x5e00 + number)) for number in range(50)]
    held_out = [("\u9fa0", "\u9fa1")]
    corpus = build(put(tmp_path, pairs), tokenizer="char",
                     validation=put(tmp_path, held_out, "held.tsv") if other_file else None)
    assert corpus.source_tokenizer.size == corpus.tokenizer.size == len(learned(corpus)) + 1
    for source, target in corpus.validation:
        assert corpus.source_tokenizer.encode(source).tolist() == corpus.tokenizer.encode(target).tolist() == [0]


# Reading


def test_files_are_joined_with_a_line_end_between_them(tmp_path):
    first, second = put(tmp_path, b"a\tb\nc\td", "one.tsv"), put(tmp_path, b"e\tf\r\n", "two.tsv")
    corpus = build(first, second, first, validation=put(tmp_path, b"x\ty", "held.tsv"))
    assert learned(corpus) == [("a", "b"), ("c", "d"), ("e", "f"), ("a", "b"), ("c", "d")]
    assert corpus.validation == [("x", "y")]


def test_a_bad_line_is_reported_with_its_own_file_and_number(tmp_path):
    good, bad = put(tmp_path, NUMBERS, "good.tsv"), put(tmp_path, b"a\tb\nno\n", "bad.tsv")
    message = message_of(good, bad)
    assert "bad.tsv: line 2 " in message and "good.tsv" not in message
    assert "bad.tsv: line 2 " in message_of(good, validation=bad)


def test_fifo_and_standard_input_are_read_like_files(tmp_path, monkeypatch):
    path, fifo = put(tmp_path, NUMBERS), str(tmp_path / "fifo")
    data, expected = Path(path).read_bytes(), build(path)
    os.mkfifo(fifo)

    def write():
        with open(fifo, "wb") as stream:
            stream.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    piped = build(fifo)
    thread.join(5)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    for corpus in (piped, build("-")):
        assert (learned(corpus), corpus.validation) == (learned(expected), expected.validation)
        assert corpus.digest == expected.digest


def test_a_carriage_return_within_a_pair_is_kept(tmp_path):
    corpus = build(put(tmp_path, b"a\tx\r\r\nb\tx\r\r\n"))
    assert [target for _, target in learned(corpus) + corpus.validation] == ["x\r", "x\r"]


# Refusals


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\n", b"\xef\xbb\xbf"])
def test_text_without_pairs_is_refused_by_name(tmp_path, data):
    assert "nothing.tsv: empty" in message_of(put(tmp_path, data, "nothing.tsv"))
    assert "nothing.tsv: empty" in message_of(put(tmp_path, NUMBERS), validation=put(tmp_path, data, "nothing.tsv"))


@pytest.mark.parametrize("pairs", [[("a", "b")], [("a", "b"), ("a", "c")], [("a", "b")] * 9])
def test_a_single_source_is_refused(tmp_path, pairs):
    message = message_of(put(tmp_path, pairs, "one.tsv"))
    assert "one.tsv" in message and "a single source" in message


def test_text_that_is_not_utf8_is_refused(tmp_path):
    assert "byte 0xff at offset 6" in message_of(put(tmp_path, b"a\tb\nc\t\xff\n"))


def test_vocabulary_size_is_that_of_the_targets(tmp_path):
    path = put(tmp_path, NUMBERS)
    corpus = build(path, tokenizer="char", vocabulary_size=3)
    assert corpus.tokenizer.size == 3 and corpus.source_tokenizer.size == 12
    with pytest.raises(UsageError, match="--vocab-size"):
        build(path, tokenizer="char", vocabulary_size=1)


# Tokenizers and metadata


def test_targets_of_few_words_are_split_into_words(tmp_path):
    few = [(f"s{number}", "up down" if number % 2 else "down") for number in range(30)]
    many = [(f"s{number}", f"word{number}") for number in range(30)]
    assert build(put(tmp_path, few)).tokenizer.kind == "word"
    assert build(put(tmp_path, many)).tokenizer.kind == "char"
    assert build(put(tmp_path, few), tokenizer="char").tokenizer.kind == "char"
    assert build(put(tmp_path, many), tokenizer="word").tokenizer.kind == "word"


@pytest.mark.parametrize("kind, expected", [(None, "nfd"), ("char", "char"), ("byte", "byte")])
def test_sources_are_decomposed_by_default(tmp_path, kind, expected):
    path = put(tmp_path, [("é한", "x"), ("éé한", "x"), ("한é", "x")])
    corpus = build(path, **({"source_tokenizer": kind} if kind else {}))
    assert corpus.source_tokenizer.kind == expected
    assert len(corpus.source_tokenizer.encode("é한")) == {"nfd": 5, "char": 2, "byte": 5}[expected]


def test_target_ratio_is_that_of_the_training_part_in_tokens(tmp_path):
    held_out = put(tmp_path, [("x", "one two three four five six")], "held.tsv")
    pairs = [("abcd", "one two"), ("ef", "one"), ("ef", "two one one")]
    corpus = build(put(tmp_path, pairs), tokenizer="word", validation=held_out)
    assert (corpus.target_ratio, corpus.repeated) == (pytest.approx(3 / (2 + 8)), 1)
    metadata = corpus.metadata()
    assert (metadata["train_pairs"], metadata["validation_pairs"]) == (3, 1)
    assert metadata["target_ratio"] == corpus.target_ratio
    assert "3 pairs to learn from, 1 held out" in corpus.describe() and "\n" not in corpus.describe()
    assert corpus.separate_source is corpus.source_tokenizer is not corpus.tokenizer
    assert corpus.lengths.tolist() == (corpus.sources.lengths + corpus.targets.lengths).tolist()


def test_digest_does_not_depend_on_files_and_line_ends(tmp_path):
    one = build(put(tmp_path, b"a\tb\nc\td\n")).digest
    parts = build(put(tmp_path, b"\xef\xbb\xbfa\tb", "1.tsv"), put(tmp_path, b"\r\nc\td\r\n", "2.tsv")).digest
    assert one == parts
    others = [b"a\tb\nc\te\n", b"a\tb\ne\td\n", b"c\td\na\tb\n", b"a\tb\nc\td\nc\td\n"]
    assert len({one, *(build(put(tmp_path, data)).digest for data in others)}) == 5


def test_digest_includes_the_held_out_file(tmp_path):
    path, held_out = put(tmp_path, NUMBERS), put(tmp_path, [("x", "y")], "held.tsv")
    assert build(path).digest != build(path, validation=held_out).digest


def test_held_out_sources_that_are_learned_and_duplicates_are_reported(tmp_path):
    path, new = put(tmp_path, NUMBERS), [(f"new {source}", target) for source, target in NUMBERS[:50]]
    mixed = put(tmp_path, NUMBERS[:50] + new, "held.tsv")
    assert build(path, validation=mixed).remarks[0].startswith("50 % of the held-out sources are in the training text")
    assert build(path, validation=put(tmp_path, new, "new.tsv")).remarks == () == build(path).remarks
    assert "200 of 300 lines repeat" in build(put(tmp_path, NUMBERS * 3)).remarks[0]
