"""From lines of pairs to what is learned from and what is held out: which side a pair goes to, and what is refused.

Not here: how lines are read (test_pairs.py), the tokenizers (test_words.py, test_decomposed.py).
"""

import io
import os
import random
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, UsageError
from charlm.text import pair_corpus as module
from charlm.text.pair_corpus import build_pair_corpus
from charlm.text.reading import Text
from charlm.text.tokenizers.base import decode

NUMBERS = [(f"s{number}", f"t{number % 7}") for number in range(100)]


def put(folder, pairs, name="pairs.tsv"):
    data = pairs if isinstance(pairs, bytes) else "".join(f"{source}\t{target}\n" for source, target in pairs).encode()
    (folder / name).write_bytes(data)
    return str(folder / name)


def prepare(*paths, validation=None, **options):
    other = Text(validation) if isinstance(validation, str) else validation
    return build_pair_corpus([Text(path) for path in paths], validation=other, **options)


def learned(corpus):
    """The pairs to learn from, as text."""
    sides = ((corpus.source_tokenizer, corpus.sources), (corpus.tokenizer, corpus.targets))
    return list(zip(*([decode(tokenizer, ids[number].tolist()) for number in range(len(ids))] for tokenizer, ids in sides)))


def message_of(*paths, **options):
    with pytest.raises(CorpusError) as caught:
        prepare(*paths, **options)
    return str(caught.value)


# Which side


def test_two_sides_hold_every_pair_in_the_order_that_it_came(tmp_path):
    corpus = prepare(put(tmp_path, NUMBERS))
    held_out = set(corpus.validation)
    assert corpus.validation == [pair for pair in NUMBERS if pair in held_out]
    assert learned(corpus) == [pair for pair in NUMBERS if pair not in held_out]
    assert len(corpus.targets) == len(corpus.sources) == 90


@settings(deadline=None, max_examples=50)
@given(pairs=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("0123")), min_size=2)
       .filter(lambda pairs: len({source for source, _ in pairs}) > 1), fraction=st.floats(0.01, 0.99))
def test_all_pairs_of_a_source_go_to_the_same_side(tmp_path_factory, pairs, fraction):
    corpus = prepare(put(tmp_path_factory.getbasetemp(), pairs), validation=fraction)
    here, there = {source for source, _ in learned(corpus)}, {source for source, _ in corpus.validation}
    assert here and there and not here & there
    assert sorted(learned(corpus) + corpus.validation) == sorted(pairs)


def test_split_is_the_same_whatever_the_order_of_lines(tmp_path):
    pairs = NUMBERS + [(source, "other") for source, _ in NUMBERS[::3]]
    first = set(prepare(put(tmp_path, pairs)).validation)
    for seed in range(3):
        random.Random(seed).shuffle(pairs)
        assert set(prepare(put(tmp_path, pairs)).validation) == first


def test_split_knows_sources_only(tmp_path):
    first = {source for source, _ in prepare(put(tmp_path, NUMBERS)).validation}
    assert {source for source, _ in prepare(put(tmp_path, [(source, "x") for source, _ in NUMBERS])).validation} == first


def test_held_out_sources_lie_everywhere_in_a_sorted_list(tmp_path):
    places = [int(source[1:]) for source, _ in prepare(put(tmp_path, [(f"s{n:04}", "t") for n in range(1000)])).validation]
    assert all(any(start <= place < start + 100 for place in places) for start in range(0, 1000, 100))


@pytest.mark.parametrize("fraction, held_out", [(None, 10), (0.5, 50), (0.25, 25), (0.001, 1), (0.999, 99), (0.984, 98)])
def test_fraction_says_how_many_sources_are_held_out(tmp_path, fraction, held_out):
    pairs = [*NUMBERS, *NUMBERS]                            # each source twice: sources count, not pairs
    corpus = prepare(put(tmp_path, pairs), validation=fraction)
    assert len({source for source, _ in corpus.validation}) == held_out
    assert len(corpus.validation) == 2 * held_out and len(corpus.sources) == 200 - 2 * held_out


