"""Words as tokens: they join to the text, unknown ones have their own id, and small vocabularies are recognised."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from charlm.errors import ModelFileError, UsageError
from charlm.text.tokenizers.base import decode, encode_chunks
from charlm.text.tokenizers.registry import from_tensors, tensor_shapes, train
from charlm.text.tokenizers.word import MAX_UNSEEN, MAX_WORDS, is_word_vocabulary

WORDS = st.lists(st.one_of(st.sampled_from(["AH0", "k", "", "\n", "\t", "é", "\u2028", "\u00a0", "\ufffd"]),
                           st.text(st.characters(exclude_categories=["Cs"]))), min_size=1)


def words_of(*texts, size=None):
    return train("word", texts, vocabulary_size=size)


@settings(deadline=None)
@given(words=WORDS)
@example(words=[""])
@example(words=["", ""])
@example(words=["", "a", "", "", "b", ""])
def test_decoding_undoes_encoding_of_known_words(words):
    text = " ".join(words)
    tokenizer = words_of(text)
    assert decode(tokenizer, tokenizer.encode(text).tolist()) == text


@settings(deadline=None)
@given(words=WORDS, cuts=st.lists(st.integers(0, 20)))
def test_ids_decoded_in_pieces_give_the_same_text(words, cuts):
    text = " ".join(words)
    tokenizer = words_of(text)
    ids, decoder = tokenizer.encode(text).tolist(), tokenizer.decoder()
    borders = [0, *sorted(min(cut, len(ids)) for cut in cuts), len(ids)]
    assert "".join(decoder.push(ids[low:high]) for low, high in itertools.pairwise(borders)) + decoder.flush() == text


@pytest.mark.parametrize("iterable", [np.array, iter], ids=["array", "iterator"])
def test_ids_can_be_any_iterable(iterable):
    tokenizer = words_of("a b c")
    decoder = tokenizer.decoder()
    pushed = [decoder.push(iterable(ids)) for ids in ([], [3, 1], [], [2])]
    assert "".join(pushed) == "c a b"


@settings(deadline=None)
@given(words=WORDS, positions=st.lists(st.integers(0, 30)))
@example(words=["a", "b"], positions=[])
def test_chunking_does_not_change_ids(words, positions):
    text = " ".join(words)
    assume(text)                                            # an empty text has no chunks, but one empty word
    tokenizer, borders = words_of(text), [0, *sorted(min(position, len(text)) for position in positions), len(text)]
    chunks = [text[low:high] for low, high in itertools.pairwise(borders)]
    ids = [index for part in encode_chunks(tokenizer, chunks) for index in part.tolist()]
    assert ids == tokenizer.encode(text).tolist()


def test_only_a_space_ends_a_word():
    assert words_of("a\tb\nc\u2028d\u00a0e").size == 2      # <unk> and one word


def test_words_have_ids_in_code_point_order():
    tokenizer = words_of("b é a", "a Z b")
    assert tokenizer.encode("Z a b é").tolist() == [1, 2, 3, 4] and tokenizer.size == 5


def test_unknown_word_has_id_zero_and_is_never_written():
    tokenizer = words_of("one two")
    assert tokenizer.encode("one three  two").tolist() == [1, 0, 0, 2]
    assert (tokenizer.unknown_id, tokenizer.unsampleable_ids) == (0, (0,))
    assert tokenizer.unknown_surprisal == pytest.approx(math.log(0x110000))
    assert decode(tokenizer, [1, 0, 2]) == "one \ufffd two"


def test_replacement_character_is_an_ordinary_word():
    assert words_of("a \ufffd").encode("\ufffd b").tolist() == [2, 0]


def test_limited_vocabulary_keeps_the_most_frequent_words():
    texts = ["c c c b b", "a a d"]
    assert words_of(*texts, size=3).size == 3
    assert words_of(*texts, size=2).encode("a b c d").tolist() == [0, 0, 1, 0]
    assert words_of(*texts, size=4).encode("a b c d").tolist() == [1, 2, 3, 0]


def test_among_equally_frequent_words_code_point_order_decides():
    assert words_of("d b c a", size=3).encode("a b c d").tolist() == [1, 2, 0, 0]


def test_vocabulary_without_words_is_refused_by_its_flag():
    with pytest.raises(UsageError, match="--vocab-size"):
        words_of("a b", size=1)


@settings(deadline=None)
@given(words=WORDS)
@example(words=[""])
def test_rebuilt_tokenizer_gives_the_same_ids(words):
    text = " ".join(words)
    tokenizer = words_of(text)
    rebuilt = from_tensors("word", tokenizer.tensors())
    assert rebuilt.size == tokenizer.size
    assert rebuilt.encode(text + " never").tolist() == tokenizer.encode(text + " never").tolist()
    assert {name: (values.dtype.str, values.ndim) for name, values in tokenizer.tensors().items()} \
        == {"tokenizer.words": ("|u1", 1)} and tensor_shapes("word") == {"tokenizer.words": ("U8", 1)}


@pytest.mark.parametrize("table", [b"b a", b"a a", b"a  b", b"\xff", b"a \xed\xa0\x80"])
def test_table_that_is_not_words_in_order_is_refused(table):
    with pytest.raises(ModelFileError, match="table of words"):
        from_tensors("word", {"tokenizer.words": np.frombuffer(table, np.uint8)})


@pytest.mark.parametrize("size", [None, MAX_WORDS + 10])
def test_largest_vocabulary_can_be_rebuilt(size):
    tokenizer = words_of(" ".join(f"w{number}" for number in range(MAX_WORDS + 20)), size=size)
    assert from_tensors("word", tokenizer.tensors()).size == tokenizer.size


# Small vocabularies


def text_with(once, more_than_once):
    """Return a text of `once` words that occur once, and one word that occurs `more_than_once` times."""
    assert more_than_once != 1
    return " ".join([*(f"once{number}" for number in range(once)), *["often"] * more_than_once])


@pytest.mark.parametrize("once", [1, 5])
def test_words_are_few_up_to_a_share_of_words_that_occur_once(once):
    total = round(once / MAX_UNSEEN)
    assert is_word_vocabulary([text_with(once, total - once)])
    assert not is_word_vocabulary([text_with(once, total - once - 1)])


def test_words_are_counted_over_all_texts():
    assert is_word_vocabulary(["up", "down", "up", "down"])
    assert not is_word_vocabulary(["up", "down", "up"])


def test_too_many_words_are_not_few_however_often_they_occur():
    words = [f"w{number}" for number in range(MAX_WORDS)]
    assert is_word_vocabulary(words * 2)
    assert not is_word_vocabulary([*words, "more"] * 2)