def test_held_out_part_has_an_upper_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_HELD_OUT", 4)
    path = put(tmp_path, NUMBERS)
    assert len(prepare(path).validation) == 4
    assert len(prepare(path, validation=0.2).validation) == 20                  # unless it is asked for


def test_two_sources_are_one_to_learn_from_and_one_to_be_tested_on(tmp_path):
    corpus = prepare(put(tmp_path, [("a", "1"), ("b", "2")]))
    assert (len(corpus.sources), len(corpus.validation)) == (1, 1)


def test_another_file_can_be_held_out(tmp_path):
    held_out = [("s1", "t1"), ("new", "unheard of"), ("s1", "t2")]
    corpus = prepare(put(tmp_path, NUMBERS), validation=put(tmp_path, held_out, "held.tsv"))
    assert learned(corpus) == NUMBERS and corpus.validation == held_out


def test_a_single_source_is_enough_where_another_file_is_held_out(tmp_path):
    corpus = prepare(put(tmp_path, [("a", "1")]), validation=put(tmp_path, [("a", "1")], "held.tsv"))
    assert learned(corpus) == corpus.validation == [("a", "1")]


@pytest.mark.parametrize("other_file", [False, True])
def test_vocabularies_know_nothing_of_the_held_out_part(tmp_path, other_file):
    pairs = [(chr(0x4e00 + number), chr(0x5e00 + number)) for number in range(50)]
    held_out = [("\u9fa0", "\u9fa1")]
    corpus = prepare(put(tmp_path, pairs), tokenizer="char",
                     validation=put(tmp_path, held_out, "held.tsv") if other_file else None)
    here = learned(corpus)
    assert corpus.source_tokenizer.size == corpus.tokenizer.size == len(here) + 1
    for source, target in corpus.validation:
        assert corpus.source_tokenizer.encode(source).tolist() == corpus.tokenizer.encode(target).tolist() == [0]


# Reading


def test_files_are_joined_with_a_line_end_between_them(tmp_path):
    first, second = put(tmp_path, b"a\tb\nc\td", "one.tsv"), put(tmp_path, b"e\tf\r\n", "two.tsv")
    corpus = prepare(first, second, first, validation=put(tmp_path, b"x\ty", "held.tsv"))
    assert learned(corpus) == [("a", "b"), ("c", "d"), ("e", "f"), ("a", "b"), ("c", "d")]
    assert corpus.validation == [("x", "y")]


def test_flaw_is_named_by_its_own_file_and_line(tmp_path):
    good, bad = put(tmp_path, NUMBERS, "good.tsv"), put(tmp_path, b"a\tb\nno\n", "bad.tsv")
    message = message_of(good, bad)
    assert "bad.tsv: line 2 " in message and "good.tsv" not in message
    assert "bad.tsv: line 2 " in message_of(good, validation=bad)


def test_fifo_and_standard_input_are_read_as_files(tmp_path, monkeypatch):
    path, fifo = put(tmp_path, NUMBERS), str(tmp_path / "fifo")
    data, expected = open(path, "rb").read(), prepare(path)
    os.mkfifo(fifo)

    def write():
        with open(fifo, "wb") as stream:
            stream.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    piped = prepare(fifo)
    thread.join(5)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    for corpus in (piped, prepare("-")):
        assert (learned(corpus), corpus.validation) == (learned(expected), expected.validation)
        assert corpus.digest == expected.digest


def test_a_carriage_return_within_a_pair_is_kept(tmp_path):
    corpus = prepare(put(tmp_path, b"a\tx\r\r\nb\tx\r\r\n"))
    assert [target for _, target in learned(corpus) + corpus.validation] == ["x\r", "x\r"]


# What is refused


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n\n", b"\xef\xbb\xbf"])
def test_text_without_a_pair_is_refused_by_name(tmp_path, data):
    assert "nothing.tsv: empty" in message_of(put(tmp_path, data, "nothing.tsv"))
    assert "nothing.tsv: empty" in message_of(put(tmp_path, NUMBERS), validation=put(tmp_path, data, "nothing.tsv"))


@pytest.mark.parametrize("pairs", [[("a", "b")], [("a", "b"), ("a", "c")], [("a", "b")] * 9])
def test_a_single_source_is_refused(tmp_path, pairs):
    message = message_of(put(tmp_path, pairs, "one.tsv"))
    assert "one.tsv" in message and "a single source" in message


def test_text_that_is_not_utf8_is_refused(tmp_path):
    assert "byte 0xff at offset 6" in message_of(put(tmp_path, b"a\tb\nc\t\xff\n"))


def test_vocabulary_size_is_the_targets_and_refused_by_its_flag(tmp_path):
    path = put(tmp_path, NUMBERS)
    corpus = prepare(path, tokenizer="char", vocabulary_size=3)
    assert corpus.tokenizer.size == 3 and corpus.source_tokenizer.size == 12
    with pytest.raises(UsageError, match="--vocab-size"):
        prepare(path, tokenizer="char", vocabulary_size=1)


# What is known of it


def test_targets_of_few_words_are_taken_word_by_word_and_others_by_character(tmp_path):
    few = [(f"s{number}", "up down" if number % 2 else "down") for number in range(30)]
    many = [(f"s{number}", f"word{number}") for number in range(30)]
    assert prepare(put(tmp_path, few)).tokenizer.kind == "word"
    assert prepare(put(tmp_path, many)).tokenizer.kind == "char"
    assert prepare(put(tmp_path, few), tokenizer="char").tokenizer.kind == "char"
    assert prepare(put(tmp_path, many), tokenizer="word").tokenizer.kind == "word"


@pytest.mark.parametrize("kind, size", [(None, "nfd"), ("char", "char"), ("byte", "byte")])
def test_sources_are_taken_apart_unless_it_is_said_otherwise(tmp_path, kind, size):
    path = put(tmp_path, [("é한", "x"), ("éé한", "x"), ("한é", "x")])
    corpus = prepare(path, **({"source_tokenizer": kind} if kind else {}))
    assert corpus.source_tokenizer.kind == size
    assert len(corpus.source_tokenizer.encode("é한")) == {"nfd": 5, "char": 2, "byte": 5}[size]


def test_longest_target_for_its_source_is_counted_in_tokens_of_what_is_learned(tmp_path):
    held_out = put(tmp_path, [("x", "one two three four five six")], "held.tsv")
    pairs = [("abcd", "one two"), ("ef", "one"), ("ef", "two one one")]
    corpus = prepare(put(tmp_path, pairs), tokenizer="word", validation=held_out)
    assert (corpus.target_ratio, corpus.repeated) == (pytest.approx(3 / (2 + 8)), 1)
    facts = corpus.metadata()
    assert (facts["train_pairs"], facts["validation_pairs"], facts["target_ratio"]) == (3, 1, corpus.target_ratio)
    assert "3 pairs to learn from, 1 held out" in corpus.describe() and "\n" not in corpus.describe()
    assert corpus.separate_source is corpus.source_tokenizer is not corpus.tokenizer
    assert corpus.lengths.tolist() == (corpus.sources.lengths + corpus.targets.lengths).tolist()


def test_digest_is_of_the_pairs_not_of_files_line_ends_and_blank_lines(tmp_path):
    one = prepare(put(tmp_path, b"a\tb\nc\td\n")).digest
    parts = prepare(put(tmp_path, b"\xef\xbb\xbfa\tb", "1.tsv"), put(tmp_path, b"\r\nc\td\r\n", "2.tsv")).digest
    assert one == parts
    others = [b"a\tb\nc\te\n", b"a\tb\ne\td\n", b"c\td\na\tb\n", b"a\tb\nc\td\nc\td\n"]
    assert len({one, *(prepare(put(tmp_path, data)).digest for data in others)}) == 5


def test_held_out_file_is_part_of_the_digest(tmp_path):
    path, held_out = put(tmp_path, NUMBERS), put(tmp_path, [("x", "y")], "held.tsv")
    assert prepare(path).digest != prepare(path, validation=held_out).digest
